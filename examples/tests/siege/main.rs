//! The siege of `echo`: clients that misbehave, limits, faults, and ends in the middle of everything.
//!
//! At full size, as in release builds, they wait for one another:
//!
//! ```text
//! cargo test --release -p examples --test siege -- --nocapture --test-threads=1
//! ```

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod common;

mod clients;
mod end;
mod faults;
mod leaks;
mod limits;
mod load;
