//! The siege of `echo`: clients that misbehave, limits, faults, and ends in the middle of everything.
//!
//! In release builds the sieges have their full size, and several at once would need more descriptors than a process may
//! have. So run one at a time there:
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
