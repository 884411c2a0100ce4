//! A lock for many who read or one who writes.
//!
//! Facts. A reader disturbs no other reader. If readers may always come in, a writer waits for ever.
//!
//! What follows. A reader takes one of very many permits, a writer takes all of them; the line is the same for both,
//! so a writer that waits holds up the readers behind it, and has its turn.
//!
//! Contract. As for [`Mutex`](crate::sync::Mutex): first come, first served; released on drop; no poison.
//!
//! What is not promised. A task that reads, and wants to read once more while a writer waits, waits for itself.
//!
//! | method | cancel safe |
//! |---|---|
//! | `read`, `write` | yes: dropped, it has not locked; those behind it move up |

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::sync::permits::{Held, Permits};

/// More readers than there is memory for.
const ALL: usize = u32::MAX as usize;

/// A value that many tasks may read or one may change, also across `.await`s.
///
/// ```
/// roundel::run(async {
///     let config = roundel::sync::RwLock::new(1);
///     let (one, two) = (config.read().await, config.read().await);
///     assert_eq!(*one + *two, 2);
///     assert!(config.try_write().is_none());
///     drop((one, two));
///     *config.write().await += 1;
///     assert_eq!(config.into_inner(), 2);
/// });
/// ```
pub struct RwLock<T> {
    permits: Permits,
    value: RefCell<T>,
}

impl<T> RwLock<T> {
    /// An unlocked lock.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { permits: Permits::new(ALL, "rwlock"), value: RefCell::new(value) }
    }

    /// Waits until no writer is there, nor one that came before us.
    pub async fn read(&self) -> ReadGuard<'_, T> {
        self.permits.take(1).await;
        self.read_guard()
    }

    /// Waits until nobody else is there.
    pub async fn write(&self) -> WriteGuard<'_, T> {
        self.permits.take(ALL).await;
        self.write_guard()
    }

    /// Locks for reading if no writer is there or waits.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.permits.try_take(1).then(|| self.read_guard())
    }

    /// Locks for writing if nobody is there or waits.
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        self.permits.try_take(ALL).then(|| self.write_guard())
    }

    fn read_guard(&self) -> ReadGuard<'_, T> {
        ReadGuard { value: self.value.borrow(), _held: Held { permits: &self.permits, n: 1 } }
    }

    fn write_guard(&self) -> WriteGuard<'_, T> {
        WriteGuard { value: self.value.borrow_mut(), _held: Held { permits: &self.permits, n: ALL } }
    }

    /// The value, without locking: there is nobody else who could.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Locked meanwhile: to print the value is foreign code.
        let guard = self.try_read();
        let value: &dyn fmt::Debug =
            if let Some(guard) = &guard { &**guard } else { &format_args!("<locked>") };
        f.debug_struct("RwLock").field("value", value).finish_non_exhaustive()
    }
}

/// The lock is held for reading until this is dropped.
#[must_use = "a guard that is dropped at once has locked nothing"]
#[derive(Debug)]
pub struct ReadGuard<'a, T> {
    // In this order: first the value is let go, then the lock.
    value: Ref<'a, T>,
    _held: Held<'a>,
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The lock is held for writing until this is dropped.
#[must_use = "a guard that is dropped at once has locked nothing"]
#[derive(Debug)]
pub struct WriteGuard<'a, T> {
    value: RefMut<'a, T>,
    _held: Held<'a>,
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
