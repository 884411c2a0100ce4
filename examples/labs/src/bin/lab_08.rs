//! Grades `work/08_semaphore.rs`. The program `labs` builds and runs it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[path = "../../work/08_semaphore.rs"]
#[allow(dead_code, unreachable_pub, unused_variables, reason = "it may be unfinished")]
mod work;

fn main() -> ExitCode {
    labs::grade(8, &labs::semaphore::checks::<work::Fair>())
}
