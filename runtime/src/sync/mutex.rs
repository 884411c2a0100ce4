//! A lock for a value that must not change across an `.await`.
//!
//! Facts. On one thread nothing else runs between two lines that do not await: there a `Cell` is enough. But between
//! reading a balance and writing it back there may be an `.await`, and there any other task may run.
//!
//! Contract. One holder at a time. The first waiter in line is next, and owns the lock from the moment it is unlocked,
//! so no other task can take it first. The lock is released when the guard is dropped: by return, by panic or by
//! cancelling. A panic does not poison it.
//!
//! What is not promised. Two tasks that take two locks in opposite order wait for each other for ever. The
//! [probe](crate::probe) tells which task waits for what, and which task holds it. A future in line gets the lock even
//! if it is no longer polled, as when it is kept aside while another arm of a `select!` runs. Then it has the lock
//! without knowing it, and all other tasks wait. Drop a future that you do not poll.
//!
//! | method | cancel safe |
//! |---|---|
//! | `lock` | yes: a dropped future does not hold the lock; the next waiter has its turn |

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::sync::permits::{Held, Permits, Take};

/// A value that one task at a time can use, also across `.await`s.
///
/// ```
/// use std::{rc::Rc, time::Duration};
/// use roundel::{sync::Mutex, time::sleep};
///
/// let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
/// let balance = Rc::new(Mutex::new(0));
/// let deposit = |amount: i32| {
///     let balance = balance.clone();
///     async move {
///         let mut balance = balance.lock().await;
///         let seen = *balance;
///         sleep(Duration::from_millis(100)).await; // other tasks run here, but without the lock
///         *balance = seen + amount;
///     }
/// };
/// runtime.block_on(async { roundel::group::join!(deposit(100), deposit(50)) });
/// assert_eq!(*balance.try_lock().unwrap(), 150);
/// ```
pub struct Mutex<T> {
    pub(super) permits: Permits,
    /// `None` while an owned guard has the value.
    pub(super) value: RefCell<Option<T>>,
}

const HERE: &str = "the value is in the lock as long as no owned guard holds it";

impl<T> Mutex<T> {
    /// An unlocked mutex.
    #[track_caller]
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { permits: Permits::new(1, &"mutex"), value: RefCell::new(Some(value)) }
    }

    /// Gives it a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> Mutex<T> {
        self.permits.set_name(name);
        self
    }

    /// Waits for the lock.
    ///
    /// A task that locks twice waits for itself for ever.
    #[inline]
    pub fn lock(&self) -> Lock<'_, T> {
        Lock { mutex: self, take: self.permits.take(1) }
    }

    /// Locks if no task holds the lock or waits for it.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.permits.try_take(1).then(|| self.guard())
    }

    #[inline]
    fn guard(&self) -> MutexGuard<'_, T> {
        let held = Held { permits: &self.permits, n: 1 };
        let value = RefMut::map(self.value.borrow_mut(), |value| value.as_mut().expect(HERE));
        MutexGuard { value, mutex: self, _held: held }
    }

    /// Whether the lock is held.
    pub fn is_locked(&self) -> bool {
        self.permits.free() == 0
    }

    /// The value. No lock is needed: `&mut self` proves that no other task uses it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut().as_mut().expect(HERE)
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner().expect(HERE)
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Locked while it is printed, because printing the value is foreign code.
        let guard = self.try_lock();
        let value: &dyn fmt::Debug = if let Some(guard) = &guard { guard } else { &format_args!("<locked>") };
        f.debug_struct("Mutex").field("value", value).finish_non_exhaustive()
    }
}

/// See [`Mutex::lock`].
#[must_use = "futures do nothing unless awaited"]
pub struct Lock<'a, T> {
    mutex: &'a Mutex<T>,
    take: Take<&'a Permits>,
}

impl<'a, T> Future for Lock<'a, T> {
    type Output = MutexGuard<'a, T>;

    #[inline]
    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<'a, T>> {
        Pin::new(&mut self.take).poll(cx).map(|_| self.mutex.guard())
    }
}

impl<T> fmt::Debug for Lock<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lock").field(&self.take).finish()
    }
}

/// The lock is held until this is dropped.
#[must_use = "a guard that is dropped at once has locked nothing"]
pub struct MutexGuard<'a, T> {
    // The fields are dropped in this order: first the borrow of the value ends, then the lock is released.
    value: RefMut<'a, T>,
    pub(crate) mutex: &'a Mutex<T>,
    _held: Held<&'a Permits>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
