//! Ten requests a second: why a semaphore cannot promise that, and a token bucket can.
//!
//! Run it with `cargo run --release --example rate_limit`.
//!
//! Facts. Ten permits limit how many requests run *at once*. Requests that take 20 ms give their permits back quickly,
//! and the ten permits allow five hundred requests a second. A rate needs tokens that arrive over time: a full bucket
//! may be emptied at once, and after that each request waits for a token.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::group::gather;
use roundel::sync::{RateLimiter, Semaphore};
use roundel::time;

const USAGE: &str = "\
usage: rate_limit [semaphore|limiter] [--virtual]
  semaphore  thirty requests, ten at once
  limiter    thirty requests, ten at once and ten a second
  --virtual  the clock jumps to the next deadline whenever no task can go on";

async fn request() {
    time::sleep(Duration::from_millis(20)).await;
}

async fn semaphore(watch: Stopwatch) {
    let permits = Semaphore::new(10);
    gather((1..=30).map(async |number| {
        let _permit = permits.acquire().await.expect("it is never closed");
        if number % 10 == 1 {
            watch.say(format_args!("request {number} and nine more go out"));
        }
        request().await;
    }))
    .await;
    watch.say("thirty requests in far less than a second: that was no limit of ten per second");
}

async fn limiter(watch: Stopwatch) {
    let limiter = RateLimiter::new(10, 10);
    gather((1..=30).map(async |number| {
        limiter.acquire().await;
        match number {
            1 => watch.say("requests 1 to 10 go out"),
            2..=10 => {}
            _ => watch.say(format_args!("request {number} goes out")),
        }
        request().await;
    }))
    .await;
    watch.say("thirty requests: the first ten at once, then one every 100 ms");
}

fn main() {
    let show = Show::new(USAGE, &["semaphore", "limiter"]);
    show.part("semaphore", "ten at once is not ten a second", semaphore);
    show.part("limiter", "ten at once, and ten a second", limiter);
}
