//! Channels with many senders and many receivers; each value reaches one receiver.
//!
//! Facts. A producer that is faster than its consumer needs a limit, or memory is the limit. A stream of values ends
//! when no sender is left.
//!
//! Contract. All methods take `&self`; both ends can be cloned. A value is received once. Waiters are served in the
//! order in which they came. When the last sender is dropped, or either side calls `close`, the values in the channel
//! can still be received; after them comes [`Closed`]. When the last receiver is dropped, the values in the channel are
//! dropped, and a later `send` gets its value back. A bounded channel never holds more than its capacity. With capacity
//! 0 it holds nothing: its `send` ends when a receiver has the value.
//!
//! | method | cancel safe |
//! |---|---|
//! | `recv` | yes: no value is lost; a value that was meant for us goes to the next receiver |
//! | `next` of the stream | yes: it had no claim to a value, so the next receiver that asks gets it |
//! | `reserve` | yes |
//! | `send` | the value is dropped with the future unless it was sent; to keep it, call `reserve` first |

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::channel::buffer::{Buffer, Send};
use crate::channel::closed::{Closed, TryRecvError, TrySendError};
use crate::channel::store::Store;
use crate::waiting::WaitKey;

/// A channel that holds at most `capacity` values; with 0, a rendezvous.
///
/// ```
/// use roundel::channel;
/// roundel::run(async {
///     let (sender, receiver) = channel::bounded(2);
///     let producer = roundel::spawn(async move {
///         for i in 0..5 {
///             sender.send(i).await.unwrap(); // waits while the channel holds two
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
#[track_caller]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    pair(Store::fifo(), Some(capacity))
}

/// A channel without a limit: `send` never waits, so [`try_send`](Sender::try_send) does the same without a future.
///
/// A producer that is faster than its consumer fills the memory. Start with [`bounded`].
#[track_caller]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    pair(Store::fifo(), None)
}

/// A channel of at most `capacity` values that gives the smallest value first; of equal values, the one sent first.
///
/// ```
/// use std::cmp::Reverse;
/// let (sender, receiver) = roundel::channel::priority(10);
/// for urgency in [1, 3, 2] {
///     sender.try_send(Reverse(urgency)).unwrap(); // reversed: the largest first
/// }
/// assert_eq!(receiver.try_recv().unwrap(), Reverse(3));
/// ```
#[track_caller]
pub fn priority<T: Ord + 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    pair(Store::smallest_first(), Some(capacity))
}

/// A channel of at most `capacity` values that gives the newest value first.
#[track_caller]
pub fn lifo<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    pair(Store::lifo(), Some(capacity))
}

#[track_caller]
fn pair<T>(store: Store<T>, capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let buffer = Buffer::new(store, capacity);
    let ends = Rc::new(Ends { buffer, senders: Cell::new(1), receivers: Cell::new(1) });
    (Sender { ends: Rc::clone(&ends) }, Receiver { ends, key: Cell::default() })
}

/// A buffer, and how many ends it has.
#[derive(Debug)]
struct Ends<T> {
    buffer: Buffer<T>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
}

/// The sending end.
pub struct Sender<T> {
    ends: Rc<Ends<T>>,
}

impl<T> Sender<T> {
    /// Gives the channel a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> Sender<T> {
        self.ends.buffer.set_name(name);
        self
    }

    /// Sends a value; waits if there is no room.
    ///
    /// # Errors
    ///
    /// If the channel is closed. The value comes back.
    #[inline]
    pub fn send(&self, value: T) -> Send<'_, T> {
        self.ends.buffer.send(value)
    }

    /// Sends a value if there is room; on a channel of capacity 0, if a receiver is waiting.
    ///
    /// # Errors
    ///
    /// If there is no room, if other senders are waiting for it, or if the channel is closed. The value comes back.
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.ends.buffer.try_send(value)
    }

    /// Waits for room. Use it when a value must not be lost, or should not be made before there is room for it.
    ///
    /// A permit does not keep the channel open: once it is closed, [`Permit::send`] gives the value back. (In tokio, a
    /// permit that was reserved before `close` can still be used. Here, nothing goes into a closed channel.)
    ///
    /// On a channel of capacity 0 the room is for one value in passing: [`Permit::send`] does not wait for the
    /// receiver.
    ///
    /// # Errors
    ///
    /// If the channel is closed.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, Closed> {
        let mut waiting = Reserve { buffer: &self.ends.buffer, key: WaitKey::default() };
        let room = std::future::poll_fn(|cx| waiting.buffer.poll_room(&mut waiting.key, cx)).await;
        if room { Ok(Permit { buffer: &self.ends.buffer }) } else { Err(Closed(())) }
    }
}

#[cfg(feature = "sink")]
impl<T> Sender<T> {
    pub(crate) fn buffer(&self) -> &Buffer<T> {
        &self.ends.buffer
    }
}

/// A wait for room. When it is dropped, it leaves the line.
struct Reserve<'a, T> {
    buffer: &'a Buffer<T>,
    key: WaitKey,
}

impl<T> Drop for Reserve<'_, T> {
    fn drop(&mut self) {
        self.buffer.leave_room(&mut self.key);
    }
}

/// Room for one value in a channel. When it is dropped, the room is given back.
#[must_use = "room that is not used is given back"]
#[derive(Debug)]
pub struct Permit<'a, T> {
    buffer: &'a Buffer<T>,
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.buffer.give_room();
    }
}

impl<T> Permit<'_, T> {
    /// Sends a value, without waiting.
    ///
    /// # Errors
    ///
    /// If the channel was closed after the room was reserved. The value comes back.
    pub fn send(self, value: T) -> Result<(), Closed<T>> {
        if self.buffer.is_closed() {
            return Err(Closed(value));
        }
        self.buffer.fill(value);
        // The room belongs to the value now, so `drop` must not give it back.
        std::mem::forget(self);
        Ok(())
    }
}

/// The receiving end. It is also a [`Stream`].
///
/// A stream does not notice when its `next` is dropped, so a waiting stream has no claim to a value. When a value
/// comes, all waiting streams of the clones are woken, and a waiting `recv` goes first. Workers that share a channel do
/// better with [`recv`](Receiver::recv).
pub struct Receiver<T> {
    ends: Rc<Ends<T>>,
    /// Set while this receiver waits as a stream: its entry in the line.
    key: Cell<WaitKey>,
}

impl<T> Receiver<T> {
    /// Gives the channel a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> Receiver<T> {
        self.ends.buffer.set_name(name);
        self
    }

    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// If the channel is closed and empty.
    #[inline]
    pub fn recv(&self) -> Recv<'_, T> {
        self.leave();
        Recv::new(&self.ends.buffer)
    }

    /// The next value, if there is one that is not claimed by a receiver that waited for it. (In a closed channel there
    /// are no claims.)
    ///
    /// # Errors
    ///
    /// If there is no value at the moment; if there is none and the channel is closed.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.leave();
        self.ends.buffer.try_recv()
    }

    /// Stops waiting as a stream, or word of the value that we are asking for would go to that wait.
    fn leave(&self) {
        let mut key = self.key.take();
        self.ends.buffer.leave_as_stream(&mut key);
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    #[track_caller]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Receiver { ends, key } = &mut *self;
        ends.buffer.poll_next(key.get_mut(), cx)
    }
}

/// See [`Receiver::recv`] and [`Queue::get`](crate::channel::Queue::get).
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct Recv<'a, T> {
    buffer: &'a Buffer<T>,
    key: WaitKey,
}

impl<T> Recv<'_, T> {
    #[inline]
    pub(crate) fn new(buffer: &Buffer<T>) -> Recv<'_, T> {
        Recv { buffer, key: WaitKey::default() }
    }
}

impl<T> Future for Recv<'_, T> {
    type Output = Result<T, Closed>;

    #[inline(always)]
    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Closed>> {
        let Recv { buffer, key } = &mut *self;
        buffer.poll_recv(key, cx)
    }
}

impl<T> Drop for Recv<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.buffer.leave(&mut self.key);
    }
}

/// The methods that both ends have.
macro_rules! both_ends {
    ($end:ident) => {
        impl<T> $end<T> {
            /// Closes the channel. The values in it can still be received.
            pub fn close(&self) {
                self.ends.buffer.close();
            }

            /// Whether the channel is closed.
            pub fn is_closed(&self) -> bool {
                self.ends.buffer.is_closed()
            }

            /// How many values are in the channel.
            pub fn len(&self) -> usize {
                self.ends.buffer.len()
            }

            /// Whether the channel is empty.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many values the channel can hold; `None` if there is no limit.
            pub fn capacity(&self) -> Option<usize> {
                self.ends.buffer.capacity()
            }

            /// How many senders there are.
            pub fn senders(&self) -> usize {
                self.ends.senders.get()
            }

            /// How many receivers there are.
            pub fn receivers(&self) -> usize {
                self.ends.receivers.get()
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($end)).field(&self.ends.buffer).finish()
            }
        }
    };
}

both_ends!(Sender);
both_ends!(Receiver);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.ends.senders.set(self.ends.senders.get() + 1);
        Sender { ends: Rc::clone(&self.ends) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let left = self.ends.senders.get() - 1;
        self.ends.senders.set(left);
        if left == 0 {
            self.ends.buffer.close();
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.ends.receivers.set(self.ends.receivers.get() + 1);
        Receiver { ends: Rc::clone(&self.ends), key: Cell::default() }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.leave();
        let left = self.ends.receivers.get() - 1;
        self.ends.receivers.set(left);
        if left == 0 {
            self.ends.buffer.close();
            self.ends.buffer.clear();
        }
    }
}
