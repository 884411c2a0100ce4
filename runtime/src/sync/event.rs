//! A flag to wait for.
//!
//! Contract. A task that waits while the flag is clear goes on when it is set, even if it is cleared again before that
//! task runs. A task that comes while the flag is set does not wait. `set` does not wait, so it is not `async`.
//!
//! | method | cancel safe |
//! |---|---|
//! | `wait` | yes: a dropped wait loses nothing |

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
///     open.wait().await; // at once, until `clear` is called
/// });
/// ```
#[derive(Debug)]
pub struct Event {
    /// Set by `set`, cleared by `clear`.
    set: Cell<bool>,
    queue: WaitQueue,
}

impl Event {
    /// A flag that is not set.
    #[track_caller]
    pub const fn new() -> Event {
        Event { set: Cell::new(false), queue: WaitQueue::new(&"event") }
    }

    /// Gives it a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> Event {
        self.queue.resource.set_name(name);
        self
    }

    /// Sets the flag: all waiting tasks go on.
    pub fn set(&self) {
        self.set.set(true);
        self.queue.call_all(());
    }

    /// Clears the flag: tasks that come from now on wait.
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
    #[track_caller]
    fn default() -> Event {
        Event::new()
    }
}
