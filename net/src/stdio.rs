//! The standard streams of the process: input, output, errors.
//!
//! Facts. They may be a terminal, a pipe, a file, a socket, `/dev/null`, or closed; `epoll` refuses files and
//! `/dev/null`. They are shared with whoever started us and with those who were started beside us. Whether an
//! operation blocks is a property of what is *shared*: who sets `O_NONBLOCK` on his own standard input sets it for
//! the shell, too, and for the `println!`s of all others, which then fail with `EAGAIN`. It stays set after he has
//! ended. And others may read what we were told is there: a read that follows a report may still block.
//!
//! What follows. The flag is never set here. What blocks, blocks a thread: one for the input and one for each of the
//! outputs, started at the first use, shared by all loops of the process. The ways around that were not taken:
//! opening `/proc/self/fd/0` anew gives an object of our own, but only on Linux, not for sockets, not when the
//! terminal is another user's, and for a file it begins at the front again; waiting with `epoll` and then reading
//! blocks the loop if somebody else was faster. One way that works for all of them costs some ten microseconds
//! per transfer, which is nothing to a terminal and little to 64 KiB.
//!
//! Contract, input. Nothing is read before somebody asks, and then at most 64 KiB. What was read for one who has gone
//! away meanwhile is kept for the next, also for one on another loop: nothing is lost. A read that blocks holds up
//! neither the loop nor the end of the process. `Ok(0)` is the end, which a terminal can have several times.
//!
//! Contract, output. What `write` has returned is with the kernel, in order, after what `print!` has left in the
//! buffer of the standard library. A write that is not awaited to its end may happen or not, even after the
//! program's last word. Only [`AsyncWrite`](futures_io::AsyncWrite), which cannot say it otherwise, returns at once
//! and writes behind: flush it.
//!
//! Under [`virtual_time`](roundel::Builder::virtual_time), the clock stands still while a write waits, as for every job,
//! and goes on while a read does, as with sockets.
//!
//! What is not promised. That any of this works in a child after a `fork`, which has none of the threads.
//!
//! The buffers of the standard library are used and respected. But while a read of ours waits, `std::io::stdin()` is
//! locked, and while a write of ours waits, `println!` waits, too.
//!
//! | method | cancel safe |
//! |---|---|
//! | `Stdin::read` | yes: it was done and returned, or the bytes are there for the next |
//! | `Output::write`, `write_all` | no: a write that has begun cannot be taken back, and nobody knows if it had |
//!
//! What it does not know: lines, terminals, colours.

mod input;
mod output;

pub use input::{Stdin, stdin};
pub use output::{Output, stderr, stdout};

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

/// Tries `operation` until it neither was interrupted nor would block, which it does if somebody else has made the
/// descriptor non-blocking.
fn insist<T>(fd: impl AsFd, flags: PollFlags, mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // What is wrong, if that is not the time, the next attempt says.
                let _ = poll(&mut [PollFd::new(&fd, flags)], None);
            }
            result => return result,
        }
    }
}
