//! How a thread reads or writes a standard stream that another program may have made non-blocking.
//!
//! Contract. The operation blocks until it has succeeded or failed, whatever the descriptor's flags are.
//!
//! What it does not know: what is read or written.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

/// Repeats `operation` while it is interrupted or would block.
pub(super) fn retry<T>(
    fd: impl AsFd,
    flags: PollFlags,
    mut operation: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // An error of `poll` is ignored: the next attempt reports what is wrong.
                let _ = poll(&mut [PollFd::new(&fd, flags)], None);
            }
            result => return result,
        }
    }
}
