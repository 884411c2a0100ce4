//! One value, from one task to another.
//!
//! Facts. One task sends, once, and one task waits: no line is needed.
//!
//! Contract. The receiver gets the value, or hears that the sender is gone. A sender whose receiver is gone gets the
//! value back. It can also [wait](OneshotSender::closed) for that, to stop work that is no longer wanted.
//!
//! | method | cancel safe |
//! |---|---|
//! | the receiver | yes: it can be left unpolled and polled again later without losing the value |
//! | `closed` | yes |

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::channel::closed::{Closed, TryRecvError};
use crate::core::context::budget;
use crate::waiter::Waiter;
use crate::waiting::announce;

/// A channel for a single value.
///
/// ```
/// roundel::run(async {
///     let (sender, receiver) = roundel::channel::oneshot();
///     roundel::spawn(async move { sender.send(42).unwrap() }).detach();
///     assert_eq!(receiver.await, Ok(42));
/// });
/// ```
pub fn oneshot<T>() -> (OneshotSender<T>, OneshotReceiver<T>) {
    let cell = Rc::new(OneshotCell {
        value: Cell::new(None),
        closed: Cell::new(false),
        receiver_waits: Cell::new(false),
        sender_waits: Cell::new(false),
        receiver: Cell::new(None),
        sender: Cell::new(None),
        number: Cell::new(0),
    });
    (OneshotSender { cell: Rc::clone(&cell) }, OneshotReceiver { cell, waiting: false })
}

/// What the sender and the receiver share.
struct OneshotCell<T> {
    /// The value, from `send` until it is received.
    value: Cell<Option<T>>,
    /// Set when the value is sent, when one side is dropped, and by `close`. Never cleared.
    closed: Cell<bool>,
    /// Set when a waker is put into `receiver`, cleared when it is woken or dropped. It saves a look at `receiver`.
    receiver_waits: Cell<bool>,
    /// The same for `sender`.
    sender_waits: Cell<bool>,
    /// The receiver, while it waits for the value.
    receiver: Cell<Option<Waiter>>,
    /// The sender, while it waits for the receiver's end. Few senders do, so it is boxed.
    sender: Cell<Option<Box<Waiter>>>,
    /// The number under which the probe knows this channel; zero until the first wait is reported.
    number: Cell<u64>,
}

impl<T> OneshotCell<T> {
    #[inline]
    fn wake_receiver(&self) {
        if self.receiver_waits.take()
            && let Some(waiter) = self.receiver.take()
        {
            waiter.wake();
        }
    }

    #[inline]
    fn wake_sender(&self) {
        if self.sender_waits.take()
            && let Some(waiter) = self.sender.take()
        {
            waiter.wake();
        }
    }
}

/// The sending end.
pub struct OneshotSender<T> {
    cell: Rc<OneshotCell<T>>,
}

impl<T> OneshotSender<T> {
    /// Sends the value. This never waits.
    ///
    /// # Errors
    ///
    /// If the receiver is gone. The value comes back.
    #[inline]
    pub fn send(self, value: T) -> Result<(), Closed<T>> {
        if self.cell.closed.get() {
            return Err(Closed(value));
        }
        self.cell.value.set(Some(value));
        Ok(())
        // `self` is dropped here, and that wakes the receiver.
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.cell.closed.get()
    }

    /// Waits until the receiver is gone.
    pub async fn closed(&mut self) {
        let mut wait = WaitForEnd { number: Cell::new(0), waiting: false };
        std::future::poll_fn(|cx| {
            ready!(budget::spend(cx.waker()));
            let old = self.cell.sender.replace(Some(Box::new(Waiter::new(cx.waker()))));
            self.cell.sender_waits.set(true);
            drop(old);
            // Asked last, because cloning and dropping a waker run foreign code, which may close the channel.
            let over = self.cell.closed.get();
            wait.announce(!over);
            if over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// A sender's wait for the end of the receiver, as the probe knows it.
struct WaitForEnd {
    number: Cell<u64>,
    waiting: bool,
}

impl WaitForEnd {
    #[inline]
    fn announce(&mut self, waits: bool) {
        if std::mem::replace(&mut self.waiting, waits) != waits {
            announce("oneshot to be closed", &self.number, waits);
        }
    }
}

impl Drop for WaitForEnd {
    fn drop(&mut self) {
        self.announce(false);
    }
}

impl<T> Drop for OneshotSender<T> {
    #[inline]
    fn drop(&mut self) {
        self.cell.closed.set(true);
        self.cell.wake_receiver();
    }
}

/// The receiving end: await it.
///
/// If it is polled again after it has given the value, it reports that the channel is closed. (In tokio, that panics.)
#[must_use = "futures do nothing unless awaited"]
pub struct OneshotReceiver<T> {
    cell: Rc<OneshotCell<T>>,
    /// Set while the probe knows of our wait: from its report that the wait begins until its report that it ends.
    waiting: bool,
}

impl<T> OneshotReceiver<T> {
    /// The value, if it is there.
    ///
    /// # Errors
    ///
    /// If it is not there yet; if it is not there and will not come.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let nothing = if self.cell.closed.get() { TryRecvError::Closed } else { TryRecvError::Empty };
        self.cell.value.take().ok_or(nothing)
    }

    /// Refuses the value. If it was already sent, it can still be received.
    pub fn close(&mut self) {
        self.cell.closed.set(true);
        self.cell.wake_sender();
    }
}

impl<T> Future for OneshotReceiver<T> {
    type Output = Result<T, Closed>;

    #[inline]
    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Closed>> {
        // First leave our waker, then ask.
        if !self.cell.closed.get() {
            let old = self.cell.receiver.replace(Some(Waiter::new(cx.waker())));
            self.cell.receiver_waits.set(true);
            drop(old);
        }
        // Asked again, because cloning and dropping a waker run foreign code, which may close the channel.
        let over = self.cell.closed.get();
        self.announce(!over);
        if !over {
            return Poll::Pending;
        }
        budget::spend(cx.waker()).map(|()| self.cell.value.take().ok_or(Closed(())))
    }
}

impl<T> OneshotReceiver<T> {
    #[inline]
    #[track_caller]
    fn announce(&mut self, waits: bool) {
        if std::mem::replace(&mut self.waiting, waits) != waits {
            announce("oneshot", &self.cell.number, waits);
        }
    }
}

impl<T> Drop for OneshotReceiver<T> {
    #[inline]
    fn drop(&mut self) {
        self.announce(false);
        if !self.cell.closed.get() {
            self.cell.receiver_waits.set(false);
            // Dropped last: its destructor may panic, and the sender must have been woken by then.
            let _waiter = self.cell.receiver.take();
            self.close();
        }
        // If a value was sent, the sender is gone, so the value is dropped together with the cell.
    }
}

impl<T> fmt::Debug for OneshotSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneshotSender").field("closed", &self.cell.closed.get()).finish()
    }
}

impl<T> fmt::Debug for OneshotReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneshotReceiver").field("closed", &self.cell.closed.get()).finish()
    }
}
