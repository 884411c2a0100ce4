//! The loop, and all that it needs: nothing in here is seen by programs.
//!
//! Facts. A loop does four things: it keeps tasks, it polls those that can make progress, it waits for the kernel, for
//! deadlines and for other threads, and it drops tasks.
//!
//! What follows. The files below stand in the order in which they can be read. Each one knows only those above it.
//!
//! What it does not know: handles, sockets, channels, threads that help. All that programs call is outside, and
//! nothing in here names it.

pub(crate) mod id;

pub(crate) mod clock;
pub(crate) mod journal;
pub(crate) mod panics;
pub mod probe;
pub(crate) mod random;

// Where the kernel has no timer that is a file, or the program wants none, another alarm stands in this one's place.
#[cfg_attr(not(all(feature = "exact", target_os = "linux", not(miri))), path = "core/alarm/absent.rs")]
pub(crate) mod alarm;
pub(crate) mod inbox;
pub(crate) mod reactor;
pub(crate) mod slots;
pub(crate) mod timers;

pub(crate) mod cell;
pub(crate) mod executor;
pub(crate) mod extras;

pub(crate) mod context;
pub(crate) mod waker;

pub(crate) mod pace;

pub(crate) mod event_loop;
mod shutdown;
