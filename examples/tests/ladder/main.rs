//! The ladder `from_scratch`: one suite of behaviours for all of its rungs.
//!
//! Facts. A rung is a program of one file, and each is the one before it with a few lines changed. A behaviour that holds
//! on a rung has to hold on all later ones, but a rung proves only what is new on it.
//!
//! What follows. The files in `behaviours/` are called after the rung from which they hold. The files in `rungs/` mount
//! one rung each, and below it all the behaviours up to its own. So each behaviour is a test of each rung from its own
//! on: `bell::from_3::tasks_take_turns` is that of rung 3, tried on rung 7. [`steps`] checks that no rung leaves one out,
//! and that the steps are small. [`printed`] runs the programs, and reads the numbers by which they prove themselves.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]
#![allow(dead_code, clippy::duplicate_mod, reason = "each behaviour is mounted once for each rung")]
#![allow(clippy::unit_arg, reason = "the output of a task may be nothing")]

#[path = "../programs/common.rs"]
mod common;

mod printed;
mod server;
mod steps;
mod tools;

#[path = "rungs/bell.rs"]
mod bell;
#[path = "rungs/busy.rs"]
mod busy;
#[path = "rungs/echo.rs"]
mod echo;
#[path = "rungs/endings.rs"]
mod endings;
#[path = "rungs/kernel.rs"]
mod kernel;
#[path = "rungs/lines.rs"]
mod lines;
#[path = "rungs/links.rs"]
mod links;
#[path = "rungs/marks.rs"]
mod marks;
#[path = "rungs/parked.rs"]
mod parked;
#[path = "rungs/queue.rs"]
mod queue;
#[path = "rungs/slots.rs"]
mod slots;
#[path = "rungs/timers.rs"]
mod timers;
