#![doc = include_str!("../README.md")]
//! # Reading order
//!
//! From the ground up; each file opens with the facts from which it follows. The first five steps are the folder `core`.
//!
//! 1. `id` (a task's number), `clock`, `random`, `panics`, `probe`: the leaves.
//! 2. `slots`, `timers`, `alarm`, `reactor`, `inbox`: which task is next, when, what the kernel reported, and what other
//!    threads sent. They know nothing of one another, except that the reactor sets the alarm, and has the bell of the inbox.
//! 3. `cell`, `extras`, `executor`: take a task out of its slot, poll it, put it back.
//! 4. `context` (the one thread-local of the core), `waker` (the one `unsafe`).
//! 5. `pace`, `event_loop`, `shutdown`: the loop. Read `EventLoop::turn` first if you read only one thing.
//! 6. `error`, `judge`, `join`, `task`, `local`, `source`, `time`, `reply`, `remote`, `bound`, `pool`, `blocking`, `warnings`, `debug`,
//!    `spans`, `deadlock`, `builder`, `runtime`: tasks, time, sources, threads, and the loop as programs see it.
//! 7. `waiting`: the line in which tasks wait. On it stand `sync` (begin with `sync/permits.rs`), `channel`, `group`, `cancel`,
//!    `retry`, `testing`.
//! 8. `signal`, `process`, `workers`: what lies outside of this process. `record`: what the loop has done, written down
//!    and read back. `inspect`: asking what it does now.
//!
//! # What holds
//!
//! The comments cite these by number.
//!
//! 1. A task's number is in the ready queue at most once.
//! 2. A task is marked as running, not queued, *before* its poll, so that a wake during the poll queues it again.
//! 3. `wake` only enqueues: it never polls, drops a future, or blocks.
//! 4. Nothing is borrowed while foreign code runs: take out, release, call.
//! 5. A turn polls tasks from two lanes, those woken from outside and those spawned or woken by tasks, alternately,
//!    each lane in the order in which its tasks became ready. Then it asks the kernel once, and all that comes of it is
//!    wakes.
//! 6. "Nothing to do" and "parked" are decided under one lock. A wake from another thread rings only a parked loop, and
//!    at most once per park.
//! 7. Readiness is a hint, cleared only by `WouldBlock` or a short transfer. Closed stays closed.
//! 8. A report about a registration that is gone wakes nothing. A source leaves the poll before it is closed.
//! 9. A sleep never ends early.
//! 10. A future and its output are polled and dropped on the loop's own thread only.
//! 11. A panic in a poll or a drop ends that task, is delivered by its handle, and does nothing else.
//! 12. Shutdown drops every future exactly once. A wake that comes later does nothing.
//! 13. A woken waiter that is dropped passes its wake on. An item or a permit that was handed to it is not lost.

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// Links to what this feature brings lead nowhere without it.
#![cfg_attr(not(feature = "diagnostics"), allow(rustdoc::broken_intra_doc_links))]

mod core;

mod own_pool;
mod pool;
mod runtime;
mod share;

pub mod blocking;
mod bound;
mod builder;
#[cfg(feature = "diagnostics")]
pub mod deadlock;
#[cfg(feature = "diagnostics")]
mod debug;
mod error;
mod join;
mod judge;
mod local;
mod remote;
mod reply;
pub mod source;
pub mod task;
pub mod time;

mod waiter;
mod waiting;
// Without what watches a loop, other waits stand in this one's place: they tell of nothing.
#[cfg_attr(not(feature = "diagnostics"), path = "waits/absent.rs")]
mod waits;

pub mod cancel;
pub mod channel;
pub mod group;
#[cfg(feature = "diagnostics")]
pub mod inspect;
#[cfg(feature = "diagnostics")]
pub mod record;
pub mod retry;
#[cfg(feature = "tracing")]
mod spans;
pub mod sync;
pub mod testing;
#[cfg(feature = "diagnostics")]
mod warnings;

#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "signal")]
pub mod signal;
#[cfg(feature = "workers")]
pub mod workers;

#[cfg(test)]
mod tests;

pub use core::probe;

pub use bound::LoopBound;
pub use builder::Builder;
pub use error::JoinError;
#[cfg(feature = "diagnostics")]
pub use inspect::{dump, metrics};
pub use join::{CancelOnDrop, JoinHandle};
pub use remote::{Remote, RemoteHandle, remote};
pub use runtime::{Runtime, run};
pub use task::{TaskId, YieldNow, spawn, spawn_named, yield_now};
#[cfg(feature = "diagnostics")]
pub use warnings::{Warning, WarningKind, Warnings};

/// The crate whose `Stream` our streams are, in the version that this crate uses.
pub use futures_core;
/// The crate whose `AsyncRead` and `AsyncWrite` the pipes of a child are, in the version that this crate uses.
#[cfg(feature = "io")]
pub use futures_io;
/// The crate whose `Sink` a [`SinkSender`](channel::SinkSender) is, in the version that this crate uses.
#[cfg(feature = "sink")]
pub use futures_sink;
/// The crate whose sources a [`Source`](source::Source) takes, in the version that this crate uses.
///
/// ```
/// use roundel::mio::{Interest, Registry, Token, event};
///
/// struct Nothing;
///
/// impl event::Source for Nothing {
///     fn register(&mut self, _: &Registry, _: Token, _: Interest) -> std::io::Result<()> {
///         Ok(())
///     }
///     fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> std::io::Result<()> {
///         Ok(())
///     }
///     fn deregister(&mut self, _: &Registry) -> std::io::Result<()> {
///         Ok(())
///     }
/// }
///
/// roundel::run(async { assert!(roundel::source::Source::new(Nothing).is_ok()) });
/// ```
pub use mio;
