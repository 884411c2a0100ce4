//! Is the loop well? A monitor measures what every task notices: how late its deadlines are.
//!
//! Run it with `cargo run --release --example health`.
//!
//! Facts. A loop that is held up cannot say so at that moment. Afterwards, the lateness of a timer tells how long it
//! was. The number of tasks and of polls tells what the loop is busy with: the [probe](roundel::probe) counts them.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use examples::args::Args;
use examples::show::Stopwatch;
use roundel::probe::Event;
use roundel::{Runtime, spawn, task, time};

const USAGE: &str = "\
usage: health [--block SECS]
  --block  for how long one task blocks the loop (0.5)";

const PERIOD: Duration = Duration::from_millis(200);
/// A timer that is later than the first is a warning; later than the second, an alarm.
const LIMITS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(100));

/// Prints a line every 200 ms.
async fn monitor(watch: Stopwatch, polls: Rc<Cell<u64>>) {
    let mut ticks = time::interval_at(time::now() + PERIOD, PERIOD);
    loop {
        let due = ticks.tick().await;
        let late = time::now() - due;
        let light = match late {
            _ if late > LIMITS.1 => "RED   ",
            _ if late > LIMITS.0 => "yellow",
            _ => "green ",
        };
        let (late, tasks, polls) = (late.as_millis(), task::count(), polls.take());
        watch.say(format_args!("{light} {late:4} ms late {tasks:5} tasks {polls:6} polls"));
    }
}

async fn run(watch: Stopwatch, polls: Rc<Cell<u64>>, block: Duration) {
    spawn(monitor(watch, polls)).detach();
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
    let polls = Rc::new(Cell::new(0));
    let count = polls.clone();
    let sink = move |event| {
        if let Event::PollBegin { .. } = event {
            count.set(count.get() + 1);
        }
    };
    let runtime = Runtime::builder().probe(sink).build().expect("three descriptors for a loop");
    runtime.block_on(async { run(Stopwatch::start(), polls, block).await });
}
