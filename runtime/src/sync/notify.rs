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
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::waiting::{Left, Ticket, WaitQueue};

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
    pub fn notified(&self) -> Notified<'_> {
        Notified { notify: self, round: self.rounds.get(), ticket: Ticket::default() }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

/// See [`Notify::notified`].
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct Notified<'a> {
    notify: &'a Notify,
    /// How often `notify_all` had been called when this was made.
    round: u64,
    ticket: Ticket,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Notified { notify, round, ticket } = &mut *self;
        let attempt = || match notify.rounds.get() != *round {
            true => Some(Called::WithAll),
            false => notify.permit.take().then_some(Called::Alone),
        };
        notify.queue.poll(ticket, (), cx, attempt).map(drop)
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if let Left::Called(Called::Alone) = self.notify.queue.leave(&mut self.ticket) {
            self.notify.notify_one();
        }
    }
}

impl Default for Notify {
    fn default() -> Notify {
        Notify::new()
    }
}
