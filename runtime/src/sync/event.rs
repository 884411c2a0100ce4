//! A flag to wait for.
//!
//! Contract. Who waits while the flag is clear goes on when it is set, also if it is cleared again before their
//! turn comes. Who comes while it is set does not wait. To set is not to wait, so it is not `async`.
//!
//! | method | cancel safe |
//! |---|---|
//! | `wait` | yes: there is nothing to lose |

use std::cell::Cell;

use crate::waiting::WaitQueue;

/// A flag that tasks can wait for.
///
/// ```
/// use std::rc::Rc;
/// let open = Rc::new(roundel::sync::Event::new());
/// roundel::run(async {
///     let visitor = roundel::spawn({
///         let open = open.clone();
///         async move { open.wait().await }
///     });
///     roundel::yield_now().await;
///     assert!(!visitor.is_finished());
///     open.set();
///     visitor.await.unwrap();
///     open.wait().await; // at once, until somebody calls `clear`
/// });
/// ```
#[derive(Debug)]
pub struct Event {
    set: Cell<bool>,
    queue: WaitQueue,
}

impl Event {
    /// A flag that is not set.
    pub const fn new() -> Event {
        Event { set: Cell::new(false), queue: WaitQueue::new("event") }
    }

    /// Sets the flag: all who wait go on.
    pub fn set(&self) {
        self.set.set(true);
        self.queue.call_all(());
    }

    /// Clears the flag: who comes from now on waits.
    pub fn clear(&self) {
        self.set.set(false);
    }

    /// Whether the flag is set.
    pub fn is_set(&self) -> bool {
        self.set.get()
    }

    /// Waits until the flag is set.
    pub async fn wait(&self) {
        self.queue.wait((), || self.set.get().then_some(()), |_| {}).await;
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}
