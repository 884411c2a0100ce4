//! How many files a process may have open, and so how many connections.
//!
//! Facts. There are two limits. The soft limit is the one that applies; on many systems it is 1,024. A process may
//! raise it as far as the hard limit.
//!
//! What follows. A program that opens many connections raises its limit before it does anything else. If even the hard
//! limit is too low, the program says so then, because a refusal in the middle of the work would be harder to
//! understand.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a process has open besides: the standard streams, the loop's own, and those that it has inherited.
const OTHERS: u64 = 16;

/// Raises the soft limit of open files as far as possible. Returns the limit after that.
pub fn raise_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // macOS says that there is no hard limit, but grants only 10,240.
    let most = maximum.unwrap_or(10_240).max(current.unwrap_or(0));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum });
    if raised.is_ok() { most } else { current.unwrap_or(u64::MAX) }
}

/// Raises the soft limit of open files as far as possible, because `what` needs that many.
///
/// # Errors
///
/// If the limit is still too low.
pub fn need_open_files(count: usize, what: &str) -> io::Result<()> {
    let (least, limit) = ((count as u64).saturating_add(OTHERS), raise_open_files());
    if limit >= least {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{what} need {least} open files, and {limit} are allowed: ask for fewer, or raise the limit with `ulimit -n {least}`"
    )))
}
