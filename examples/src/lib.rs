//! The programs of this package in reading order, and the code that they share.
//!
//! `examples/` has the programs, `from_scratch/` the ladder that leads to them, `book/` the small programs of the
//! book's chapters. Cargo finds those in `examples/` by itself. This library has what several programs share and what
//! has nothing to do with event loops.
//!
//! Waiting:
//!
//! 1. `hello_world`, `hello`: one task, then three tasks on one thread.
//! 2. `fetches`, `create_then_await`: one after the other or all together, and when a future starts.
//! 3. `failures`, `timeouts`, `cancel`: what happens to the other tasks, to the work, and to what a task held.
//!
//! Sharing:
//!
//! 4. `race`, `lock`, `semaphore`, `rate_limit`: no other task runs between two `.await`s, and what to do about the
//!    rest.
//! 5. `retry`, `manager`, `shared`: retries that do not all come at once, one owner, threads.
//!
//! Working:
//!
//! 6. `pipeline`, `worker_pool`, `pipe`: how tasks hand on work, and how they say that it has ended.
//! 7. `blocking_trap`, `threads`, `processes`: what must not run on the loop's thread, and where it can run instead.
//!    `models`: what each of the ways costs.
//!    `word_count`, `image_filter`, `key_search`: work that is divided among threads. `matrix`, `batching`: work that is
//!    divided among processes.
//!    `handing_over`, `result_stream`: what travels between processes. `files`: what a thread does with files.
//! 8. `shutdown`, `health`: an orderly end, and how to see that all is well until then.
//!    `log_lines`: which task wrote a line. `long_polling`: a question that waits for its answer.
//!
//! The network:
//!
//! 9. `delay_server`, `connection_pool`, `web_scraper`, `hybrid_scraper`, `etl`: a slow server, and clients that wait
//!    for it.
//! 10. `echo`: a server that sends back what it receives. `load`: a client that tests it.
//! 11. `udp_echo`: without connections, one task serves all clients.
//! 12. `unix_echo`: an address that is a file, and what happens to the file.
//! 13. `chat`: everyone hears every line, and a slow client delays no other.
//! 14. `proxy`: it never reads what it cannot write, and passes on the end of each direction.
//! 15. `chaos`: a repeatable bad network, to put in front of a server.
//! 16. `http_hello`: requests from strangers, with a deadline for each request that has begun.
//!
//! Looking at loops:
//!
//! 17. `see`: what a loop has done, from its trace.
//! 18. `ps`: what the loops of another process do now.
//! 19. `forgotten`, `slow`: the mistakes of which debug mode warns.
//!
//! The ladder `from_scratch/` comes before all of them: twelve files, without roundel, that grow from a loop that polls
//! all the time to an echo server. Each changes at most sixty lines of code of the one before. Start with `from_scratch_1`.
//!
//! The programs in `book/`, and `future_sizes` and `waker_words`, belong to the chapters of the book, which show their
//! output. Most of them show a mistake and, beside it, the correction.
//!
//! All programs print with the `println!` of [`output`] and read their command line with [`args`]. Run one with
//! `cargo run --release --example hello`. `docs/programs.md` has a table of them and shows what they print.

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
pub mod ps;
pub mod see;
pub mod sha512;
pub mod show;
pub mod status;
