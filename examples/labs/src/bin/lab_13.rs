//! Grades `work/13_schedule.rs`. The program `labs` builds and runs it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[path = "../../work/13_schedule.rs"]
#[allow(dead_code, unreachable_pub, unused_variables, reason = "it may be unfinished")]
mod work;

fn main() -> ExitCode {
    labs::grade(13, &labs::schedule::checks::<work::Guess>())
}
