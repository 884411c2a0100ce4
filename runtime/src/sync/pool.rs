//! A few things that are dear to make, used by many in turn.
//!
//! Facts. A connection takes a round trip or three to make, and the other side bears only so many.
//!
//! Contract. At most `max` exist at any time. Who checks one out gets the one that came back last (it is the warmest),
//! or a new one if none is idle, or waits in line. A [`Pooled`] goes back when it is dropped, by return, panic or
//! cancelling. One that fails its check or has been idle for too long is dropped and replaced.
//!
//! What is not promised. Idle ones are looked at when somebody comes, not by a clock of their own. When all are idle for
//! too long, they stay until somebody comes.
//!
//! | method | cancel safe |
//! |---|---|
//! | `checkout` | yes: the turn goes to the next; a connection that was being made is dropped with its future |

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use crate::core::clock::{Moment, NEVER, Nanos, saturating_nanos};
use crate::core::context;
use crate::sync::permits::{Held, Permits};

type Make<C, E> = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<C, E>>>>>;
type Check<C> = Box<dyn Fn(&mut C) -> bool>;

/// Connections (or anything else) for many users, a few at a time.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use roundel::sync::Pool;
///
/// let made = Rc::new(Cell::new(0));
/// let count = made.clone();
/// let pool = Pool::new(2, move || {
///     count.set(count.get() + 1);
///     std::future::ready(std::io::Result::Ok(String::from("connection")))
/// });
/// roundel::run(async {
///     let jobs = (0..100).map(|_| async {
///         let mut connection = pool.checkout().await.unwrap();
///         connection.push('.');
///         roundel::yield_now().await;
///     });
///     roundel::group::gather(jobs).await;
/// });
/// assert_eq!(made.get(), 2);
/// ```
pub struct Pool<C, E = io::Error> {
    shared: Rc<Shared<C, E>>,
}

struct Shared<C, E> {
    permits: Permits,
    /// The last one to come back is the last of these; each with the time when it came, if that was on a loop.
    idle: RefCell<Vec<(C, Option<Moment>)>>,
    make: Make<C, E>,
    check: RefCell<Option<Rc<Check<C>>>>,
    idle_timeout: Cell<Nanos>,
}

impl<C, E> Pool<C, E> {
    /// A pool of at most `max`, made by `make` when they are needed.
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    #[track_caller]
    pub fn new<F, Fut>(max: usize, make: F) -> Pool<C, E>
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output = Result<C, E>> + 'static,
    {
        assert!(max > 0, "a Pool of at most zero could never give anything: let it have at least 1");
        let shared = Shared {
            permits: Permits::new(max, "pool"),
            idle: RefCell::default(),
            make: Box::new(move || Box::pin(make())),
            check: RefCell::default(),
            idle_timeout: Cell::new(NEVER),
        };
        Pool { shared: Rc::new(shared) }
    }

    /// Asks `check` about each idle one before it is used again; if it says no, that one is dropped.
    #[must_use]
    pub fn check(self, check: impl Fn(&mut C) -> bool + 'static) -> Pool<C, E> {
        let old = self.shared.check.replace(Some(Rc::new(Box::new(check))));
        drop(old);
        self
    }

    /// Does not use again what has been idle for longer than this, or came back on another loop, or outside of any: nobody
    /// can say how long that is idle.
    #[must_use]
    pub fn idle_timeout(self, timeout: Duration) -> Pool<C, E> {
        self.shared.idle_timeout.set(saturating_nanos(timeout));
        self
    }

    /// Waits for one: an idle one, or a new one.
    ///
    /// # Errors
    ///
    /// What making a new one says; the place is free again then.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    pub async fn checkout(&self) -> Result<Pooled<C, E>, E> {
        let shared = &self.shared;
        shared.permits.take(1).await;
        let mut held = Held { permits: &shared.permits, n: 1 };
        let item = match shared.warmest() {
            Some(item) => item,
            None => (shared.make)().await?,
        };
        // From here on the place is the item's.
        held.n = 0;
        Ok(Pooled { item: Some(item), shared: Rc::clone(shared) })
    }

    /// How many are idle.
    pub fn idle(&self) -> usize {
        self.shared.idle.borrow().len()
    }

    /// How many are neither in use nor about to be.
    pub fn available(&self) -> usize {
        self.shared.permits.free()
    }

    /// How many wait for one.
    pub fn waiting(&self) -> usize {
        self.shared.permits.waiting()
    }
}

impl<C, E> Clone for Pool<C, E> {
    fn clone(&self) -> Pool<C, E> {
        Pool { shared: Rc::clone(&self.shared) }
    }
}

impl<C, E> fmt::Debug for Pool<C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("idle", &self.idle()).field("available", &self.available()).finish()
    }
}

impl<C, E> Shared<C, E> {
    /// An idle one that is still good. Those that are not are dropped, with nothing borrowed.
    fn warmest(&self) -> Option<C> {
        let now = context::with("Pool::checkout", |context| context.clock.moment());
        loop {
            let (mut item, came) = self.idle.borrow_mut().pop()?;
            let check = self.check.borrow().clone();
            // Of one that came back elsewhere nobody knows for how long it has been idle.
            let idle = came.and_then(|came| now.since(came)).unwrap_or(NEVER);
            if idle <= self.idle_timeout.get() && check.is_none_or(|check| check(&mut item)) {
                return Some(item);
            }
        }
    }
}

/// Something checked out of a [`Pool`]; it goes back when this is dropped.
pub struct Pooled<C, E = io::Error> {
    item: Option<C>,
    shared: Rc<Shared<C, E>>,
}

impl<C, E> Pooled<C, E> {
    /// Takes it out of the pool for good, because it is broken, say; a new one may be made in its place.
    #[must_use = "to drop it is the usual thing to do with something broken: say `drop(pooled.take())`"]
    pub fn take(mut self) -> C {
        self.item.take().expect("it is there until it is dropped or taken")
    }
}

impl<C, E> Deref for Pooled<C, E> {
    type Target = C;

    fn deref(&self) -> &C {
        self.item.as_ref().expect("it is there until it is dropped or taken")
    }
}

impl<C, E> DerefMut for Pooled<C, E> {
    fn deref_mut(&mut self) -> &mut C {
        self.item.as_mut().expect("it is there until it is dropped or taken")
    }
}

impl<C, E> Drop for Pooled<C, E> {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            let now = context::current().map(|context| context.clock.moment());
            self.shared.idle.borrow_mut().push((item, now));
        }
        self.shared.permits.give(1);
    }
}

impl<C: fmt::Debug, E> fmt::Debug for Pooled<C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pooled").field(&self.item).finish()
    }
}
