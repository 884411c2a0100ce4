//! Channels: values from task to task.
//!
//! Facts. Tasks that share state have to agree on which of them changes it when. Tasks that pass values on do not.
//!
//! Contract. As for [`sync`](crate::sync): one thread, no atomics, ordinary futures, any executor; first come, first
//! served. Start with a bounded channel: without a limit, a slow consumer lets the channel fill the memory.
//!
//! | | who gets a value | when `send` waits |
//! |---|---|---|
//! | [`bounded`], [`priority`], [`lifo`] | one of the receivers | while it is full |
//! | [`unbounded`] | one of the receivers | never |
//! | [`Queue`] | one of the workers; `join` waits until all work is done | while it is full |
//! | [`oneshot`] | the receiver, once | never |
//! | [`broadcast`] | every receiver; the slow ones miss some | never |
//! | [`watch`] | every receiver that looks sees the latest | never |
//!
//! None of it leaves its thread:
//!
//! ```compile_fail
//! let (sender, receiver) = roundel::channel::bounded::<u8>(1);
//! std::thread::spawn(move || receiver);
//! ```
//!
//! What is not here: channels between threads. `std::sync::mpsc` in one direction and
//! [`Remote`](crate::Remote) in the other do that.

use std::fmt;

mod broadcast;
mod buffer;
mod mpmc;
mod oneshot;
mod queue;
mod store;
mod watch;

pub use broadcast::{BroadcastError, BroadcastReceiver, BroadcastSender, broadcast};
pub use buffer::Send;
pub use mpmc::{Permit, Receiver, Recv, Sender, bounded, lifo, priority, unbounded};
pub use oneshot::{OneshotReceiver, OneshotSender, oneshot};
pub use queue::{Put, Queue};
pub use watch::{WatchReceiver, WatchSender, watch};

/// The channel is closed. The value that could not be sent is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<T = ()>(pub T);

impl<T> Closed<T> {
    /// The value that could not be sent.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed")
    }
}

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was closed, or the other side is gone")
    }
}

impl<T> std::error::Error for Closed<T> {}

/// Why a value was not sent at once. The value is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError<T> {
    /// There is no room, or other senders are waiting for it.
    Full(T),
    /// The channel is closed.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// The value that could not be sent.
    pub fn into_inner(self) -> T {
        match self {
            TrySendError::Full(value) | TrySendError::Closed(value) => value,
        }
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, TrySendError::Full(_))
    }

    /// Whether the channel is closed.
    pub fn is_closed(&self) -> bool {
        matches!(self, TrySendError::Closed(_))
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_full() { "Full" } else { "Closed" })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "there is no room: wait for it with `send`",
            TrySendError::Closed(_) => "the channel is closed",
        })
    }
}

impl<T> std::error::Error for TrySendError<T> {}

/// Why no value was received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is none at the moment.
    Empty,
    /// There is none, and there will be none.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "there is no value: wait for one with `recv`",
            TryRecvError::Closed => "the channel is closed and empty",
        })
    }
}

impl std::error::Error for TryRecvError {}
