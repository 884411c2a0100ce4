//! Labs that grade themselves: the reader of the book writes the pieces of an event loop.
//!
//! Facts. A learner edits one file for each lab, in `work`. It begins as a copy of the file in `stubs`. `answers` has one
//! that is right, `other` has some of another design, and `wrong` has some that are plausible and wrong.
//!
//! What follows. Each lab is a module here: a trait, and checks that are generic over what implements it. A program in
//! `src/bin` gives the checks the learner's file. The tests give them the stubs, the answers and the wrong answers.
//!
//! ```text
//!   labs 5 ──► cargo build, lab_05 ──► judge ──► checks ──► work/05_timers.rs
//!     │                                  │          └─► diary: what was tried
//!     └─► desk: what is solved           └─► page: expected, seen, an idea
//! ```
//!
//! Contract. An answer that panics, hangs or burns does not hang the grader. A learner's file is not overwritten without
//! a question. No check sleeps, and none measures time.
//!
//! Reading order: [`outcome`], [`diary`], [`check`], [`mod@judge`], [`hands`], then one lab, such as [`timers`]; [`list`], [`desk`], [`mod@page`].

#![forbid(unsafe_code)]

pub mod check;
pub mod desk;
pub mod diary;
pub mod hands;
pub mod judge;
pub mod list;
pub mod outcome;
pub mod page;

pub mod accept;
pub mod bell;
pub mod cancel;
pub mod channel;
pub mod deadlock;
pub mod edges;
pub mod gallery;
pub mod lost_wake;
pub mod marks;
pub mod schedule;
pub mod select;
pub mod semaphore;
pub mod timers;
pub mod waker;

use std::process::ExitCode;
use std::time::Duration;

use examples::println;

use crate::check::Check;
use crate::judge::judge;
use crate::list::Lab;

pub use crate::outcome::not_written;

/// A check takes a fraction of a second. One that takes longer than this waits for ever.
const LIMIT: Duration = Duration::from_secs(10);

/// Grades an answer and prints the report. The code says whether it has passed.
#[must_use]
pub fn grade(number: usize, checks: &[Check]) -> ExitCode {
    let lab = Lab::of(number).expect("each program in `src/bin` has a lab");
    let report = judge(checks, LIMIT);
    println!("{}", page::page(lab, &report, page::columns()));
    if report.failure.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
