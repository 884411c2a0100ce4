//! How many files a process may have open, which is how many connections it may have.
//!
//! Facts. There are two limits: the soft one holds, and is 1,024 on many systems; a process may raise it as far as the
//! hard one.
//!
//! What follows. A program that opens many connections raises its limit before it does anything. If even the hard limit is
//! too low, it says so then: a refusal in the middle of the work would be harder to understand.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process has open besides: the standard streams, what a loop needs, and what the process has inherited.
const OTHERS: u64 = 16;

/// Raises the limit of open files as far as it goes. Returns what it is then.
pub fn raise_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // macOS says that there is no hard limit, and then grants 10,240.
    let most = maximum.unwrap_or(10_240).max(current.unwrap_or(0));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum });
    if raised.is_ok() { most } else { current.unwrap_or(u64::MAX) }
}

/// Raises the limit of open files as far as it goes; `what` needs so many.
///
/// # Errors
///
/// If the limit is too low, also then.
pub fn need_open_files(count: usize, what: &str) -> io::Result<()> {
    let (least, limit) = ((count as u64).saturating_add(OTHERS), raise_open_files());
    if limit >= least {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{what} need {least} open files, and {limit} are allowed: ask for fewer, or raise the limit with `ulimit -n {least}`"
    )))
}
