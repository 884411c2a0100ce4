//! Grades `work/05_timers.rs`. The program `labs` builds and runs it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[path = "../../work/05_timers.rs"]
#[allow(dead_code, unreachable_pub, unused_variables, reason = "it may be unfinished")]
mod work;

fn main() -> ExitCode {
    labs::grade(5, &labs::timers::checks::<work::Clock>())
}
