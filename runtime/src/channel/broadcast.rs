//! Every receiver gets every value.
//!
//! Facts. Among many receivers, one is the slowest. Waiting for it would stop all; keeping everything for it would fill
//! the memory.
//!
//! What follows. The channel keeps the last `n` values. A receiver that falls further behind is told how many values it
//! has [missed](BroadcastError::Lagged), and goes on with the oldest value that is left. `send` never waits.
//!
//! Contract. A receiver gets the values that are sent after it was made, in order. A clone starts at the position of
//! its original. When the last sender is gone, the values that are kept can still be received; after them comes
//! `Closed`.
//!
//! | method | cancel safe |
//! |---|---|
//! | `recv` | yes: the poll that takes a value returns it |

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::channel::closed::Closed;
use crate::core::panics::drop_each;
use crate::waiting::{WaitKey, WaitQueue};

/// A channel in which each receiver gets each value; the last `capacity` values are kept for slow receivers.
///
/// ```
/// roundel::run(async {
///     let (sender, mut anna) = roundel::channel::broadcast(16);
///     let mut boris = sender.subscribe();
///     sender.send("hello").unwrap();
///     assert_eq!(anna.recv().await, Ok("hello"));
///     assert_eq!(boris.recv().await, Ok("hello"));
/// });
/// ```
///
/// # Panics
///
/// If `capacity` is zero.
#[track_caller]
pub fn broadcast<T: Clone>(capacity: usize) -> (BroadcastSender<T>, BroadcastReceiver<T>) {
    assert!(capacity > 0, "a broadcast channel that keeps no value would deliver none: give it at least 1");
    let log = Rc::new(Log {
        kept: RefCell::default(),
        capacity,
        sent: Cell::new(0),
        senders: Cell::new(1),
        receivers: Cell::new(0),
        queue: WaitQueue::new(&"broadcast"),
    });
    let sender = BroadcastSender { log };
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// What the senders and receivers of one channel share: the last values that were sent.
struct Log<T> {
    /// The last values, oldest first. Each is an `Rc`, so that nothing is borrowed while a value is cloned.
    kept: RefCell<VecDeque<Rc<T>>>,
    capacity: usize,
    /// How many values were sent in all. The newest value in `kept` has the number `sent - 1`.
    sent: Cell<u64>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// Receivers that have received everything and wait for more.
    queue: WaitQueue,
}

impl<T> Log<T> {
    /// The value with this number; if it is no longer kept, the number of the oldest value that is.
    fn get(&self, number: u64) -> Result<Rc<T>, u64> {
        let kept = self.kept.borrow();
        let oldest = self.sent.get() - kept.len() as u64;
        let index = number.checked_sub(oldest).ok_or(oldest)?;
        Ok(Rc::clone(&kept[index as usize]))
    }

    fn subscribe(self: &Rc<Self>, next: u64) -> BroadcastReceiver<T> {
        self.receivers.set(self.receivers.get() + 1);
        BroadcastReceiver { log: Rc::clone(self), next, key: WaitKey::default() }
    }
}

/// The sending end.
pub struct BroadcastSender<T> {
    log: Rc<Log<T>>,
}

impl<T: Clone> BroadcastSender<T> {
    /// Gives the channel a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> BroadcastSender<T> {
        self.log.queue.resource.set_name(name);
        self
    }

    /// Sends a value to every receiver; returns how many receivers there are. This never waits.
    ///
    /// # Errors
    ///
    /// If there is no receiver. The value comes back.
    pub fn send(&self, value: T) -> Result<usize, Closed<T>> {
        let log = &*self.log;
        if log.receivers.get() == 0 {
            return Err(Closed(value));
        }
        let value = Rc::new(value);
        let mut kept = log.kept.borrow_mut();
        let oldest = if kept.len() == log.capacity { kept.pop_front() } else { None };
        kept.push_back(value);
        drop(kept);
        log.sent.set(log.sent.get() + 1);
        log.queue.call_all(());
        // Last: its destructor may panic, and the receivers must have been woken by then.
        drop(oldest);
        Ok(log.receivers.get())
    }

    /// A new receiver, which gets the values sent from now on.
    pub fn subscribe(&self) -> BroadcastReceiver<T> {
        self.log.subscribe(self.log.sent.get())
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.log.receivers.get()
    }
}

impl<T> Clone for BroadcastSender<T> {
    fn clone(&self) -> BroadcastSender<T> {
        self.log.senders.set(self.log.senders.get() + 1);
        BroadcastSender { log: Rc::clone(&self.log) }
    }
}

impl<T> Drop for BroadcastSender<T> {
    fn drop(&mut self) {
        self.log.senders.set(self.log.senders.get() - 1);
        if self.log.senders.get() == 0 {
            self.log.queue.call_all(());
        }
    }
}

/// The receiving end. It is also a [`Stream`].
pub struct BroadcastReceiver<T> {
    log: Rc<Log<T>>,
    /// The number of the next value to receive.
    next: u64,
    key: WaitKey,
}

impl<T: Clone> BroadcastReceiver<T> {
    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// If values were missed: this is reported once. If all senders are gone and everything was received.
    pub async fn recv(&mut self) -> Result<T, BroadcastError> {
        let waiting = Leaving(self);
        std::future::poll_fn(|cx| waiting.0.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, BroadcastError>> {
        let BroadcastReceiver { log, next, key } = self;
        // Wait until there is something to report: a value, or the end of the last sender.
        let attempt = || (*next < log.sent.get() || log.senders.get() == 0).then_some(());
        ready!(log.queue.poll(key, (), cx, attempt));
        if *next == log.sent.get() {
            return Poll::Ready(Err(BroadcastError::Closed));
        }
        // Everything up to `oldest` was dropped: report the gap once, and continue after it.
        Poll::Ready(match log.get(*next) {
            Ok(value) => {
                *next += 1;
                Ok(Rc::try_unwrap(value).unwrap_or_else(|value| T::clone(&value)))
            }
            Err(oldest) => {
                let missed = oldest - std::mem::replace(next, oldest);
                Err(BroadcastError::Lagged(missed))
            }
        })
    }
}

impl<T> BroadcastReceiver<T> {
    /// Gives the channel a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> BroadcastReceiver<T> {
        self.log.queue.resource.set_name(name);
        self
    }

    /// How many values this receiver has not received yet, counting those it has missed.
    pub fn len(&self) -> usize {
        (self.log.sent.get() - self.next) as usize
    }

    /// Whether this receiver has received everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Takes the receiver out of the line when the future of `recv` is dropped.
struct Leaving<'a, T>(&'a mut BroadcastReceiver<T>);

impl<T> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        self.0.log.queue.leave(&mut self.0.key);
    }
}

impl<T: Clone> Stream for BroadcastReceiver<T> {
    type Item = Result<T, BroadcastError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx)
            .map(|result| Some(result).filter(|result| !matches!(result, Err(BroadcastError::Closed))))
    }
}

impl<T> Clone for BroadcastReceiver<T> {
    fn clone(&self) -> BroadcastReceiver<T> {
        self.log.subscribe(self.next)
    }
}

impl<T> Drop for BroadcastReceiver<T> {
    fn drop(&mut self) {
        self.log.queue.leave(&mut self.key);
        self.log.receivers.set(self.log.receivers.get() - 1);
        if self.log.receivers.get() == 0 {
            // No receiver can ask for these values: a later `subscribe` starts after them.
            let unwanted = std::mem::take(&mut *self.log.kept.borrow_mut());
            drop_each(unwanted.into_iter());
        }
    }
}

/// Why there is no value from a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroadcastError {
    /// This many values were missed. The next `recv` continues with the oldest value that is kept.
    Lagged(u64),
    /// All senders are gone, and everything was received.
    Closed,
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BroadcastError::Lagged(n) => {
                write!(f, "the receiver was too slow and has missed {n} values: receive faster, or keep more")
            }
            BroadcastError::Closed => f.write_str("all senders are gone"),
        }
    }
}

impl std::error::Error for BroadcastError {}

impl<T> fmt::Debug for BroadcastSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastSender").field("sent", &self.log.sent.get()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for BroadcastReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastReceiver").field("next", &self.next).finish_non_exhaustive()
    }
}
