//! The rows that are programs in this process: scheduler, channels and locks, timers, wakes from other threads.
//!
//! Facts. Two programs in one process share its caches, its allocator and its mood, so no comparison is fairer.
//!
//! What follows. Each row calls the program of the same name of every contender that has it. `all!` is every contender;
//! `some!` names those that have what the row needs.

use std::time::Duration;

use crate::contenders::{compio, monoio_epoll, monoio_uring, roundel, smol, tokio, tokio_local};
use crate::faceoff::job::{Job, Miss};
use crate::faceoff::plan::Plan;
use crate::faceoff::report::Unit;
use crate::parts;

/// Does this many operations, and returns how long they took.
type Program = fn(u64) -> Duration;
/// Does this many operations, and returns how long each took.
type Each = fn(u64) -> Vec<Duration>;
type Programs<P> = Vec<(&'static str, P)>;

/// The program of each named contender.
macro_rules! some {
    (|$n:ident, $it:ident| $program:expr; $($name:literal $contender:ident),* $(,)?) => {
        vec![$(($name, |$n| { use $contender as $it; $program })),*]
    };
}

/// The program of every contender.
macro_rules! all {
    (|$n:ident, $it:ident| $program:expr) => {
        some!(|$n, $it| $program; "roundel" roundel, "tokio" tokio, "tokio_local" tokio_local, "smol" smol,
            "monoio" monoio_epoll, "monoio_uring" monoio_uring, "compio" compio)
    };
}

/// The program of the contenders that have queues; monoio uses those of `local-sync`.
macro_rules! four {
    (|$n:ident, $it:ident| $program:expr) => {
        some!(|$n, $it| $program; "roundel" roundel, "tokio" tokio, "smol" smol, "monoio" monoio_epoll)
    };
}

/// The program of the contenders that have channels and locks.
macro_rules! three {
    (|$n:ident, $it:ident| $program:expr) => {
        some!(|$n, $it| $program; "roundel" roundel, "tokio" tokio, "smol" smol)
    };
}

macro_rules! two {
    (|$n:ident, $it:ident| $program:expr) => {
        some!(|$n, $it| $program; "roundel" roundel, "tokio" tokio)
    };
}

/// The contenders whose wakers reach the loop from another thread.
macro_rules! reachable {
    (|$n:ident, $it:ident| $program:expr) => {
        some!(|$n, $it| $program; "roundel" roundel, "tokio" tokio, "tokio_local" tokio_local, "smol" smol,
            "compio" compio)
    };
}

/// Three rows: a timeout that ends before a number of sleeps, after them, and among them.
macro_rules! timeouts_beside {
    ($plan:expr, $pending:expr, $shown:literal) => {{
        let row = |place, programs| {
            let name = format!("timeout around one yield, {place} {} sleeps", $shown);
            row($plan, "timers", &name, 100_000, programs)
        };
        vec![
            row("before", all!(|n, it| it::timeout_in_crowd($pending, parts::before_all, n))),
            row("after", all!(|n, it| it::timeout_in_crowd($pending, parts::after_all, n))),
            row("among", all!(|n, it| it::timeout_in_crowd($pending, parts::long_nap, n))),
        ]
    }};
}

const MILLION: u64 = 1_000_000;

/// Time per operation.
fn row(plan: &Plan, group: &'static str, name: &str, work: u64, programs: Programs<Program>) -> Job {
    let work = (work / plan.share).max(work.min(1_000));
    whole_row(plan, group, name, work, programs)
}

/// The same, for work that would be another workload if it were less.
fn whole_row(plan: &Plan, group: &'static str, name: &str, work: u64, programs: Programs<Program>) -> Job {
    let names = programs.iter().map(|(name, _)| *name).collect();
    let run =
        move |who: &'static str| Ok(vec![program(&programs, who)?(work).as_nanos() as f64 / work as f64]);
    let rows = vec![(name.to_owned(), Unit::Nanoseconds)];
    Job { rounds: plan.rounds, run: Box::new(run), ..Job::new(group, rows, names) }
}

/// The median and the 99th percentile of operations that are measured one by one.
fn latencies(plan: &Plan, group: &'static str, name: &str, work: u64, programs: Programs<Each>) -> Job {
    let names = programs.iter().map(|(name, _)| *name).collect();
    let work = work / plan.share.min(4);
    let run = move |who: &'static str| {
        let mut took = program(&programs, who)?(work);
        took.sort();
        let at = |share: f64| took[(share * (took.len() - 1) as f64) as usize].as_nanos() as f64;
        Ok(vec![at(0.5), at(0.99)])
    };
    let rows = ["p50", "p99"].map(|share| (format!("{name}, {share}"), Unit::Nanoseconds)).to_vec();
    Job { rounds: plan.rounds, run: Box::new(run), ..Job::new(group, rows, names) }
}

fn program<P: Copy>(programs: &Programs<P>, who: &str) -> Result<P, Miss> {
    let found = programs.iter().find(|(name, _)| *name == who);
    found.map(|(_, program)| *program).ok_or_else(|| Miss::Absent("it has no such program".into()))
}

/// What the harness costs when there is nothing to measure.
fn nothing(n: u64) -> Duration {
    let start = std::time::Instant::now();
    for i in 0..n {
        std::hint::black_box(i);
    }
    start.elapsed()
}

pub fn control(plan: &Plan, _: &mut Vec<String>) -> Vec<Job> {
    let programs = ["roundel", "tokio", "smol"].map(|name| (name, nothing as Program)).to_vec();
    vec![row(plan, "control", "nothing at all, a thousand times", 1_000, programs)]
}

#[rustfmt::skip] // A table is read by columns.
pub fn scheduler(plan: &Plan, _: &mut Vec<String>) -> Vec<Job> {
    let row = |name, work, programs| row(plan, "scheduler", name, work, programs);
    let whole = |name, work, programs| whole_row(plan, "scheduler", name, work, programs);
    vec![
        row("spawn one, await it", 50_000, all!(|n, it| it::spawn_one(n))),
        row("spawn 1,000, await all, each", 200_000, all!(|n, it| it::spawn_many(1_000, n / 1_000))),
        whole("spawn 200,000, await all, each", 200_000, all!(|n, it| it::spawn_many(200_000, n / 200_000))),
        row("each spawns the next, chains of 1,000", 100_000, all!(|n, it| (0..n / 1_000).map(|_| it::chained_spawn(1_000)).sum())),
        row("each spawns one and awaits it, 1,000 deep", 100_000, all!(|n, it| (0..n / 1_000).map(|_| it::recursive_spawn(1_000)).sum())),
        row("wake oneself, 200 tasks × 1,000", 200_000, all!(|n, it| it::self_wake(200, (n / 200) as usize))),
        row("wake oneself, one task alone", 200_000, all!(|n, it| it::self_wake(1, n as usize))),
        row("yield_now, one task alone", 100_000, all!(|n, it| it::lone_yield(n))),
        row("hop between two tasks", 200_000, all!(|n, it| it::ping_pong(n))),
    ]
}

#[rustfmt::skip]
pub fn channels(plan: &Plan, _: &mut Vec<String>) -> Vec<Job> {
    let row = |name, work, programs| row(plan, "channels", name, work, programs);
    vec![
        row("oneshot, from one end to the other", 100_000, two!(|n, it| it::oneshot_round_trip(n))),
        row("a message through bounded(1)", 100_000, four!(|n, it| it::bounded_messages(1, n))),
        row("a message through bounded(100)", 200_000, four!(|n, it| it::bounded_messages(100, n))),
        row("a message without a limit", 200_000, four!(|n, it| it::unbounded_messages(n))),
        row("a message of five producers", 200_000, four!(|n, it| it::five_producers(n / 5))),
        row("a ring of 300 tasks, each step", 90_000, four!(|n, it| it::ring(300, n / 300))),
        row("request and reply", 100_000, two!(|n, it| it::request_reply(n))),
        row("broadcast to ten, each", 200_000, two!(|n, it| it::broadcast_to_10(n / 10))),
        row("watch, seen by ten, each", 100_000, two!(|n, it| it::watch_by_10(n / 10))),
        row("a mutex that no other task wants", 500_000, three!(|n, it| it::mutex_uncontended(n))),
        row("a mutex a hundred want", 100_000, three!(|n, it| it::mutex_of_100(n / 100))),
        row("a semaphore that no other task wants", 500_000, three!(|n, it| it::semaphore_uncontended(n))),
        row("a semaphore a hundred want", 100_000, three!(|n, it| it::semaphore_of_100(n / 100))),
        row("notify 10, each", 100_000, two!(|n, it| it::notify(10, n / 10))),
        row("notify 500, each", 100_000, two!(|n, it| it::notify(500, n / 500))),
        row("gather of 1,000 (tokio: JoinSet), each", 100_000, two!(|n, it| it::gather_1000(n / 1_000))),
        row("scope of 1,000 (tokio: JoinSet), each", 100_000, two!(|n, it| it::scope_1000(n / 1_000))),
    ]
}

pub fn timers(plan: &Plan, left_out: &mut Vec<String>) -> Vec<Job> {
    let group = "timers";
    let mut jobs = vec![
        row(plan, group, "start a sleep, drop it", 200_000, all!(|n, it| it::sleep_churn(n))),
        row(plan, group, "timeout around one yield", 100_000, all!(|n, it| it::timeout_yield(n))),
        latencies(plan, group, "a sleep of 1 ms is late by", 100, all!(|n, it| it::lateness(n))),
    ];
    jobs.extend(timeouts_beside!(plan, 10_000, "10,000"));
    match plan.quick {
        true => left_out.push("timers: a million sleepers takes too long for a quick run".into()),
        false => jobs.extend(beside_a_million(plan)),
    }
    jobs
}

/// To begin a million sleeps takes long, so these rows have few rounds.
fn beside_a_million(plan: &Plan) -> Vec<Job> {
    let sleepers =
        whole_row(plan, "timers", "a million sleepers, each", MILLION, all!(|n, it| it::many_sleepers(n)));
    let jobs = timeouts_beside!(plan, MILLION, "1,000,000").into_iter().chain([sleepers, longest_step()]);
    jobs.map(|job| Job { rounds: 3, guess: Duration::from_secs(2), ..job }).collect()
}

/// The longest of many steps. The steps are the same each time, so one that is long in one run only was interrupted.
fn longest_step() -> Job {
    let programs: Programs<Each> = all!(|n, it| it::steps_in_crowd(MILLION, n));
    let names = programs.iter().map(|(name, _)| *name).collect();
    let run = move |who: &'static str| {
        let steps = program(&programs, who)?;
        let runs: Vec<_> = (0..3).map(|_| steps(20_000)).collect();
        let shortest = |step: usize| runs.iter().map(|run| run[step]).min().unwrap_or_default();
        Ok(vec![(0..20_000).map(shortest).max().unwrap_or_default().as_nanos() as f64])
    };
    let rows = vec![("the longest step beside 1,000,000 sleeps".to_owned(), Unit::Nanoseconds)];
    Job { run: Box::new(run), ..Job::new("timers", rows, names) }
}

pub fn threads(plan: &Plan, left_out: &mut Vec<String>) -> Vec<Job> {
    let group = "threads";
    left_out.push("threads: monoio, as it is built by default, is not woken from other threads".into());
    vec![
        latencies(plan, group, "a wake of a loop that waits", 400, reachable!(|n, it| it::remote_wake(n))),
        row(
            plan,
            group,
            "a wake among many, for its thread",
            200_000,
            reachable!(|n, it| it::foreign_wakes(n)),
        ),
        row(
            plan,
            group,
            "spawn from another thread, each",
            12_800,
            two!(|n, it| it::spawn_from_elsewhere(n)),
        ),
        row(
            plan,
            group,
            "a job to a worker, there and back",
            4_000,
            reachable!(|n, it| it::unblock_round_trip(n)),
        ),
    ]
}
