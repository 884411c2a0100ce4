//! A limit on how many run at once: a semaphore is a fixed number of permits.
//!
//! Run it with `cargo run --release --example semaphore`. (It takes twenty-five seconds; with `-- --virtual`, no time.)
//!
//! Facts. N jobs that take t each, K at a time, take `ceil(N / K) · t`. Without a limit, a thousand requests begin
//! together, and the server, or our own supply of descriptors, breaks down. A permit goes back when it is dropped, so a
//! program cannot forget to return it.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::group::{for_each_concurrent, gather};
use roundel::sync::{BoundedSemaphore, Semaphore};
use roundel::time;

const USAGE: &str = "\
usage: semaphore [two|fifty|crowd|bounded] [--virtual]
  two        five jobs of a second, two at once
  fifty      a thousand pages, fifty at once
  crowd      the same without a semaphore: for_each_concurrent
  bounded    permits that are returned by hand, and one too many
  --virtual  the clock jumps to the next deadline whenever no task can go on";

const SECOND: Duration = Duration::from_secs(1);

/// How many run now, the most that ran at once, and how many are done.
#[derive(Default)]
struct Seats {
    taken: Cell<u32>,
    most: Cell<u32>,
    served: Cell<u32>,
}

impl Seats {
    /// Holds a permit for a second.
    async fn sit(&self) {
        self.taken.set(self.taken.get() + 1);
        self.most.set(self.most.get().max(self.taken.get()));
        time::sleep(SECOND).await;
        self.taken.set(self.taken.get() - 1);
        self.served.set(self.served.get() + 1);
    }
}

async fn two(watch: Stopwatch) {
    let (permits, seats) = (Semaphore::new(2), Seats::default());
    gather((1..=5).map(async |number| {
        let _permit = permits.acquire().await.expect("it is never closed");
        watch.say(format_args!("job {number}: in, {} free", permits.available()));
        seats.sit().await;
        watch.say(format_args!("job {number}: out"));
    }))
    .await;
    watch.say(format_args!("{} jobs, at most {} at once", seats.served.get(), seats.most.get()));
}

async fn fifty(watch: Stopwatch) {
    let (permits, seats) = (Semaphore::new(50), Seats::default());
    gather((0..1000).map(async |_| {
        let _permit = permits.acquire().await.expect("it is never closed");
        seats.sit().await;
        report(watch, &seats);
    }))
    .await;
    watch.say(format_args!("at most {} at once", seats.most.get()));
}

async fn crowd(watch: Stopwatch) {
    let seats = Seats::default();
    for_each_concurrent(500, 0..1000, async |_| {
        seats.sit().await;
        report(watch, &seats);
    })
    .await;
    watch.say(format_args!("at most {} at once; the others did not exist yet", seats.most.get()));
}

fn report(watch: Stopwatch, seats: &Seats) {
    let served = seats.served.get();
    if served.is_multiple_of(100) {
        watch.say(format_args!("{served} pages of 1000"));
    }
}

async fn bounded(watch: Stopwatch) {
    let permits = BoundedSemaphore::new(1);
    permits.acquire().await.expect("it is never closed").keep();
    watch.say(format_args!("taken and kept: {} free", permits.available()));
    watch.say(format_args!("given back: {:?}", permits.release()));
    let error = permits.release().expect_err("none is out");
    watch.say(format_args!("given back again: {error}"));
}

fn main() {
    let show = Show::new(USAGE, &["two", "fifty", "crowd", "bounded"]);
    show.part("two", "five jobs of a second, two at once: three seconds", two);
    show.part("fifty", "a thousand pages of a second, fifty at once: twenty seconds", fifty);
    show.part("crowd", "a thousand pages, five hundred at once: two seconds", crowd);
    show.part("bounded", "one permit too many", bounded);
}
