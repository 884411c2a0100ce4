//! A lock for many readers or one writer.
//!
//! Facts. A reader disturbs no other reader. If readers could always come in, a writer would wait for ever.
//!
//! What follows. A reader takes one of very many permits, a writer takes all of them. Both stand in the same line, so
//! the readers that come after a waiting writer wait for it, and it has its turn.
//!
//! Contract. As for [`Mutex`](crate::sync::Mutex): first come, first served; released on drop; no poison.
//!
//! What is not promised. A task that holds a read lock, and asks for another while a writer waits, waits for itself.
//!
//! | method | cancel safe |
//! |---|---|
//! | `read`, `write` | yes: a dropped future does not hold the lock; the waiters after it move up |

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use crate::sync::permits::{Held, Permits};

/// All permits of a lock: more than the number of readers that fit into memory.
pub(super) const ALL: usize = u32::MAX as usize;

/// A value that many tasks can read or one task can change, also across `.await`s.
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
    pub(super) permits: Permits,
    /// Shared with the owned guards of readers. `None` while the owned guard of a writer has it.
    pub(super) value: RefCell<Option<Rc<T>>>,
}

const HERE: &str = "the value is in the lock as long as no owned guard holds it for writing";
pub(super) const UNSHARED: &str = "no reader has the value while a writer holds the lock";

impl<T> RwLock<T> {
    /// An unlocked lock.
    #[track_caller]
    pub fn new(value: T) -> RwLock<T> {
        RwLock { permits: Permits::new(ALL, &"rwlock"), value: RefCell::new(Some(Rc::new(value))) }
    }

    /// Gives it a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> RwLock<T> {
        self.permits.set_name(name);
        self
    }

    /// Waits until no writer holds the lock, and none that came first waits for it.
    pub async fn read(&self) -> ReadGuard<'_, T> {
        self.permits.take(1).await;
        self.read_guard()
    }

    /// Waits until no other task holds the lock.
    pub async fn write(&self) -> WriteGuard<'_, T> {
        self.permits.take(ALL).await;
        self.write_guard()
    }

    /// Locks for reading if no writer holds the lock and no task waits for it.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.permits.try_take(1).then(|| self.read_guard())
    }

    /// Locks for writing if no task holds the lock or waits for it.
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        self.permits.try_take(ALL).then(|| self.write_guard())
    }

    fn read_guard(&self) -> ReadGuard<'_, T> {
        let value = Ref::map(self.value.borrow(), |value| value.as_deref().expect(HERE));
        ReadGuard { value, _held: Held { permits: &self.permits, n: 1 } }
    }

    fn write_guard(&self) -> WriteGuard<'_, T> {
        let value = RefMut::map(self.value.borrow_mut(), |value| unshared(value));
        WriteGuard { value, _held: Held { permits: &self.permits, n: ALL } }
    }

    /// The value. No lock is needed: `&mut self` proves that no other task uses it.
    pub fn get_mut(&mut self) -> &mut T {
        unshared(self.value.get_mut())
    }

    /// The value.
    pub fn into_inner(self) -> T {
        let value = self.value.into_inner().and_then(Rc::into_inner);
        value.expect(UNSHARED)
    }
}

/// The value, in a lock that no other task uses.
fn unshared<T>(value: &mut Option<Rc<T>>) -> &mut T {
    Rc::get_mut(value.as_mut().expect(HERE)).expect(UNSHARED)
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Locked while it is printed, because printing the value is foreign code.
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
    // The fields are dropped in this order: first the borrow of the value ends, then the lock is released.
    value: Ref<'a, T>,
    _held: Held<&'a Permits>,
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
    _held: Held<&'a Permits>,
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
