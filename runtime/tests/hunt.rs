//! Random programs that look for faults. Tasks on several runtimes use every primitive at once. Their wakers are
//! foreign and call back. Budgets are used up, and code panics. Futures are dropped, put aside or moved to another
//! task, and runtimes are dropped in the middle of all this.
//!
//! Each program is made from the numbers that follow from a seed, so it is the same each time. A program keeps books:
//! what was sent and received, which task waits, and which task holds what. When its loops have come to rest, no task
//! may wait for something that is there. When everything has been dropped, nothing may be left.
//!
//! | variable | what it does |
//! |---|---|
//! | none | the same three thousand programs each time |
//! | `ROUNDEL_HUNT_SECONDS=n` | new programs until `n` seconds have passed |
//! | `ROUNDEL_HUNT_SEED=n` | the program of this seed alone, with all that it does |
//!
//! The parts: `world` has the primitives and the books. `act` and `combine` make futures. `meddle` does things that do
//! not wait. `waker` and `value` are foreign code that meddles. `books` looks for errors, and `program` runs it all.

#![forbid(unsafe_code)]

#[path = "hunt/act.rs"]
mod act;
#[path = "hunt/books.rs"]
mod books;
#[path = "hunt/combine.rs"]
mod combine;
#[path = "hunt/dice.rs"]
mod dice;
#[path = "hunt/meddle.rs"]
mod meddle;
#[path = "hunt/panics.rs"]
mod panics;
#[path = "hunt/program.rs"]
mod program;
#[path = "hunt/task.rs"]
mod task;
#[path = "hunt/value.rs"]
mod value;
#[path = "hunt/waker.rs"]
mod waker;
#[path = "hunt/world.rs"]
mod world;

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// How many programs run by default.
const PROGRAMS: u64 = if cfg!(miri) { 2 } else { 3_000 };

/// A program takes a few milliseconds. A program that takes twice this long hangs.
const PATIENCE: Duration = Duration::from_secs(if cfg!(miri) { 600 } else { 60 });

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, and not {value:?}")))
}

#[test]
fn random_programs() {
    let watchdog = Watchdog::new();
    let seconds = variable("ROUNDEL_HUNT_SECONDS");
    if let Some(seed) = variable("ROUNDEL_HUNT_SEED") {
        return run(seed, true, &watchdog);
    }
    let Some(seconds) = seconds else {
        return (0..PROGRAMS).for_each(|seed| run(seed, false, &watchdog));
    };
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let (start, first) = (Instant::now(), since.as_millis() as u64 * 1_000);
    let mut seed = first;
    println!("the first seed is {first}");
    while start.elapsed() < Duration::from_secs(seconds) {
        run(seed, false, &watchdog);
        seed += 1;
    }
    println!("{} programs, and no fault", seed - first);
}

fn run(seed: u64, is_logged: bool, watchdog: &Watchdog) {
    watchdog.seed.store(seed, SeqCst);
    let report = program::run(seed, is_logged);
    for line in report.log {
        println!("{line}");
    }
    assert!(report.faults.is_empty(), "{}\n{}", report.faults.join("\n"), again(seed));
}

fn again(seed: u64) -> String {
    format!(
        "seed {seed}; to run this program alone: ROUNDEL_HUNT_SEED={seed} cargo test -p roundel --test hunt"
    )
}

/// Aborts the process if a program does not end. On a virtual clock, only a loop that spins can hang.
struct Watchdog {
    seed: Arc<AtomicU64>,
    done: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    fn new() -> Watchdog {
        let (done, until) = mpsc::channel();
        let seed = Arc::new(AtomicU64::new(0));
        let watched = seed.clone();
        let thread = std::thread::spawn(move || {
            let mut last = None;
            while until.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let seed = watched.load(SeqCst);
                if last.replace(seed) == Some(seed) {
                    // Not with `eprintln`: the harness would capture the line, and is about to be aborted.
                    let _ = writeln!(std::io::stderr(), "a program hangs: {}", again(seed));
                    std::process::abort();
                }
            }
        });
        Watchdog { seed, done: Some(done), thread: Some(thread) }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.done.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
