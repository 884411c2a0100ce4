//! A job every 10 ms: sleeps that drift, an interval that does not, and what happens to missed ticks.
//!
//! Run it with `cargo run --release --example ticks`, and add `drift` or `missed` to see only that part. It runs on
//! virtual time, and its figures are exact.
//!
//! Facts. The work itself takes a while. A sleep of 10 ms that begins after the work ends later than the next 10 ms.
//!
//! What follows. Deadlines are counted from deadlines, and not from "now". After missed ticks there is a choice: all of
//! them at once, only those that are still to come, or a whole period from now on.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use examples::{args, println};
use roundel::time::{self, MissedTick};
use roundel::{Runtime, spawn};

const PERIOD: Duration = Duration::from_millis(10);

fn since(begin: Instant) -> u128 {
    (time::now() - begin).as_millis()
}

async fn work(ms: u64) {
    time::sleep(Duration::from_millis(ms)).await;
}

/// Wrong, and shown here.
async fn sleep_in_between() {
    let (begin, mut starts) = (time::now(), Vec::new());
    for _ in 0..6 {
        starts.push(since(begin));
        work(3).await;
        time::sleep(PERIOD).await;
    }
    println!("sleeps in between: {starts:?}");
}

async fn with_an_interval() {
    let (begin, mut starts) = (time::now(), Vec::new());
    let mut interval = time::interval(PERIOD);
    for _ in 0..6 {
        interval.tick().await;
        starts.push(since(begin));
        work(3).await;
    }
    println!("an interval:       {starts:?}");
}

/// The second piece of work takes as long as three and a half periods.
async fn with_a_late_one(policy: MissedTick) {
    let (begin, mut starts) = (time::now(), Vec::new());
    let mut interval = time::interval(PERIOD).missed(policy);
    for tick in 0..8 {
        interval.tick().await;
        starts.push(since(begin));
        work(if tick == 1 { 35 } else { 0 }).await;
    }
    println!("{:<6} {starts:?}", format!("{policy:?}:"));
}

fn main() {
    let wanted = args::part(&["drift", "missed"]);
    let is_wanted = |part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
    let runtime = Runtime::builder().virtual_time(true).build().expect("descriptors for a loop");
    runtime.block_on(async {
        if is_wanted("drift") {
            sleep_in_between().await;
            with_an_interval().await;
        }
        if is_wanted("missed") {
            for policy in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
                spawn(with_a_late_one(policy)).await.expect("it only ticks");
            }
        }
    });
}
