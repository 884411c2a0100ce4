//! What is run: one workload each, for every contender that has it.
//!
//! Facts. A round that is too short measures the clock; one that is too long measures the mood of the machine. How much
//! work is right differs by a factor of a thousand between the workloads, not so much between the contenders.
//!
//! What follows. Each row says how much work a round is. Every contender does the same, and each workload checks its own
//! result (see [`programs!`](crate)), so one who does less is an error and not a winner. A control row that does nothing
//! shows what the harness itself costs.

use std::time::Duration;

use crate::faceoff::figures::Figure;
use crate::{monoio, roundel, smol, tokio, tokio_local, vocabulary};

/// Who takes part, in the order in which they are printed.
pub const CONTENDERS: [&str; 5] = ["roundel", "tokio", "tokio_local", "smol", "monoio"];

/// Does so many operations, and says how long it took.
pub type Program = fn(u64) -> Duration;

/// One workload.
pub struct Row {
    pub group: &'static str,
    pub name: &'static str,
    /// Operations in a round.
    pub work: u64,
    /// In the order of [`CONTENDERS`]; `None` if one has no such thing.
    pub programs: [Option<Program>; 5],
}

/// A row that every contender runs by the program of the same name.
macro_rules! all {
    ($group:literal, $name:literal, $work:expr, |$n:ident, $it:ident| $program:expr) => {
        Row {
            group: $group,
            name: $name,
            work: $work,
            programs: [
                Some(|$n| {
                    use roundel as $it;
                    $program
                }),
                Some(|$n| {
                    use tokio as $it;
                    $program
                }),
                Some(|$n| {
                    use tokio_local as $it;
                    $program
                }),
                Some(|$n| {
                    use smol as $it;
                    $program
                }),
                Some(|$n| {
                    use monoio as $it;
                    $program
                }),
            ],
        }
    };
}

/// A row of what tasks say to one another, for which there are two contenders.
macro_rules! two {
    ($group:literal, $name:literal, $work:expr, |$n:ident, $it:ident| $program:expr) => {
        Row {
            group: $group,
            name: $name,
            work: $work,
            programs: [
                Some(|$n| {
                    use vocabulary::roundel as $it;
                    $program
                }),
                Some(|$n| {
                    use vocabulary::tokio as $it;
                    $program
                }),
                None,
                None,
                None,
            ],
        }
    };
}

/// The median of what was measured one by one, as if all had taken that long.
fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    let count = took.len() as u32;
    took[took.len() / 2] * count
}

/// All rows, in the order of the report.
#[rustfmt::skip] // A table is read by columns.
pub fn rows() -> Vec<Row> {
    vec![
        Row { group: "control", name: "nothing at all", work: 1_000, programs: [Some(nothing); 5] },
        all!("scheduler", "spawn one, await it", 50_000, |n, it| it::spawn_one(n)),
        all!("scheduler", "spawn 1,000, await all, each", 100_000, |n, it| it::spawn_many(1_000, n / 1_000)),
        all!("scheduler", "spawn 200,000, await all, each", 200_000, |n, it| it::spawn_many(200_000, n / 200_000)),
        all!("scheduler", "wake oneself, 200 tasks", 200_000, |n, it| it::self_wake(200, (n / 200) as usize)),
        all!("scheduler", "yield_now, one task alone", 50_000, |n, it| it::lone_yield(n)),
        all!("scheduler", "hop between two tasks", 100_000, |n, it| it::ping_pong(n)),
        two!("channels and locks", "oneshot", 50_000, |n, it| it::oneshot_round_trip(n)),
        two!("channels and locks", "a message through bounded(1)", 50_000, |n, it| it::bounded_messages(1, n)),
        two!("channels and locks", "a message through bounded(100)", 100_000, |n, it| it::bounded_messages(100, n)),
        two!("channels and locks", "a message without a limit", 100_000, |n, it| it::unbounded_messages(n)),
        two!("channels and locks", "request and reply", 50_000, |n, it| it::request_reply(n)),
        two!("channels and locks", "a mutex nobody else wants", 200_000, |n, it| it::mutex_uncontended(n)),
        two!("channels and locks", "a semaphore nobody else wants", 200_000, |n, it| it::semaphore_uncontended(n)),
        all!("timers", "start a sleep, drop it", 100_000, |n, it| it::sleep_churn(n)),
        all!("timers", "timeout around one yield", 50_000, |n, it| it::timeout_yield(n)),
        all!("timers", "a sleep of 1 ms is late by", 100, |n, it| median(it::lateness(n))),
        without_monoio(all!("wakes from elsewhere", "a wake from another thread", 200, |n, it| median(it::remote_wake(n)))),
        two!("wakes from elsewhere", "unblock, there and back", 2_000, |n, it| it::unblock_round_trip(n)),
    ]
}

/// monoio's wakers, as it is built here, do not reach the loop from another thread.
fn without_monoio(mut row: Row) -> Row {
    row.programs[4] = None;
    row
}

/// What the harness costs when there is nothing to measure.
fn nothing(n: u64) -> Duration {
    let start = std::time::Instant::now();
    for i in 0..n {
        std::hint::black_box(i);
    }
    start.elapsed()
}

/// The rounds of one row; `told` hears who is running which round.
pub fn run(row: &Row, rounds: usize, share: u64, mut told: impl FnMut(&str, usize)) -> Vec<Option<Figure>> {
    let mut samples = vec![Vec::new(); row.programs.len()];
    let work = (row.work / share).max(row.least());
    for round in 0..=rounds {
        for turn in 0..row.programs.len() {
            // Each round begins with another one.
            let index = (turn + round) % row.programs.len();
            let Some(program) = row.programs[index] else { continue };
            told(CONTENDERS[index], round);
            let took = program(work).as_nanos() as f64 / work as f64;
            if round > 0 {
                samples[index].push(took);
            }
        }
    }
    samples.into_iter().map(|samples| (!samples.is_empty()).then(|| Figure::new(samples))).collect()
}

impl Row {
    /// Less than this is not the workload any more.
    fn least(&self) -> u64 {
        if self.name.contains("200,000") { 200_000 } else { self.work.min(1_000) }
    }
}
