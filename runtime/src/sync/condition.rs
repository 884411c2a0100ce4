//! Waiting, under a lock, until the value that the lock protects is as we need it.
//!
//! Facts. Between testing the value and starting to wait, no other task may change it, or the wake-up is missed.
//! Between being woken and having the lock again, another task may have changed it back.
//!
//! What follows. [`wait`](Condition::wait) joins the line *before* it releases the lock, and returns with the lock.
//! [`wait_while`](Condition::wait_while) tests the value again each time.
//!
//! | method | cancel safe |
//! |---|---|
//! | `wait`, `wait_while` | the lock is lost with the guard; a `notify_one` that had reached it goes to the next waiter |

use crate::sync::mutex::MutexGuard;
use crate::task::spend_budget;
use crate::waiting::WaitQueue;

/// Waits until what a [`Mutex`](crate::sync::Mutex) protects has changed.
///
/// ```
/// use std::rc::Rc;
/// use roundel::sync::{Condition, Mutex};
///
/// let shared = Rc::new((Mutex::new(0), Condition::new()));
/// roundel::run(async {
///     let waiter = roundel::spawn({
///         let shared = shared.clone();
///         async move {
///             let (count, changed) = &*shared;
///             *changed.wait_while(count.lock().await, |count| *count < 3).await
///         }
///     });
///     for _ in 0..3 {
///         *shared.0.lock().await += 1;
///         shared.1.notify_one();
///         roundel::yield_now().await;
///     }
///     assert_eq!(waiter.await.unwrap(), 3);
/// });
/// ```
#[derive(Debug)]
pub struct Condition {
    /// The waiters. Each is called with true by `notify_one`, with false by `notify_all`.
    queue: WaitQueue<(), bool>,
}

/// A `notify_one` that has reached a waiter which does not have the lock yet. If it is dropped, the next waiter gets
/// the notification. `None` if there is nothing to pass on.
struct PassOn<'a>(Option<&'a Condition>);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        if let Some(condition) = self.0 {
            condition.notify_one();
        }
    }
}

impl Condition {
    /// A new condition; no task waits.
    #[track_caller]
    pub const fn new() -> Condition {
        Condition { queue: WaitQueue::new(&"condition") }
    }

    /// Gives it a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> Condition {
        self.queue.resource.set_name(name);
        self
    }

    /// Releases the lock, waits for a notification, and locks again.
    pub async fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex = guard.mutex;
        let missed = |called| {
            if called == Some(true) {
                self.notify_one();
            }
        };
        let mut waiting = self.queue.wait((), || None, missed);
        let mut guard = Some(guard);
        let alone = std::future::poll_fn(|cx| {
            let poll = std::pin::Pin::new(&mut waiting).poll(cx);
            // We are in line, so no notification can be missed: now other tasks may have the lock.
            drop(guard.take());
            poll
        })
        .await;
        // If we are dropped while we wait for the lock, the notification must not be lost.
        let mut pass_on = PassOn(alone.then_some(self));
        let guard = mutex.lock().await;
        pass_on.0 = None;
        guard
    }

    /// Waits for as long as `condition` returns true for the protected value.
    pub async fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        spend_budget().await;
        while condition(&mut guard) {
            guard = self.wait(guard).await;
        }
        guard
    }

    /// Wakes the first waiter in line. If there is none, nothing happens.
    pub fn notify_one(&self) {
        self.queue.call(true);
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.queue.call_all(false);
    }

    /// How many tasks wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

impl Default for Condition {
    #[track_caller]
    fn default() -> Condition {
        Condition::new()
    }
}
