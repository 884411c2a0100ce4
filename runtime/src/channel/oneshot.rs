//! One value, from one task to another.
//!
//! Facts. There is one who sends, once, and one who waits: no line is needed.
//!
//! Contract. The receiver gets the value, or hears that the sender is gone. A sender whose receiver is gone gets the
//! value back, and can [wait](OneshotSender::closed) to hear of that, so as not to work in vain.
//!
//! | method | cancel safe |
//! |---|---|
//! | the receiver | yes: polled no more and polled again later, it has lost nothing |
//! | `closed` | yes |

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::channel::{Closed, TryRecvError};
use crate::core::context;
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
    let shared = Rc::new(Shared {
        value: Cell::new(None),
        closed: Cell::new(false),
        receiver_waits: Cell::new(false),
        sender_waits: Cell::new(false),
        receiver: Cell::new(None),
        sender: Cell::new(None),
        number: Cell::new(0),
    });
    (OneshotSender { shared: Rc::clone(&shared) }, OneshotReceiver { shared, waiting: false })
}

struct Shared<T> {
    value: Cell<Option<T>>,
    /// One side has ended, or the value has been sent.
    closed: Cell<bool>,
    /// Whether there is a waker in the places below: so they need not be looked at.
    receiver_waits: Cell<bool>,
    sender_waits: Cell<bool>,
    /// The receiver, when it waits for the value.
    receiver: Cell<Option<Waiter>>,
    /// The sender, when it waits for the receiver's end; few do, so it is kept elsewhere.
    sender: Cell<Option<Box<Waiter>>>,
    /// For the probe.
    number: Cell<u64>,
}

impl<T> Shared<T> {
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

/// The end where the value goes in.
pub struct OneshotSender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> OneshotSender<T> {
    /// Sends the value. This never waits.
    ///
    /// # Errors
    ///
    /// If the receiver is gone. The value comes back.
    #[inline]
    pub fn send(self, value: T) -> Result<(), Closed<T>> {
        if self.shared.closed.get() {
            return Err(Closed(value));
        }
        self.shared.value.set(Some(value));
        Ok(())
        // To be dropped is what wakes the receiver.
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.get()
    }

    /// Waits until the receiver is gone.
    pub async fn closed(&mut self) {
        std::future::poll_fn(|cx| {
            ready!(context::spend(cx.waker()));
            let old = self.shared.sender.replace(Some(Box::new(Waiter::new(cx.waker()))));
            self.shared.sender_waits.set(true);
            drop(old);
            // Asked last: to clone and to drop a waker is foreign code.
            if self.shared.closed.get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl<T> Drop for OneshotSender<T> {
    #[inline]
    fn drop(&mut self) {
        self.shared.closed.set(true);
        self.shared.wake_receiver();
    }
}

/// The end where the value comes out: await it.
///
/// Polled again after it has given the value, it says that the channel is closed. (In tokio, that panics.)
#[must_use = "futures do nothing unless awaited"]
pub struct OneshotReceiver<T> {
    shared: Rc<Shared<T>>,
    /// Whether the probe has been told of a wait.
    waiting: bool,
}

impl<T> OneshotReceiver<T> {
    /// The value, if it is there.
    ///
    /// # Errors
    ///
    /// If it is not; if it is not and will not come.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let nothing = if self.shared.closed.get() { TryRecvError::Closed } else { TryRecvError::Empty };
        self.shared.value.take().ok_or(nothing)
    }

    /// Says that the value will not be wanted. If it was sent before, it can still be received.
    pub fn close(&mut self) {
        self.shared.closed.set(true);
        self.shared.wake_sender();
    }
}

impl<T> Future for OneshotReceiver<T> {
    type Output = Result<T, Closed>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Closed>> {
        if !self.shared.closed.get() {
            let old = self.shared.receiver.replace(Some(Waiter::new(cx.waker())));
            self.shared.receiver_waits.set(true);
            drop(old);
        }
        // Asked again: to clone and to drop a waker is foreign code.
        let over = self.shared.closed.get();
        self.announce(!over);
        if !over {
            return Poll::Pending;
        }
        context::spend(cx.waker()).map(|()| self.shared.value.take().ok_or(Closed(())))
    }
}

impl<T> OneshotReceiver<T> {
    #[inline]
    fn announce(&mut self, waits: bool) {
        if std::mem::replace(&mut self.waiting, waits) != waits {
            announce("oneshot", &self.shared.number, waits);
        }
    }
}

impl<T> Drop for OneshotReceiver<T> {
    #[inline]
    fn drop(&mut self) {
        self.announce(false);
        if !self.shared.closed.get() {
            self.shared.receiver_waits.set(false);
            // Dropped last: its destructor may panic, and the sender must have been woken by then.
            let _waiter = self.shared.receiver.take();
            self.close();
        }
        // A value that was sent is dropped with the cell: its sender has gone.
    }
}

impl<T> fmt::Debug for OneshotSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneshotSender").field("closed", &self.shared.closed.get()).finish()
    }
}

impl<T> fmt::Debug for OneshotReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneshotReceiver").field("closed", &self.shared.closed.get()).finish()
    }
}
