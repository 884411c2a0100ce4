//! Three fetches that take two, one and three seconds: one after the other, and then at the same time.
//!
//! Run it with `cargo run --release --example fetches`.
//!
//! Facts. Waiting is not working. If you await three things one after the other, you wait for the sum of their times;
//! if you await them together, only for the longest. The results come in the order of the arguments, whichever was done
//! first.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::group::{as_completed, gather};
use roundel::time;

const USAGE: &str = "\
usage: fetches [sequential|concurrent|first-come] [--virtual]
  sequential  each fetch is awaited before the next begins
  concurrent  all are awaited together; the pages are in the order of the fetches
  first-come  all run together; each page is looked at as soon as it arrives
  --virtual   the clock jumps to the next deadline whenever no task can go on";

/// The number of each fetch, and how many seconds it takes.
const FETCHES: [(u32, u64); 3] = [(1, 2), (2, 1), (3, 3)];

/// Stands for anything that waits for something outside the program.
async fn fetch(watch: Stopwatch, (number, seconds): (u32, u64)) -> String {
    watch.say(format_args!("fetch {number}: begun"));
    time::sleep(Duration::from_secs(seconds)).await;
    watch.say(format_args!("fetch {number}: done"));
    format!("page {number}")
}

async fn sequential(watch: Stopwatch) {
    let mut pages = Vec::new();
    for one in FETCHES {
        pages.push(fetch(watch, one).await); // No other task of ours runs in these seconds.
    }
    watch.say(format_args!("{pages:?} after the sum, 2 + 1 + 3"));
}

async fn concurrent(watch: Stopwatch) {
    let pages = gather(FETCHES.map(|one| fetch(watch, one))).await;
    watch.say(format_args!("{pages:?} after the longest, 3"));
}

async fn first_come(watch: Stopwatch) {
    let mut pages = as_completed(FETCHES.map(|one| fetch(watch, one)));
    while let Some(page) = pages.next().await {
        watch.say(format_args!("{page} is looked at, {} to come", pages.len()));
    }
}

fn main() {
    let show = Show::new(USAGE, &["sequential", "concurrent", "first-come"]);
    show.part("sequential", "one after the other", sequential);
    show.part("concurrent", "all at once, the results in order", concurrent);
    show.part("first-come", "all at once, the results as they come", first_come);
}
