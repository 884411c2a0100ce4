//! Every value to everybody.
//!
//! Facts. Among many receivers, one is the slowest. To wait for it stops all; to keep everything for it fills the memory.
//!
//! What follows. The last `n` values are kept. A receiver that falls behind by more hears how many it has
//! [missed](BroadcastError::Lagged), and goes on with the oldest that is left. `send` never waits.
//!
//! Contract. A receiver gets the values that are sent after it was made, in order. A clone begins where its original
//! stands. When the last sender is gone, what is kept can still be received, and then comes `Closed`.
//!
//! | method | cancel safe |
//! |---|---|
//! | `recv` | yes: a value is taken in the poll that returns it |

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::channel::Closed;
use crate::core::panics::drop_each;
use crate::waiting::{Ticket, WaitQueue};

/// A channel in which each receiver gets each value; the last `capacity` are kept for those who are behind.
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
    let shared = Rc::new(Shared {
        kept: RefCell::default(),
        capacity,
        sent: Cell::new(0),
        senders: Cell::new(1),
        receivers: Cell::new(0),
        queue: WaitQueue::new("broadcast"),
    });
    let sender = BroadcastSender { shared };
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct Shared<T> {
    /// Counted, so that nothing is borrowed while a value is cloned.
    kept: RefCell<VecDeque<Rc<T>>>,
    capacity: usize,
    /// How many were sent in all; the last of them is the last that is kept.
    sent: Cell<u64>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    queue: WaitQueue,
}

impl<T> Shared<T> {
    /// The value with this number, or the number of the oldest that is left.
    fn get(&self, number: u64) -> Result<Rc<T>, u64> {
        let kept = self.kept.borrow();
        let oldest = self.sent.get() - kept.len() as u64;
        let index = number.checked_sub(oldest).ok_or(oldest)?;
        Ok(Rc::clone(&kept[index as usize]))
    }

    fn subscribe(self: &Rc<Self>, next: u64) -> BroadcastReceiver<T> {
        self.receivers.set(self.receivers.get() + 1);
        BroadcastReceiver { shared: Rc::clone(self), next, ticket: Ticket::default() }
    }
}

/// The end where values go in.
pub struct BroadcastSender<T> {
    shared: Rc<Shared<T>>,
}

impl<T: Clone> BroadcastSender<T> {
    /// Sends a value to all receivers there are; returns how many. This never waits.
    ///
    /// # Errors
    ///
    /// If there is no receiver. The value comes back.
    pub fn send(&self, value: T) -> Result<usize, Closed<T>> {
        let shared = &*self.shared;
        if shared.receivers.get() == 0 {
            return Err(Closed(value));
        }
        let value = Rc::new(value);
        let mut kept = shared.kept.borrow_mut();
        let oldest = if kept.len() == shared.capacity { kept.pop_front() } else { None };
        kept.push_back(value);
        drop(kept);
        shared.sent.set(shared.sent.get() + 1);
        shared.queue.call_all(());
        // Last: its destructor may panic, and the receivers must have been woken by then.
        drop(oldest);
        Ok(shared.receivers.get())
    }

    /// A new receiver, for what is sent from now on.
    pub fn subscribe(&self) -> BroadcastReceiver<T> {
        self.shared.subscribe(self.shared.sent.get())
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.shared.receivers.get()
    }
}

impl<T> Clone for BroadcastSender<T> {
    fn clone(&self) -> BroadcastSender<T> {
        self.shared.senders.set(self.shared.senders.get() + 1);
        BroadcastSender { shared: Rc::clone(&self.shared) }
    }
}

impl<T> Drop for BroadcastSender<T> {
    fn drop(&mut self) {
        self.shared.senders.set(self.shared.senders.get() - 1);
        if self.shared.senders.get() == 0 {
            self.shared.queue.call_all(());
        }
    }
}

/// The end where values come out. It is also a [`Stream`].
pub struct BroadcastReceiver<T> {
    shared: Rc<Shared<T>>,
    /// The number of the value that comes next.
    next: u64,
    ticket: Ticket,
}

impl<T: Clone> BroadcastReceiver<T> {
    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// If values were missed, which is said once; if all senders are gone and everything was received.
    pub async fn recv(&mut self) -> Result<T, BroadcastError> {
        let waiting = Leaving(self);
        std::future::poll_fn(|cx| waiting.0.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, BroadcastError>> {
        let BroadcastReceiver { shared, next, ticket } = self;
        let attempt = || (*next < shared.sent.get() || shared.senders.get() == 0).then_some(());
        ready!(shared.queue.poll(ticket, (), cx, attempt));
        if *next == shared.sent.get() {
            return Poll::Ready(Err(BroadcastError::Closed));
        }
        Poll::Ready(match shared.get(*next) {
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
    /// How many values are there to be received, or to be missed.
    pub fn len(&self) -> usize {
        (self.shared.sent.get() - self.next) as usize
    }

    /// Whether everything was received.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Leaves the line when the wait is dropped.
struct Leaving<'a, T>(&'a mut BroadcastReceiver<T>);

impl<T> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        self.0.shared.queue.leave(&mut self.0.ticket);
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
        self.shared.subscribe(self.next)
    }
}

impl<T> Drop for BroadcastReceiver<T> {
    fn drop(&mut self) {
        self.shared.queue.leave(&mut self.ticket);
        self.shared.receivers.set(self.shared.receivers.get() - 1);
        if self.shared.receivers.get() == 0 {
            // Nobody will ask for these. (A later `subscribe` begins with what comes later.)
            let unwanted = std::mem::take(&mut *self.shared.kept.borrow_mut());
            drop_each(unwanted.into_iter());
        }
    }
}

/// Why there is no value from a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroadcastError {
    /// So many were missed; the next `recv` goes on with the oldest that is kept.
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
        f.debug_struct("BroadcastSender").field("sent", &self.shared.sent.get()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for BroadcastReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastReceiver").field("next", &self.next).finish_non_exhaustive()
    }
}
