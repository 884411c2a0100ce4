//! Channels: many may send, many may receive, each value reaches one of them.
//!
//! Facts. A producer that is faster than its consumer needs a limit, or memory is the limit. The end of a stream of
//! values is that nobody is left who could send one.
//!
//! Contract. All on `&self`; both ends can be cloned. A value is received once. Who waits first is served first. When
//! the last sender is dropped, or either side calls `close`, what is in can still be received, and then comes
//! [`Closed`]. When the last receiver is dropped, what is in is dropped, and who sends gets the value back.
//! A bounded channel never holds more than its capacity; that of 0 holds nothing: its `send` ends when somebody has
//! received.
//!
//! | method | cancel safe |
//! |---|---|
//! | `recv` | yes: no value is lost; a value that was meant for us goes to the next |
//! | `next` of the stream | yes: it had no claim to a value, so the next receiver that asks has it |
//! | `reserve` | yes |
//! | `send` | the value is dropped with the future, unless it had been sent; to keep it, `reserve` first |

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::channel::line::{Line, Send};
use crate::channel::store::Store;
use crate::channel::{Closed, TryRecvError, TrySendError};
use crate::waiting::Ticket;

/// A channel that holds at most `capacity` values; with 0, a rendezvous.
///
/// ```
/// use roundel::channel;
/// roundel::run(async {
///     let (sender, receiver) = channel::bounded(2);
///     let producer = roundel::spawn(async move {
///         for i in 0..5 {
///             sender.send(i).await.unwrap(); // waits whenever two are on their way
///         }
///     });
///     let mut got = Vec::new();
///     while let Ok(i) = receiver.recv().await {
///         got.push(i);
///     }
///     assert_eq!(got, [0, 1, 2, 3, 4]);
///     producer.await.unwrap();
/// });
/// ```
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    pair(Store::fifo(), Some(capacity))
}

/// A channel without a limit: `send` never waits, so [`try_send`](Sender::try_send) does the same without a future.
///
/// A producer that is faster than its consumer fills the memory; [`bounded`] is what to begin with.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    pair(Store::fifo(), None)
}

/// A channel of at most `capacity` values that gives the smallest first; of equal ones, the first.
///
/// ```
/// use std::cmp::Reverse;
/// let (sender, receiver) = roundel::channel::priority(10);
/// for urgency in [1, 3, 2] {
///     sender.try_send(Reverse(urgency)).unwrap(); // reversed: the largest first
/// }
/// assert_eq!(receiver.try_recv().unwrap(), Reverse(3));
/// ```
pub fn priority<T: Ord + 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    pair(Store::smallest_first(), Some(capacity))
}

/// A channel of at most `capacity` values that gives the newest first.
pub fn lifo<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    pair(Store::lifo(), Some(capacity))
}

fn pair<T>(store: Store<T>, capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let line = Line::new(store, capacity);
    let shared = Rc::new(Shared { line, senders: Cell::new(1), receivers: Cell::new(1) });
    (Sender { shared: Rc::clone(&shared) }, Receiver { shared, ticket: Cell::default() })
}

#[derive(Debug)]
struct Shared<T> {
    line: Line<T>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
}

/// The end where values go in.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends a value; waits for room, if there is none.
    ///
    /// # Errors
    ///
    /// If the channel is closed. The value comes back.
    #[inline]
    pub fn send(&self, value: T) -> Send<'_, T> {
        self.shared.line.send(value)
    }

    /// Sends a value if there is room; on a channel of capacity 0, if a receiver waits.
    ///
    /// # Errors
    ///
    /// If there is no room, or others wait for it, or the channel is closed. The value comes back.
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.shared.line.try_send(value)
    }

    /// Waits for room, for a value that is not to be risked, or not made, before.
    ///
    /// A permit does not keep the channel open: when it is closed, [`Permit::send`] gives the value back. (In tokio, a permit
    /// that was reserved before `close` can still be used. Here, closed means that nothing goes in any more.)
    ///
    /// On a channel of capacity 0 the room is for one value in passing: [`Permit::send`] does not wait for the
    /// receiver.
    ///
    /// # Errors
    ///
    /// If the channel is closed.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, Closed> {
        let mut waiting = Reserve { line: &self.shared.line, ticket: Ticket::default() };
        let room = std::future::poll_fn(|cx| waiting.line.poll_room(&mut waiting.ticket, cx)).await;
        if room { Ok(Permit { line: &self.shared.line }) } else { Err(Closed(())) }
    }
}

/// Who waits for room; dropped, it leaves the line.
struct Reserve<'a, T> {
    line: &'a Line<T>,
    ticket: Ticket,
}

impl<T> Drop for Reserve<'_, T> {
    fn drop(&mut self) {
        self.line.leave_room(&mut self.ticket);
    }
}

/// Room for one value in a channel; dropped, it is given back.
#[must_use = "room that is not used is given back"]
#[derive(Debug)]
pub struct Permit<'a, T> {
    line: &'a Line<T>,
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.line.give_room();
    }
}

impl<T> Permit<'_, T> {
    /// Sends a value, without waiting.
    ///
    /// # Errors
    ///
    /// If the channel was closed after the room was reserved. The value comes back.
    pub fn send(self, value: T) -> Result<(), Closed<T>> {
        if self.line.is_closed() {
            return Err(Closed(value));
        }
        self.line.fill(value);
        // The room is the value's now.
        std::mem::forget(self);
        Ok(())
    }
}

/// The end where values come out. It is also a [`Stream`].
///
/// A `next` that is dropped does not tell the stream, so a stream that waits has no claim to a value: it is woken when there
/// is one, together with the streams of the clones that wait, and a `recv` that waits goes first. Workers that share a
/// channel do better with [`recv`](Receiver::recv).
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
    /// Where we stand in line as a stream.
    ticket: Cell<Ticket>,
}

impl<T> Receiver<T> {
    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// If the channel is closed and empty.
    #[inline]
    pub fn recv(&self) -> Recv<'_, T> {
        self.leave();
        Recv::new(&self.shared.line)
    }

    /// The next value, if there is one to which nobody has a claim who waited for it. (In a closed channel there are no
    /// claims.)
    ///
    /// # Errors
    ///
    /// If there is none; if there is none and there will be none.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.leave();
        self.shared.line.try_recv()
    }

    /// Waits no more as a stream: or a value would come to that, for which we ask here.
    fn leave(&self) {
        let mut ticket = self.ticket.take();
        self.shared.line.leave_as_stream(&mut ticket);
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Receiver { shared, ticket } = &mut *self;
        shared.line.poll_next(ticket.get_mut(), cx)
    }
}

/// See [`Receiver::recv`] and [`Queue::get`](crate::channel::Queue::get).
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct Recv<'a, T> {
    line: &'a Line<T>,
    ticket: Ticket,
}

impl<T> Recv<'_, T> {
    #[inline]
    pub(crate) fn new(line: &Line<T>) -> Recv<'_, T> {
        Recv { line, ticket: Ticket::default() }
    }
}

impl<T> Future for Recv<'_, T> {
    type Output = Result<T, Closed>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Closed>> {
        let Recv { line, ticket } = &mut *self;
        line.poll_recv(ticket, cx)
    }
}

impl<T> Drop for Recv<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.line.leave(&mut self.ticket);
    }
}

/// What both ends can be asked.
macro_rules! both_ends {
    ($end:ident) => {
        impl<T> $end<T> {
            /// Nothing goes in any more. What is in can still be received.
            pub fn close(&self) {
                self.shared.line.close();
            }

            /// Whether nothing goes in any more.
            pub fn is_closed(&self) -> bool {
                self.shared.line.is_closed()
            }

            /// How many values are in.
            pub fn len(&self) -> usize {
                self.shared.line.len()
            }

            /// Whether nothing is in.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many values there is room for; `None` if there is no limit.
            pub fn capacity(&self) -> Option<usize> {
                self.shared.line.capacity()
            }

            /// How many senders there are.
            pub fn senders(&self) -> usize {
                self.shared.senders.get()
            }

            /// How many receivers there are.
            pub fn receivers(&self) -> usize {
                self.shared.receivers.get()
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($end)).field(&self.shared.line).finish()
            }
        }
    };
}

both_ends!(Sender);
both_ends!(Receiver);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.shared.senders.set(self.shared.senders.get() + 1);
        Sender { shared: Rc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let left = self.shared.senders.get() - 1;
        self.shared.senders.set(left);
        if left == 0 {
            self.shared.line.close();
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.shared.receivers.set(self.shared.receivers.get() + 1);
        Receiver { shared: Rc::clone(&self.shared), ticket: Cell::default() }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.leave();
        let left = self.shared.receivers.get() - 1;
        self.shared.receivers.set(left);
        if left == 0 {
            self.shared.line.close();
            self.shared.line.clear();
        }
    }
}
