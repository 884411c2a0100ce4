//! Waiting, under a lock, until what the lock protects has become what we need.
//!
//! Facts. Between "is it so?" and "then I wait" nobody may change it, or the wake falls between the two. And between
//! being woken and having the lock again, somebody else may have changed it back.
//!
//! What follows. [`wait`](Condition::wait) joins the line *before* it lets go of the lock, and comes back with the
//! lock; [`wait_while`](Condition::wait_while) asks again each time.
//!
//! | method | cancel safe |
//! |---|---|
//! | `wait`, `wait_while` | the lock is lost with the guard; a `notify_one` that had reached it goes to the next in line |

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
    /// Called with whether it was the only one.
    queue: WaitQueue<(), bool>,
}

/// A notification that has been received and is not used yet: dropped, it goes on to the next.
struct Baton<'a>(Option<&'a Condition>);

impl Drop for Baton<'_> {
    fn drop(&mut self) {
        if let Some(condition) = self.0 {
            condition.notify_one();
        }
    }
}

impl Condition {
    /// Nobody waits yet.
    pub const fn new() -> Condition {
        Condition { queue: WaitQueue::new("condition") }
    }

    /// Lets go of the lock, waits to be notified, and locks again.
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
            // Only now, with our place in line, may others change what we wait for.
            drop(guard.take());
            poll
        })
        .await;
        let mut baton = Baton(alone.then_some(self));
        let guard = mutex.lock().await;
        baton.0 = None;
        guard
    }

    /// Waits for as long as `condition` is true of the protected value.
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

    /// Wakes the first in line, if there is one; otherwise nothing happens.
    pub fn notify_one(&self) {
        self.queue.call(true);
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.queue.call_all(false);
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

impl Default for Condition {
    fn default() -> Condition {
        Condition::new()
    }
}
