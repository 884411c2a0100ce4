//! The latest value, and word when there is a later one.
//!
//! Facts. Who wants to know how things stand does not want to hear of everything that was.
//!
//! Contract. There is always a value. A receiver hears that it has changed once for any number of changes. Values are
//! handed out counted (`Rc`), so to keep one keeps nobody from sending the next.
//!
//! | method | cancel safe |
//! |---|---|
//! | `changed`, `wait_for`, `closed` | yes: a change counts as seen when `changed` returns, or by `borrow_and_update` |

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::channel::Closed;
use crate::task::spend_budget;
use crate::waiting::WaitQueue;

/// A value that changes, and that many look at.
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
pub fn watch<T>(init: T) -> (WatchSender<T>, WatchReceiver<T>) {
    let shared = Rc::new(Shared {
        value: RefCell::new(Rc::new(init)),
        version: Cell::new(0),
        senders: Cell::new(1),
        receivers: Cell::new(0),
        changed: WaitQueue::new("watch"),
        deserted: WaitQueue::new("end of a watch"),
    });
    let sender = WatchSender { shared };
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct Shared<T> {
    value: RefCell<Rc<T>>,
    version: Cell<u64>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    changed: WaitQueue,
    /// Where senders wait for the end of the last receiver.
    deserted: WaitQueue,
}

impl<T> Shared<T> {
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
    shared: Rc<Shared<T>>,
}

impl<T> WatchSender<T> {
    /// Replaces the value. This never waits.
    ///
    /// # Errors
    ///
    /// If there is no receiver: then nothing is replaced, and the value comes back.
    pub fn send(&self, value: T) -> Result<(), Closed<T>> {
        if self.shared.receivers.get() == 0 {
            return Err(Closed(value));
        }
        drop(self.shared.replace(value));
        Ok(())
    }

    /// Replaces the value, whether anybody looks or not; returns the old one.
    pub fn replace(&self, value: T) -> Rc<T> {
        self.shared.replace(value)
    }

    /// The value.
    pub fn borrow(&self) -> Rc<T> {
        self.shared.get()
    }

    /// A new receiver, which has seen the value as it is now.
    pub fn subscribe(&self) -> WatchReceiver<T> {
        self.shared.receivers.set(self.shared.receivers.get() + 1);
        WatchReceiver { shared: Rc::clone(&self.shared), seen: self.shared.version.get() }
    }

    /// Waits until nobody looks.
    pub async fn closed(&self) {
        let shared = &*self.shared;
        shared.deserted.wait((), || (shared.receivers.get() == 0).then_some(()), |_| {}).await;
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.shared.receivers.get()
    }
}

impl<T> Clone for WatchSender<T> {
    fn clone(&self) -> WatchSender<T> {
        self.shared.senders.set(self.shared.senders.get() + 1);
        WatchSender { shared: Rc::clone(&self.shared) }
    }
}

impl<T> Drop for WatchSender<T> {
    fn drop(&mut self) {
        self.shared.senders.set(self.shared.senders.get() - 1);
        if self.shared.senders.get() == 0 {
            self.shared.changed.call_all(());
        }
    }
}

/// The end that looks at the value.
pub struct WatchReceiver<T> {
    shared: Rc<Shared<T>>,
    /// The version that was seen last.
    seen: u64,
}

impl<T> WatchReceiver<T> {
    /// Waits until the value is another one than was seen last; from then on it counts as seen.
    ///
    /// # Errors
    ///
    /// If all senders are gone, and the last value was seen.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        let shared = &*self.shared;
        let news = || (shared.version.get() != self.seen || shared.senders.get() == 0).then_some(());
        shared.changed.wait((), news, |_| {}).await;
        let version = shared.version.get();
        if std::mem::replace(&mut self.seen, version) == version { Err(Closed(())) } else { Ok(()) }
    }

    /// Waits until the value is as `wanted`; it may be so already.
    ///
    /// # Errors
    ///
    /// If all senders are gone, and the last value is not so.
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

    /// The value. Whether it counts as seen does not change.
    pub fn borrow(&self) -> Rc<T> {
        self.shared.get()
    }

    /// The value, which counts as seen from now on.
    pub fn borrow_and_update(&mut self) -> Rc<T> {
        self.seen = self.shared.version.get();
        self.shared.get()
    }

    /// Whether the value is another one than was seen last.
    pub fn has_changed(&self) -> bool {
        self.seen != self.shared.version.get()
    }
}

impl<T> Clone for WatchReceiver<T> {
    fn clone(&self) -> WatchReceiver<T> {
        self.shared.receivers.set(self.shared.receivers.get() + 1);
        WatchReceiver { shared: Rc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Drop for WatchReceiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.set(self.shared.receivers.get() - 1);
        if self.shared.receivers.get() == 0 {
            self.shared.deserted.call_all(());
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for WatchSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchSender").field("value", &self.shared.get()).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for WatchReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchReceiver").field("value", &self.shared.get()).finish_non_exhaustive()
    }
}
