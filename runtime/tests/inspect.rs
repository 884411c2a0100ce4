//! Asking a loop: what `dump` and `metrics` say from inside, and what the socket says to another process.
//!
//! What is asked for is set up so that it cannot change: on virtual time, or by a task that holds the loop until the
//! question is answered. No test looks at how long something took.

#![forbid(unsafe_code)]

mod common;

#[path = "inspect/counts.rs"]
mod counts;
#[path = "inspect/random.rs"]
mod random;
#[cfg(not(miri))]
#[path = "inspect/socket.rs"]
mod socket;
#[path = "inspect/waits.rs"]
mod waits;
