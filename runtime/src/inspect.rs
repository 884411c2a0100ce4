//! Asking a loop what it does.
//!
//! Facts. A program that does not go on says nothing about why. The loop knows which task waits for what, but only if it is
//! asked, and while a task holds the loop it cannot answer.
//!
//! What follows. There are two ways to ask. From inside, [`dump`] and [`metrics`] look at the loop that runs on this thread. From
//! outside, another process asks: a thread beside the loop answers from a table, which the probe's events keep up to date.
//!
//! ```text
//!   loop ──► probe ──► Observer ──► Table ◄── the thread `roundel-inspect` ◄── a socket ◄── `ps`
//!     │                               │
//!     └───────────► dump, metrics ◄───┘
//! ```
//!
//! | | always | with `Builder::metrics(true)` | with `Builder::inspect(true)`, or `ROUNDEL_INSPECT=1` |
//! |---|---|---|---|
//! | [`dump`]: tasks, names, states, where they were spawned | yes | yes | yes |
//! | … what they wait for | deadlines, sources, other tasks | all | all |
//! | … polls, times, which task has spawned them | | yes | yes |
//! | [`metrics`]: tasks, timers, sources, jobs now | yes | yes | yes |
//! | … everything that is [counted](Counts) | | yes | yes |
//! | other processes of this user can ask: `ps PID` | | | yes |
//!
//! What is always there costs nothing until it is asked for. A watched loop pays for each event; `docs/inspect.md` has the
//! figures, and the questions and answers of the socket.
//!
//! ```
//! roundel::run(async {
//!     let sleeper = roundel::spawn_named("sleeper", roundel::time::sleep(std::time::Duration::from_secs(60)));
//!     roundel::yield_now().await;
//!     let dump = roundel::dump();
//!     let waits: Vec<String> = dump.waits().map(|(task, wait)| format!("{} {}", task.id, wait.what)).collect();
//!     assert_eq!(waits, [format!("{} timer", sleeper.id())]);
//!     assert_eq!(roundel::metrics().timers, 1);
//! });
//! ```
//!
//! What it does not know: how the loop works.

mod answer;
mod counts;
mod door;
mod dump;
mod folder;
mod histogram;
mod lines;
mod loops;
mod metrics;
mod observer;
mod pages;
mod seen;
mod server;
mod strays;
mod table;
mod task;

use std::io;
use std::path::PathBuf;

use crate::core::context;

pub use self::counts::Counts;
pub(crate) use self::door::open;
pub use self::dump::Dump;
pub use self::histogram::Histogram;
pub use self::metrics::Metrics;
pub(crate) use self::observer::Observer;
pub(crate) use self::seen::Seen;
pub(crate) use self::task::{At, Span};
pub use self::task::{Life, Task, TaskState, Wait};

/// All tasks of the loop that runs on this thread, and what they wait for. Outside of a loop there are none.
///
/// It may be called at any time, also in a signal's task or in a destructor. The loop stands still meanwhile. A task with one
/// wait takes less than a microsecond, so 100,000 tasks take tens of milliseconds. A question from another process does not
/// stop the loop.
#[must_use]
pub fn dump() -> Dump {
    context::current().map_or_else(Dump::default, |context| Dump::of(&context))
}

/// The loop that runs on this thread in numbers. From outside of it, use [`Runtime::metrics`](crate::Runtime::metrics).
///
/// # Panics
///
/// Outside a loop.
#[must_use]
#[track_caller]
pub fn metrics() -> Metrics {
    Metrics::of(&context::expect("metrics"))
}

/// The folder in which each process of this user that can be asked has a socket, with the number of the process as its name.
/// It is made if it is missing. A program that asks, as `ps` does, needs it.
///
/// # Errors
///
/// If it cannot be made, belongs to another user, or is open to others.
pub fn folder() -> io::Result<PathBuf> {
    folder::folder()
}

/// Whether the environment asks for it.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os("ROUNDEL_INSPECT").is_some_and(|value| value == "1")
}
