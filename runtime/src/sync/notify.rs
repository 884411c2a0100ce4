//! "Something has changed": to one who waits, or to all.
//!
//! Facts. A notification may come before anybody waits for it. One that is given to a task which is then dropped
//! was meant for somebody.
//!
//! Contract. `notify_one` wakes the first in line; if there is none, the next who comes does not wait. (There is one
//! such permit, however often it is called.) `notify_all` wakes all whose [`notified`](Notify::notified) had been
//! called by then, polled or not, and leaves no permit.
//!
//! | method | cancel safe |
//! |---|---|
//! | `notified` | yes: a `notify_one` that had reached it goes to the next in line, or stays for the next who comes |

use std::cell::Cell;

use crate::waiting::WaitQueue;

/// Wakes one task, or all that wait.
///
/// ```
/// let changed = roundel::sync::Notify::new();
/// roundel::run(async {
///     changed.notify_one(); // nobody waits: the next who comes need not
///     changed.notified().await;
///     let later = changed.notified(); // counts from here on
///     changed.notify_all();
///     later.await;
/// });
/// ```
#[derive(Debug)]
pub struct Notify {
    permit: Cell<bool>,
    /// How often `notify_all` was called.
    rounds: Cell<u64>,
    queue: WaitQueue<(), Called>,
}

#[derive(Clone, Copy, Debug)]
enum Called {
    Alone,
    WithAll,
}

impl Notify {
    /// Nobody has been notified yet.
    pub const fn new() -> Notify {
        Notify { permit: Cell::new(false), rounds: Cell::new(0), queue: WaitQueue::new("notify") }
    }

    /// Wakes the first in line, or lets the next who comes go on.
    pub fn notify_one(&self) {
        if !self.queue.call(Called::Alone) {
            self.permit.set(true);
        }
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.rounds.set(self.rounds.get().wrapping_add(1));
        self.queue.call_all(Called::WithAll);
    }

    /// Waits to be notified. It hears of a `notify_all` from the moment of this call, and stands in line for a
    /// `notify_one` from its first poll.
    pub fn notified(&self) -> impl Future<Output = ()> + '_ {
        let round = self.rounds.get();
        let attempt = move || {
            let heard = self.rounds.get() != round || self.permit.take();
            heard.then_some(Called::WithAll)
        };
        let missed = |called| {
            if let Some(Called::Alone) = called {
                self.notify_one();
            }
        };
        let waiting = self.queue.wait((), attempt, missed);
        async {
            waiting.await;
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

impl Default for Notify {
    fn default() -> Notify {
        Notify::new()
    }
}
