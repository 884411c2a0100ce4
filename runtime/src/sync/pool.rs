//! A few things that are expensive to make and that many tasks use in turn.
//!
//! Facts. A connection takes one to three round trips to make, and the other side accepts a limited number.
//!
//! Contract. At most `max` items exist at any time. A task that checks one out gets the item that came back last (the
//! warmest), or a new one if none is idle, or waits in line. A [`Pooled`] goes back when it is dropped, by return,
//! panic or cancelling. An item that fails its check or has been idle for too long is dropped and replaced.
//!
//! What is not promised. Idle items are checked when a task asks for one, not by a timer. Items that have been idle for
//! too long stay until then.
//!
//! | method | cancel safe |
//! |---|---|
//! | `checkout` | yes: the next waiter has its turn; a connection that was being made is dropped with its future |

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use crate::core::clock::{NEVER, Nanos, saturating_nanos};
use crate::core::context;
use crate::moment::Moment;
use crate::sync::permits::{Held, Permits};

type Make<C, E> = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<C, E>>>>>;
type Check<C> = Box<dyn Fn(&mut C) -> bool>;

/// Connections (or anything else) that many tasks use, a few at a time.
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
    stock: Rc<Stock<C, E>>,
}

/// What the clones of a pool and its items share.
struct Stock<C, E> {
    /// One permit for each item that is not checked out.
    permits: Permits,
    /// The idle items; the one that came back last is at the end. Each with the time when it came back, if that was on
    /// a loop.
    idle: RefCell<Vec<(C, Option<Moment>)>>,
    make: Make<C, E>,
    check: RefCell<Option<Rc<Check<C>>>>,
    idle_timeout: Cell<Nanos>,
}

impl<C, E> Pool<C, E> {
    /// A pool of at most `max` items. `make` makes them when they are needed.
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
        assert!(max > 0, "a Pool of at most zero items could never give one: let it have at least 1");
        let stock = Stock {
            permits: Permits::new(max, &"pool"),
            idle: RefCell::default(),
            make: Box::new(move || Box::pin(make())),
            check: RefCell::default(),
            idle_timeout: Cell::new(NEVER),
        };
        Pool { stock: Rc::new(stock) }
    }

    /// Gives it a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> Pool<C, E> {
        self.stock.permits.set_name(name);
        self
    }

    /// Calls `check` with each idle item before it is used again. If it returns false, the item is dropped.
    #[must_use]
    pub fn check(self, check: impl Fn(&mut C) -> bool + 'static) -> Pool<C, E> {
        let old = self.stock.check.replace(Some(Rc::new(Box::new(check))));
        drop(old);
        self
    }

    /// Drops an item instead of using it again if it has been idle for longer than this. The same happens to an item
    /// that came back on another loop or outside a loop, because the time it has been idle is unknown.
    #[must_use]
    pub fn idle_timeout(self, timeout: Duration) -> Pool<C, E> {
        self.stock.idle_timeout.set(saturating_nanos(timeout));
        self
    }

    /// Waits for an item: an idle one, or a new one.
    ///
    /// # Errors
    ///
    /// The error of making a new item. Its place in the pool is free again then.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    pub async fn checkout(&self) -> Result<Pooled<C, E>, E> {
        let stock = &self.stock;
        stock.permits.take(1).await;
        let mut held = Held { permits: &stock.permits, n: 1 };
        let item = match stock.warmest() {
            Some(item) => item,
            None => (stock.make)().await?,
        };
        // From here on the permit belongs to the item, which gives it back when it is dropped.
        held.n = 0;
        Ok(Pooled { item: Some(item), stock: Rc::clone(stock) })
    }

    /// How many items are idle.
    pub fn idle(&self) -> usize {
        self.stock.idle.borrow().len()
    }

    /// How many more items can be checked out at once, idle or new.
    pub fn available(&self) -> usize {
        self.stock.permits.free()
    }

    /// How many tasks wait for an item.
    pub fn waiting(&self) -> usize {
        self.stock.permits.waiting()
    }
}

impl<C, E> Clone for Pool<C, E> {
    fn clone(&self) -> Pool<C, E> {
        Pool { stock: Rc::clone(&self.stock) }
    }
}

impl<C, E> fmt::Debug for Pool<C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("idle", &self.idle()).field("available", &self.available()).finish()
    }
}

impl<C, E> Stock<C, E> {
    /// The idle item that came back last and is still good. Items that are not good are dropped, with nothing borrowed.
    fn warmest(&self) -> Option<C> {
        let now = context::with("Pool::checkout", |context| Moment::now(&context.clock));
        loop {
            let (mut item, came) = self.idle.borrow_mut().pop()?;
            let check = self.check.borrow().clone();
            // How long an item has been idle that came back on another loop is unknown: treat it as too long.
            let idle = came.and_then(|came| now.since(came)).unwrap_or(NEVER);
            if idle <= self.idle_timeout.get() && check.is_none_or(|check| check(&mut item)) {
                return Some(item);
            }
        }
    }
}

/// An item checked out of a [`Pool`]. It goes back when this is dropped.
pub struct Pooled<C, E = io::Error> {
    /// `None` once it was taken out for good.
    item: Option<C>,
    stock: Rc<Stock<C, E>>,
}

impl<C, E> Pooled<C, E> {
    /// Takes the item out of the pool for good, for example because it is broken. A new one may be made in its place.
    #[must_use = "to drop a broken item, say so: `drop(pooled.take())`"]
    pub fn take(mut self) -> C {
        self.item.take().expect("the item is there until it is dropped or taken")
    }
}

impl<C, E> Deref for Pooled<C, E> {
    type Target = C;

    fn deref(&self) -> &C {
        self.item.as_ref().expect("the item is there until it is dropped or taken")
    }
}

impl<C, E> DerefMut for Pooled<C, E> {
    fn deref_mut(&mut self) -> &mut C {
        self.item.as_mut().expect("the item is there until it is dropped or taken")
    }
}

impl<C, E> Drop for Pooled<C, E> {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            let now = context::current().map(|context| Moment::now(&context.clock));
            self.stock.idle.borrow_mut().push((item, now));
        }
        self.stock.permits.give(1);
    }
}

impl<C: fmt::Debug, E> fmt::Debug for Pooled<C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pooled").field(&self.item).finish()
    }
}
