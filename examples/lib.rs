//! The programs of this folder, in reading order:
//!
//! 1. `hello`: three tasks on one thread, and who waits for whom.
//! 2. `echo`: a server that gives back what it gets.
//! 3. `load`: puts an echo server to the test.
//! 4. `udp_echo`: without connections, one task serves everybody.
//! 5. `unix_echo`: an address that is a file, and what becomes of it.
//! 6. `chat`: what one says, all hear; and nobody is held up by who is slow.
//! 7. `proxy`: never reads what it cannot write, and passes on the end of each direction.
//! 8. `chaos`: a bad network that can be repeated, to put in front of a server.
//! 9. `http_hello`: requests of strangers, and the deadline of those who have begun one.
//!
//! The ladder `from_scratch/` comes before all of them: six files that grow from a loop that asks all the time to an echo
//! server, without this crate. `from_scratch_1` is the first.
//!
//! The small ones in `book/` go with the chapters of the book, which show what they print: mostly something wrong, and beside
//! it what is right.
//!
//! Run one with `cargo run --release --example hello`. What they share, and what has nothing to do with event loops, is
//! in the modules below.

#![forbid(unsafe_code)]

pub mod args;
pub mod chaos_plan;
pub mod chat_room;
pub mod counts;
pub mod goodbye;
pub mod http;
pub mod http_talk;
pub mod loops;
pub mod status;
