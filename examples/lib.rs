//! The programs of this crate, in reading order.
//!
//! What it is to wait (`programs/`):
//!
//! 1. `hello_world`, `hello`: one task, and three on one thread.
//! 2. `fetches`, `create_then_await`: one after the other, or together; and when a future begins.
//! 3. `failures`, `timeouts`, `cancel`: what becomes of the others, of the work, of what was held.
//!
//! What it is to share:
//!
//! 4. `race`, `lock`, `semaphore`, `rate_limit`: between two `.await`s nobody else runs; what to do about the rest.
//! 5. `retry`, `manager`, `shared`: not all at once; one owner; threads.
//!
//! What it is to work:
//!
//! 6. `pipeline`, `worker_pool`, `pipe`: work that is handed on, and how its end is told.
//! 7. `blocking_trap`, `threads`, `processes`: what must not be done on the loop's thread, and where it can be.
//! 8. `shutdown`, `health`: an orderly end, and how one sees that all is well until then.
//!
//! The network:
//!
//! 9. `delay_server`, `connection_pool`, `web_scraper`, `hybrid_scraper`, `etl`: somebody to wait for, and those who do.
//! 10. `echo`: a server that gives back what it gets. `load`: puts it to the test.
//! 11. `udp_echo`: without connections, one task serves everybody.
//! 12. `unix_echo`: an address that is a file, and what becomes of it.
//! 13. `chat`: what one says, all hear; and nobody is held up by who is slow.
//! 14. `proxy`: never reads what it cannot write, and passes on the end of each direction.
//! 15. `chaos`: a bad network that can be repeated, to put in front of a server.
//! 16. `http_hello`: requests of strangers, and the deadline of those who have begun one.
//!
//! The ladder `from_scratch/` comes before all of them: six files that grow from a loop that asks all the time to an echo
//! server, without roundel. `from_scratch_1` is the first.
//!
//! The small ones in `book/`, and `future_sizes` and `waker_words`, go with the chapters of the book, which show what they
//! print: mostly something wrong, and beside it what is right.
//!
//! All of them print with the `println!` of [`output`], and read their command line with [`args`].
//!
//! `docs/programs.md` has a table of the others, with what they print. Run one with `cargo run --release --example hello`. What
//! they share, and what has nothing to do with event loops, is in the modules below.

#![forbid(unsafe_code)]

pub mod args;
pub mod chaos_plan;
pub mod chat_room;
pub mod counts;
pub mod delays;
pub mod goodbye;
pub mod http;
pub mod http_client;
pub mod http_talk;
pub mod limits;
pub mod loops;
pub mod output;
pub mod sha512;
pub mod show;
pub mod status;
