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

mod broadcast;
mod buffer;
mod closed;
mod mpmc;
mod oneshot;
mod queue;
#[cfg(feature = "sink")]
mod sink;
mod store;
mod watch;

pub use broadcast::{BroadcastError, BroadcastReceiver, BroadcastSender, broadcast};
pub use buffer::Send;
pub use closed::{Closed, TryRecvError, TrySendError};
pub use mpmc::{Permit, Receiver, Recv, Sender, bounded, lifo, priority, unbounded};
pub use oneshot::{OneshotReceiver, OneshotSender, oneshot};
pub use queue::{Put, Queue};
#[cfg(feature = "sink")]
pub use sink::SinkSender;
pub use watch::{WatchReceiver, WatchSender, watch};
