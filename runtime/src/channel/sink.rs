//! The sender of a channel as a `Sink` of the `futures` crates. With the feature `sink`.
//!
//! Facts. A `Sink` takes a value in two steps: `poll_ready` waits until there is room, and `start_send` puts the value in.
//! The room has to be kept between the two, and given back if no value comes.
//!
//! What follows. A [`SinkSender`] is a sender with a place in the line for room, or with the room itself. It stands in the
//! same line as `send` and `reserve`: first come, first served. As with `reserve`, a rendezvous does not wait for the
//! receiver, and nothing goes into a channel that was closed meanwhile: then `start_send` drops the value.
//!
//! | method | cancel safe |
//! |---|---|
//! | `poll_ready` | yes: the room is kept until a value comes, or until the sink is closed or dropped |

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use crate::channel::closed::Closed;
use crate::channel::mpmc::Sender;
use crate::waiting::WaitKey;

/// A [`Sender`] as a [`Sink`]: for `forward`, `send_all` and other methods of the `futures` crates.
///
/// ```
/// use std::future::poll_fn;
/// use std::pin::Pin;
/// use roundel::channel;
/// use roundel::futures_sink::Sink;
///
/// roundel::run(async {
///     let (sender, receiver) = channel::bounded(1);
///     let mut sink = sender.into_sink();
///     poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx)).await.unwrap();
///     Pin::new(&mut sink).start_send(7).unwrap();
///     assert_eq!(receiver.recv().await, Ok(7));
///     drop(sink);
///     assert!(receiver.recv().await.is_err(), "the last sender is gone");
/// });
/// ```
pub struct SinkSender<T> {
    /// `None` when the sink was closed.
    sender: Option<Sender<T>>,
    /// Set while it waits for room: its entry in the line.
    key: WaitKey,
    /// Whether it has room for one value.
    has_room: bool,
}

impl<T> Sender<T> {
    /// The same sender as a [`Sink`].
    #[must_use]
    pub fn into_sink(self) -> SinkSender<T> {
        SinkSender { sender: Some(self), key: WaitKey::default(), has_room: false }
    }
}

impl<T> SinkSender<T> {
    /// Leaves the line, or gives back the room.
    fn leave(&mut self) {
        let Some(sender) = &self.sender else { return };
        sender.buffer().leave_room(&mut self.key);
        if std::mem::take(&mut self.has_room) {
            sender.buffer().give_room();
        }
    }
}

impl<T> Sink<T> for SinkSender<T> {
    type Error = Closed;

    #[track_caller]
    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let SinkSender { sender, key, has_room } = &mut *self;
        let Some(sender) = sender else { return Poll::Ready(Err(Closed(()))) };
        if !*has_room {
            *has_room = ready!(sender.buffer().poll_room(key, cx));
        }
        let is_open = *has_room && !sender.is_closed();
        Poll::Ready(if is_open { Ok(()) } else { Err(Closed(())) })
    }

    #[track_caller]
    fn start_send(mut self: Pin<&mut Self>, value: T) -> Result<(), Closed> {
        let SinkSender { sender, has_room, .. } = &mut *self;
        let Some(sender) = sender.as_ref().filter(|sender| !sender.is_closed()) else {
            return Err(Closed(()));
        };
        assert!(
            std::mem::take(has_room),
            "`start_send` was called on a sink without room: wait for `poll_ready` before each value"
        );
        sender.buffer().fill(value);
        Ok(())
    }

    /// A value is in the channel as soon as `start_send` returns.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        Poll::Ready(Ok(()))
    }

    /// Drops the sender. The channel is closed when the last one is dropped.
    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.leave();
        let sender = self.sender.take();
        drop(sender);
        Poll::Ready(Ok(()))
    }
}

impl<T> Drop for SinkSender<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T> fmt::Debug for SinkSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkSender").field("sender", &self.sender).field("has_room", &self.has_room).finish()
    }
}
