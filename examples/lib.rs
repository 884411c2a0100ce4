//! The programs of this folder, in reading order:
//!
//! 1. `hello`: three tasks on one thread, and who waits for whom.
//! 2. `echo`: a server that gives back what it gets.
//! 3. `load`: puts an echo server to the test.
//!
//! Run one with `cargo run --release --example hello`. What they share, and what has nothing to do with event loops, is
//! in the modules below.

#![forbid(unsafe_code)]

pub mod args;
pub mod counts;
pub mod status;
