//! Grades `work/03_bell.rs`. The program `labs` builds and runs it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[path = "../../work/03_bell.rs"]
#[allow(dead_code, unreachable_pub, unused_variables, reason = "it may be unfinished")]
mod work;

fn main() -> ExitCode {
    labs::grade(3, &labs::bell::checks::<work::Doorbell>())
}
