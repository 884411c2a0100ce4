//! The latest value, and word when there is a newer one.
//!
//! Facts. A task that wants to know the current state does not need every earlier state.
//!
//! Contract. There is always a value. A receiver hears of any number of changes once. Values are handed out as `Rc`, so
//! a receiver that keeps one does not block the sender.
//!
//! | method | cancel safe |
//! |---|---|
//! | `changed`, `wait_for`, `closed` | yes: a change counts as seen when `changed` returns, or by `borrow_and_update` |

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::channel::closed::Closed;
use crate::task::spend_budget;
use crate::waiting::WaitQueue;

/// A value that changes, and that many receivers look at.
///
/// ```
/// roundel::run(async {
///     let (sender, mut receiver) = roundel::channel::watch("starting");
///     assert_eq!(*receiver.borrow(), "starting");
///     sender.send("running").unwrap();
///     sender.send("stopping").unwrap();
///     receiver.changed().await.unwrap();
///     assert_eq!(*receiver.borrow(), "stopping");
///     drop(sender);
///     assert!(receiver.changed().await.is_err());
/// });
/// ```
#[track_caller]
pub fn watch<T>(init: T) -> (WatchSender<T>, WatchReceiver<T>) {
    let cell = Rc::new(WatchCell {
        value: RefCell::new(Rc::new(init)),
        version: Cell::new(0),
        senders: Cell::new(1),
        receivers: Cell::new(0),
        changed: WaitQueue::new(&"watch"),
        deserted: WaitQueue::new(&"end of a watch"),
    });
    let sender = WatchSender { cell };
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// What the senders and receivers of one channel share.
struct WatchCell<T> {
    value: RefCell<Rc<T>>,
    /// How often the value was replaced.
    version: Cell<u64>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// The receivers that wait for the next version, or for the end of the last sender.
    changed: WaitQueue,
    /// The senders that wait for the end of the last receiver.
    deserted: WaitQueue,
}

impl<T> WatchCell<T> {
    fn set_name(&self, name: &'static str) {
        self.changed.resource.set_name(name);
        self.deserted.resource.set_name(name);
    }

    fn get(&self) -> Rc<T> {
        Rc::clone(&self.value.borrow())
    }

    fn replace(&self, value: T) -> Rc<T> {
        let old = self.value.replace(Rc::new(value));
        self.version.set(self.version.get() + 1);
        self.changed.call_all(());
        old
    }
}

/// The end that changes the value.
pub struct WatchSender<T> {
    cell: Rc<WatchCell<T>>,
}

impl<T> WatchSender<T> {
    /// Gives the channel a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> WatchSender<T> {
        self.cell.set_name(name);
        self
    }

    /// Replaces the value. This never waits.
    ///
    /// # Errors
    ///
    /// If there is no receiver. Then the value is not replaced, and the new one comes back.
    pub fn send(&self, value: T) -> Result<(), Closed<T>> {
        if self.cell.receivers.get() == 0 {
            return Err(Closed(value));
        }
        drop(self.cell.replace(value));
        Ok(())
    }

    /// Replaces the value even if there is no receiver; returns the old value.
    pub fn replace(&self, value: T) -> Rc<T> {
        self.cell.replace(value)
    }

    /// The value.
    pub fn borrow(&self) -> Rc<T> {
        self.cell.get()
    }

    /// A new receiver, which has seen the value as it is now.
    pub fn subscribe(&self) -> WatchReceiver<T> {
        self.cell.receivers.set(self.cell.receivers.get() + 1);
        WatchReceiver { cell: Rc::clone(&self.cell), seen: self.cell.version.get() }
    }

    /// Waits until there is no receiver.
    pub async fn closed(&self) {
        let cell = &*self.cell;
        cell.deserted.wait((), || (cell.receivers.get() == 0).then_some(()), |_| {}).await;
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.cell.receivers.get()
    }
}

impl<T> Clone for WatchSender<T> {
    fn clone(&self) -> WatchSender<T> {
        self.cell.senders.set(self.cell.senders.get() + 1);
        WatchSender { cell: Rc::clone(&self.cell) }
    }
}

impl<T> Drop for WatchSender<T> {
    fn drop(&mut self) {
        self.cell.senders.set(self.cell.senders.get() - 1);
        if self.cell.senders.get() == 0 {
            self.cell.changed.call_all(());
        }
    }
}

/// The end that looks at the value.
pub struct WatchReceiver<T> {
    cell: Rc<WatchCell<T>>,
    /// The version that this receiver has seen last.
    seen: u64,
}

impl<T> WatchReceiver<T> {
    /// Gives the channel a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> WatchReceiver<T> {
        self.cell.set_name(name);
        self
    }

    /// Waits until there is a newer value than this receiver has seen. The newer value then counts as seen.
    ///
    /// # Errors
    ///
    /// If all senders are gone, and the last value was seen.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        let cell = &*self.cell;
        let news = || (cell.version.get() != self.seen || cell.senders.get() == 0).then_some(());
        cell.changed.wait((), news, |_| {}).await;
        let version = cell.version.get();
        if std::mem::replace(&mut self.seen, version) == version { Err(Closed(())) } else { Ok(()) }
    }

    /// Waits until `wanted` returns true for the value, which may be the current one.
    ///
    /// # Errors
    ///
    /// If all senders are gone, and `wanted` returns false for the last value.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<Rc<T>, Closed> {
        spend_budget().await;
        loop {
            let value = self.borrow_and_update();
            if wanted(&value) {
                return Ok(value);
            }
            self.changed().await?;
        }
    }

    /// The value. This does not count as seeing it.
    pub fn borrow(&self) -> Rc<T> {
        self.cell.get()
    }

    /// The value, which counts as seen from now on.
    pub fn borrow_and_update(&mut self) -> Rc<T> {
        self.seen = self.cell.version.get();
        self.cell.get()
    }

    /// Whether there is a newer value than this receiver has seen.
    pub fn has_changed(&self) -> bool {
        self.seen != self.cell.version.get()
    }
}

impl<T> Clone for WatchReceiver<T> {
    fn clone(&self) -> WatchReceiver<T> {
        self.cell.receivers.set(self.cell.receivers.get() + 1);
        WatchReceiver { cell: Rc::clone(&self.cell), seen: self.seen }
    }
}

impl<T> Drop for WatchReceiver<T> {
    fn drop(&mut self) {
        self.cell.receivers.set(self.cell.receivers.get() - 1);
        if self.cell.receivers.get() == 0 {
            self.cell.deserted.call_all(());
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for WatchSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchSender").field("value", &self.cell.get()).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for WatchReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchReceiver").field("value", &self.cell.get()).finish_non_exhaustive()
    }
}
