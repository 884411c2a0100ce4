//! Three workers without an end, and an orderly stop: each finishes its current job when a signal asks the program to
//! stop.
//!
//! Run it with `cargo run --release --example shutdown`, and press Ctrl-C. Press it twice if you do not want to wait.
//!
//! Facts. A supervisor asks with SIGTERM, waits for a while, and then kills. In between, a program can write what it
//! holds and say good-bye. A token *asks* the workers: each looks at it where it can stop. A worker that is not done
//! within the grace period is dropped.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

use examples::args::Args;
use examples::show::{Show, Stopwatch};
use roundel::cancel::CancelToken;
use roundel::group::{gather, select};
use roundel::{signal, time};

const USAGE: &str = "\
usage: shutdown [--after SECS] [--virtual]
  --after    ends by itself after this time (never; with --virtual, after a second)
  --virtual  the clock jumps to the next deadline whenever no task can go on";

const GRACE: Duration = Duration::from_secs(2);

/// How many jobs the workers have begun, and how many they have finished.
#[derive(Default)]
struct Jobs {
    begun: Cell<u32>,
    done: Cell<u32>,
}

/// Takes one job after the other, and stops only between two of them.
async fn worker(watch: Stopwatch, number: u32, jobs: &Jobs, stop: CancelToken) {
    while !stop.is_cancelled() {
        jobs.begun.set(jobs.begun.get() + 1);
        time::sleep(Duration::from_millis(200 + 100 * u64::from(number))).await;
        jobs.done.set(jobs.done.get() + 1);
        watch.say(format_args!("worker {number}: a job is done"));
    }
    watch.say(format_args!("worker {number}: shutting down gracefully"));
}

async fn run(watch: Stopwatch, after: Duration) {
    let (jobs, stop) = (Jobs::default(), CancelToken::new());
    let workers = gather((1..=3).map(|number| worker(watch, number, &jobs, stop.clone())));
    let signalled = signal::shutdown(); // From here on, the program handles the signals.
    let asked = async {
        select! {
            by = signalled => watch.say(format_args!("signal {by}: no more jobs are begun")),
            () = time::sleep(after) => watch.say("the time is over: no more jobs are begun"),
        }
        stop.cancel();
        time::sleep(GRACE).await;
    };
    watch.say("three workers have started");
    let in_time = select! {
        _ = workers => true,
        () = asked => false,
    };
    let (begun, done) = (jobs.begun.get(), jobs.done.get());
    watch.say(format_args!("all ended in time: {in_time}; jobs begun {begun}, done {done}"));
}

fn main() {
    let mut args = Args::new(USAGE);
    let after = args.seconds("--after");
    let show = Show::with(args, &[]);
    let otherwise = if show.is_virtual() { Duration::from_secs(1) } else { Duration::MAX };
    show.run(async |watch| run(watch, after.unwrap_or(otherwise)).await);
}
