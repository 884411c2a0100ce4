//! The standard streams of the process: input, output, errors.
//!
//! Facts. They may be a terminal, a pipe, a file, a socket, `/dev/null`, or closed; `epoll` refuses files and
//! `/dev/null`. This process shares them with the program that started it and with the programs started
//! beside it. Whether an operation blocks is a property of what is *shared*. A program that sets `O_NONBLOCK`
//! on its own standard input sets it for the shell, too, and for every other program's `println!`, which then
//! fails with `EAGAIN`. The flag stays set after the program has ended. And another program may read the
//! bytes that were reported to us, so a read that follows a report may still block.
//!
//! What follows. The flag is never set here. An operation that blocks, blocks a thread. There is one thread
//! for the input and one for each of the outputs. They are started at the first use, and all loops of the
//! process share them. Two other ways were not taken. Opening `/proc/self/fd/0` anew gives an object of our
//! own, but only on Linux. It fails for sockets and for a terminal of another user, and it reads a file from
//! the beginning again. Waiting with `epoll` and then reading blocks the loop if another program reads
//! first. A thread works in all of these cases. It costs some ten microseconds per transfer, which is
//! nothing to a terminal and little for 64 KiB.
//!
//! Contract, input. Nothing is read before a task asks for it, and then at most 64 KiB. If that task goes
//! away, the next read gets the bytes, also on another loop: nothing is lost. A read that blocks holds up
//! neither the loop nor the end of the process. `Ok(0)` is the end, which a terminal can have several times.
//!
//! Contract, output. What `write` has returned is with the kernel, in order, after what `print!` left in the
//! buffer of the standard library. A write whose future is dropped may happen or not, even after the
//! program's last output. [`AsyncWrite`](futures_io::AsyncWrite) returns at once and writes later, because
//! the trait allows nothing else: flush it.
//!
//! Under [`virtual_time`](roundel::Builder::virtual_time), the clock stands still while a write waits, as for
//! every job. It goes on while a read waits, as with sockets.
//!
//! What is not promised. None of this works in a child after a `fork`, because the child has none of the
//! threads.
//!
//! The buffers of the standard library are used as well. But while a read of ours waits, `std::io::stdin()`
//! is locked. While a write of ours waits, `println!` waits, too.
//!
//! | method | cancel safe |
//! |---|---|
//! | `Stdin::read` | yes: it was done and returned, or the next read gets the bytes |
//! | `Output::write`, `write_all` | no: a write that has begun cannot be taken back, and the program cannot tell whether it had begun |
//!
//! What it does not know: lines, terminals, colours.

mod input;
mod output;
mod retry;

pub use input::{Stdin, stdin};
pub use output::{Output, stderr, stdout};
