//! Is the loop well? A monitor measures what every task notices: how late its deadlines are.
//!
//! Run it with `cargo run --release --example health`.
//!
//! Facts. A loop that is held up cannot say so at that moment. Afterwards, the lateness of a timer tells how long it
//! was. The number of tasks and of polls tells what the loop is busy with, and how long a task that is ready waits tells
//! whether it is too much: [`roundel::metrics`] counts them.

#![forbid(unsafe_code)]

use std::thread;
use std::time::Duration;

use examples::args::Args;
use examples::show::Stopwatch;
use roundel::{Runtime, spawn, time};

const USAGE: &str = "\
usage: health [--block SECS]
  --block  for how long one task blocks the loop (0.5)";

const PERIOD: Duration = Duration::from_millis(200);
/// A timer that is later than the first is a warning; later than the second, an alarm.
const LIMITS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(100));

/// Prints a line every 200 ms.
async fn monitor(watch: Stopwatch) {
    let mut polls = 0;
    let mut ticks = time::interval_at(time::now() + PERIOD, PERIOD);
    loop {
        let due = ticks.tick().await;
        let late = time::now() - due;
        let light = match late {
            _ if late > LIMITS.1 => "RED   ",
            _ if late > LIMITS.0 => "yellow",
            _ => "green ",
        };
        let metrics = roundel::metrics();
        let (late, tasks) = (late.as_millis(), metrics.tasks);
        let all = metrics.counts.map_or(0, |counts| counts.polls);
        let new = all - std::mem::replace(&mut polls, all);
        watch.say(format_args!("{light} {late:4} ms late {tasks:5} tasks {new:6} polls"));
    }
}

async fn run(watch: Stopwatch, block: Duration) {
    spawn(monitor(watch)).detach();
    watch.say("nothing is going on");
    time::sleep(PERIOD * 5 / 2).await;
    watch.say("a thousand tasks wake up every 10 ms");
    let crowd: Vec<_> = (0..1000).map(|_| spawn(napping())).collect();
    time::sleep(PERIOD * 3).await;
    crowd.iter().for_each(roundel::JoinHandle::cancel);
    watch.say(format_args!("they are gone; one task blocks for {} ms", block.as_millis()));
    thread::sleep(block);
    watch.say("it has ended");
    time::sleep(PERIOD * 3).await;
    if let Some(counts) = roundel::metrics().counts {
        watch.say(format_args!("ready tasks have waited: {}", counts.queue_delay));
        watch.say(format_args!("polls have taken:        {}", counts.poll_time));
    }
}

async fn napping() {
    loop {
        time::sleep(Duration::from_millis(10)).await;
    }
}

fn main() {
    let mut args = Args::new(USAGE);
    let block = args.seconds("--block").unwrap_or(Duration::from_millis(500));
    args.finish();
    let runtime = Runtime::builder().metrics(true).build().expect("descriptors for a loop");
    runtime.block_on(async { run(Stopwatch::start(), block).await });
}
