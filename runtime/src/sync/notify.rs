//! "Something has changed": a notification for one waiter, or for all.
//!
//! Facts. A notification may come before any task waits for it. If it is given to a task that is then dropped, another
//! task may still need it.
//!
//! Contract. `notify_one` wakes the first waiter in line. If the line is empty, it leaves a permit, and the next task
//! that waits does not have to. (There is at most one such permit, however often `notify_one` is called.) `notify_all`
//! wakes all futures that [`notified`](Notify::notified) has returned by then, polled or not, and leaves no permit.
//!
//! | method | cancel safe |
//! |---|---|
//! | `notified` | yes: a `notify_one` that had reached it goes to the next in line, or stays for the next task that waits |

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::waiting::{Left, WaitKey, WaitQueue};

/// Wakes one waiting task, or all of them.
///
/// ```
/// let changed = roundel::sync::Notify::new();
/// roundel::run(async {
///     changed.notify_one(); // no task waits: the next `notified` returns at once
///     changed.notified().await;
///     let later = changed.notified(); // hears of `notify_all` from here on
///     changed.notify_all();
///     later.await;
/// });
/// ```
#[derive(Debug)]
pub struct Notify {
    /// Set when `notify_one` finds no waiter; cleared by the next task that would wait.
    permit: Cell<bool>,
    /// How often `notify_all` was called.
    rounds: Cell<u64>,
    queue: WaitQueue<(), Notification>,
}

/// What a waiter was called with.
#[derive(Clone, Copy, Debug)]
enum Notification {
    /// By `notify_one`: if the waiter is dropped, the next one has to be woken instead.
    Alone,
    /// By `notify_all`: all others were woken as well, so nothing has to be passed on.
    WithAll,
}

impl Notify {
    /// A new `Notify`, without a permit.
    #[track_caller]
    pub const fn new() -> Notify {
        Notify { permit: Cell::new(false), rounds: Cell::new(0), queue: WaitQueue::new(&"notify") }
    }

    /// Gives it a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> Notify {
        self.queue.resource.set_name(name);
        self
    }

    /// Wakes the first waiter in line, or lets the next task that waits go on at once.
    pub fn notify_one(&self) {
        if !self.queue.call(Notification::Alone) {
            self.permit.set(true);
        }
    }

    /// Wakes all waiting tasks.
    pub fn notify_all(&self) {
        self.rounds.set(self.rounds.get().wrapping_add(1));
        self.queue.call_all(Notification::WithAll);
    }

    /// Waits for a notification. The future hears of a `notify_all` from the moment of this call, and stands in line
    /// for a `notify_one` from its first poll.
    pub fn notified(&self) -> Notified<'_> {
        Notified { notify: self, round: self.rounds.get(), key: WaitKey::default() }
    }

    /// How many tasks wait.
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
    key: WaitKey,
}

impl Future for Notified<'_> {
    type Output = ();

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Notified { notify, round, key } = &mut *self;
        let attempt = || match notify.rounds.get() != *round {
            true => Some(Notification::WithAll),
            false => notify.permit.take().then_some(Notification::Alone),
        };
        notify.queue.poll(key, (), cx, attempt).map(drop)
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if let Left::Called(Notification::Alone) = self.notify.queue.leave(&mut self.key) {
            self.notify.notify_one();
        }
    }
}

impl Default for Notify {
    #[track_caller]
    fn default() -> Notify {
        Notify::new()
    }
}
