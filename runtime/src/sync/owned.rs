//! Guards and permits that keep their lock alive: they borrow nothing, so they may be stored, returned and moved into a
//! task.
//!
//! Facts. A guard that borrows its lock cannot outlive the borrow, so a spawned task can take a lock but cannot be given
//! one that is held. Without `unsafe`, a guard cannot own a lock and borrow from it.
//!
//! What follows. An owned guard keeps the lock by an `Rc`, and *takes the value out*. A `Mutex` is empty meanwhile, and the
//! guard puts the value back. An `RwLock` keeps its value in an `Rc`, which readers clone and a writer takes. To lock a
//! `Mutex` this way moves the value twice: put a large one into a `Box`.
//!
//! Contract. As for the borrowed guards, because the permits and the line are the same: first come, first served; the lock
//! is released on drop; a panic does not poison it.
//!
//! Invariants. The value goes back before the permit does, so the next holder finds it.
//!
//! | method | cancel safe |
//! |---|---|
//! | `lock_owned`, `read_owned`, `write_owned` | yes: a dropped future does not hold the lock; the next waiter has its turn |
//! | `acquire_owned`, `acquire_many_owned` | yes: a permit on its way to a dropped future goes to the next waiter |

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::channel::Closed;
use crate::sync::mutex::Mutex;
use crate::sync::permits::{HasPermits, Held, Owned, Permits, Take};
use crate::sync::rwlock::{ALL, RwLock, UNSHARED};
use crate::sync::semaphore::{Semaphore, TryAcquireError, poll_open};

impl<T> HasPermits for Mutex<T> {
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl<T> HasPermits for RwLock<T> {
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl HasPermits for Semaphore {
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl<T> Mutex<T> {
    /// Waits for the lock; the guard keeps the mutex alive.
    ///
    /// ```
    /// use std::rc::Rc;
    /// use roundel::sync::Mutex;
    ///
    /// roundel::run(async {
    ///     let log = Rc::new(Mutex::new(vec!["begun"]));
    ///     let mut guard = Rc::clone(&log).lock_owned().await;
    ///     // The task is given the lock, already held.
    ///     let task = roundel::spawn(async move { guard.push("done") });
    ///     assert!(log.is_locked());
    ///     task.await.unwrap();
    ///     assert_eq!(*log.lock().await, ["begun", "done"]);
    /// });
    /// ```
    pub fn lock_owned(self: Rc<Self>) -> LockOwned<T> {
        LockOwned { take: Take::new(Owned(self), 1) }
    }

    /// Locks if no task holds the lock or waits for it; the guard keeps the mutex alive.
    pub fn try_lock_owned(self: Rc<Self>) -> Option<OwnedMutexGuard<T>> {
        self.permits.try_take(1).then(|| OwnedMutexGuard::new(Owned(self)))
    }
}

/// See [`Mutex::lock_owned`].
#[must_use = "futures do nothing unless awaited"]
pub struct LockOwned<T> {
    take: Take<Owned<Mutex<T>>>,
}

impl<T> Future for LockOwned<T> {
    type Output = OwnedMutexGuard<T>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<OwnedMutexGuard<T>> {
        Pin::new(&mut self.take).poll(cx).map(|_| OwnedMutexGuard::new(self.take.permits.clone()))
    }
}

/// The lock of a [`Mutex`] is held until this is dropped.
#[must_use = "a guard that is dropped at once has locked nothing"]
pub struct OwnedMutexGuard<T> {
    /// `Some` until the guard is dropped.
    value: Option<T>,
    /// Dropped when the value is back in the mutex.
    held: Held<Owned<Mutex<T>>>,
}

const HERE: &str = "the value stays in its guard until the guard is dropped";

impl<T> OwnedMutexGuard<T> {
    /// The caller has the permit.
    fn new(mutex: Owned<Mutex<T>>) -> OwnedMutexGuard<T> {
        let value = mutex.0.value.take();
        OwnedMutexGuard { value, held: Held { permits: mutex, n: 1 } }
    }
}

impl<T> Deref for OwnedMutexGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect(HERE)
    }
}

impl<T> DerefMut for OwnedMutexGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect(HERE)
    }
}

impl<T> Drop for OwnedMutexGuard<T> {
    fn drop(&mut self) {
        // The mutex is empty, so this drops nothing.
        self.held.permits.0.value.replace(self.value.take());
    }
}

impl<T> RwLock<T> {
    /// Waits until no writer holds the lock, and none that came first waits for it. The guard keeps the lock alive.
    ///
    /// ```
    /// use std::rc::Rc;
    /// use roundel::sync::RwLock;
    ///
    /// roundel::run(async {
    ///     let config = Rc::new(RwLock::new(1));
    ///     let (mine, theirs) = (Rc::clone(&config).read_owned().await, Rc::clone(&config).read_owned().await);
    ///     let task = roundel::spawn(async move { *theirs });
    ///     assert_eq!(*mine + task.await.unwrap(), 2);
    ///     drop(mine);
    ///     *Rc::clone(&config).write_owned().await += 1;
    ///     assert_eq!(*config.read().await, 2);
    /// });
    /// ```
    pub fn read_owned(self: Rc<Self>) -> impl Future<Output = OwnedReadGuard<T>> + use<T> {
        let lock = Owned(self);
        async move {
            Take::new(lock.clone(), 1).await;
            OwnedReadGuard::new(lock)
        }
    }

    /// Waits until no other task holds the lock. The guard keeps the lock alive.
    pub fn write_owned(self: Rc<Self>) -> impl Future<Output = OwnedWriteGuard<T>> + use<T> {
        let lock = Owned(self);
        async move {
            Take::new(lock.clone(), ALL).await;
            OwnedWriteGuard::new(lock)
        }
    }

    /// Locks for reading if no writer holds the lock and no task waits for it. The guard keeps the lock alive.
    pub fn try_read_owned(self: Rc<Self>) -> Option<OwnedReadGuard<T>> {
        self.permits.try_take(1).then(|| OwnedReadGuard::new(Owned(self)))
    }

    /// Locks for writing if no task holds the lock or waits for it. The guard keeps the lock alive.
    pub fn try_write_owned(self: Rc<Self>) -> Option<OwnedWriteGuard<T>> {
        self.permits.try_take(ALL).then(|| OwnedWriteGuard::new(Owned(self)))
    }
}

/// The lock of an [`RwLock`] is held for reading until this is dropped.
#[must_use = "a guard that is dropped at once has locked nothing"]
pub struct OwnedReadGuard<T> {
    // The fields are dropped in this order: first this share of the value goes, then the lock is released.
    value: Rc<T>,
    _held: Held<Owned<RwLock<T>>>,
}

impl<T> OwnedReadGuard<T> {
    /// The caller has the permit.
    fn new(lock: Owned<RwLock<T>>) -> OwnedReadGuard<T> {
        let value = lock.0.value.borrow().clone().expect("a writer's guard has put the value back");
        OwnedReadGuard { value, _held: Held { permits: lock, n: 1 } }
    }
}

impl<T> Deref for OwnedReadGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The lock of an [`RwLock`] is held for writing until this is dropped.
#[must_use = "a guard that is dropped at once has locked nothing"]
pub struct OwnedWriteGuard<T> {
    /// `Some` until the guard is dropped.
    value: Option<Rc<T>>,
    /// Dropped when the value is back in the lock.
    held: Held<Owned<RwLock<T>>>,
}

impl<T> OwnedWriteGuard<T> {
    /// The caller has all permits.
    fn new(lock: Owned<RwLock<T>>) -> OwnedWriteGuard<T> {
        let value = lock.0.value.take();
        OwnedWriteGuard { value, held: Held { permits: lock, n: ALL } }
    }
}

impl<T> Deref for OwnedWriteGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect(HERE)
    }
}

impl<T> DerefMut for OwnedWriteGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        Rc::get_mut(self.value.as_mut().expect(HERE)).expect(UNSHARED)
    }
}

impl<T> Drop for OwnedWriteGuard<T> {
    fn drop(&mut self) {
        // The lock is empty, so this drops nothing.
        self.held.permits.0.value.replace(self.value.take());
    }
}

impl Semaphore {
    /// Waits for a permit, which keeps the semaphore alive.
    ///
    /// ```
    /// use std::rc::Rc;
    /// use roundel::sync::Semaphore;
    ///
    /// roundel::run(async {
    ///     let seats = Rc::new(Semaphore::new(2));
    ///     let permit = Rc::clone(&seats).acquire_owned().await.unwrap();
    ///     // No task is spawned before it has its permit.
    ///     let guest = roundel::spawn(async move { drop(permit) });
    ///     assert_eq!(seats.available(), 1);
    ///     guest.await.unwrap();
    ///     assert_eq!(seats.available(), 2);
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, or is closed during the wait.
    pub fn acquire_owned(self: Rc<Self>) -> AcquireOwned {
        self.acquire_many_owned(1)
    }

    /// Waits for `n` permits, which come all together and keep the semaphore alive.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, or is closed during the wait.
    pub fn acquire_many_owned(self: Rc<Self>, n: usize) -> AcquireOwned {
        AcquireOwned { take: Take::new(Owned(self), n) }
    }

    /// Takes a permit if one is free and no task waits. It keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// If none is free, if a task waits, or if the semaphore is closed.
    pub fn try_acquire_owned(self: Rc<Self>) -> Result<OwnedPermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// Takes `n` permits if they are free and no task waits. They keep the semaphore alive.
    ///
    /// # Errors
    ///
    /// If fewer are free, if a task waits, or if the semaphore is closed.
    pub fn try_acquire_many_owned(self: Rc<Self>, n: usize) -> Result<OwnedPermit, TryAcquireError> {
        self.try_take(n)?;
        Ok(OwnedPermit { held: Held { permits: Owned(self), n } })
    }
}

/// See [`Semaphore::acquire_owned`].
#[must_use = "futures do nothing unless awaited"]
pub struct AcquireOwned {
    take: Take<Owned<Semaphore>>,
}

impl Future for AcquireOwned {
    type Output = Result<OwnedPermit, Closed>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll_open(&mut self.take, cx).map_ok(|held| OwnedPermit { held })
    }
}

/// One or more permits of a [`Semaphore`]. They go back when this is dropped.
#[must_use = "a permit that is dropped at once permits nothing"]
pub struct OwnedPermit {
    held: Held<Owned<Semaphore>>,
}

impl OwnedPermit {
    /// How many permits these are.
    pub fn count(&self) -> usize {
        self.held.n
    }

    /// Never gives the permits back.
    pub fn forget(mut self) {
        // The semaphore itself is let go.
        self.held.n = 0;
    }
}

impl<T> fmt::Debug for LockOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockOwned").field("in_line", &self.take.is_in_line()).finish()
    }
}

impl fmt::Debug for AcquireOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AcquireOwned { take } = self;
        f.debug_struct("AcquireOwned").field("n", &take.n).field("in_line", &take.is_in_line()).finish()
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("count", &self.count()).finish()
    }
}

/// A guard is printed as its value.
macro_rules! as_its_value {
    ($($guard:ident),+) => {
        $(impl<T: fmt::Debug> fmt::Debug for $guard<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        })+
    };
}

as_its_value!(OwnedMutexGuard, OwnedReadGuard, OwnedWriteGuard);
