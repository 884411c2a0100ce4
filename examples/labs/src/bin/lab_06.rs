//! Grades `work/06_edges.rs`. The program `labs` builds and runs it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[path = "../../work/06_edges.rs"]
#[allow(dead_code, unreachable_pub, unused_variables, reason = "it may be unfinished")]
mod work;

fn main() -> ExitCode {
    labs::grade(6, &labs::edges::checks::<work::Ears>())
}
