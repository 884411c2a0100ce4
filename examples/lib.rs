//! The programs of this folder, in reading order:
//!
//! 1. `hello`: three tasks on one thread, and who waits for whom.
//!
//! Run one with `cargo run --release --example hello`.

#![forbid(unsafe_code)]
