//! The child of the face-off with an allocator that counts: `cargo run --release -p benches --bin faceoff -- --only
//! counts`.
//!
//! Facts. An allocator that counts inflates every timing, and a program has only one allocator.
//!
//! What follows. This program does what `faceoff` does as a child, and nothing else;
//! `benches/src/faceoff/counting/child.rs` explains its words. Calls that take memory are allocations and
//! reallocations.

#![forbid(unsafe_code)]

use std::alloc::System;
use std::env;
use std::process::ExitCode;

use benches::faceoff::counting::child::{Allocated, child};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocated() -> Allocated {
    let stats = ALLOCATOR.stats();
    Allocated {
        calls: stats.allocations + stats.reallocations,
        bytes: stats.bytes_allocated,
        held: stats.bytes_allocated - stats.bytes_deallocated,
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if child(&words, allocated) {
        return ExitCode::SUCCESS;
    }
    eprintln!("counts: this is a part of `faceoff --only counts`; by itself it understands run, hold, serve");
    ExitCode::from(2)
}
