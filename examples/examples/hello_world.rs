//! The first program: one word, a second in which nothing runs, another word.
//!
//! Run it with `cargo run --release --example hello_world`. With `-- --virtual` at the end, the second takes no time.
//!
//! Facts. `greet(watch)` is a future: it prints nothing until a loop polls it. While it sleeps, the loop sleeps too, in
//! the operating system, until the deadline.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::time;

const USAGE: &str = "\
usage: hello_world [--virtual]
  --virtual  the clock jumps to the next deadline whenever no task can go on";

async fn greet(watch: Stopwatch) {
    watch.say("Hello …");
    time::sleep(Duration::from_secs(1)).await;
    watch.say("… World!");
}

fn main() {
    Show::new(USAGE, &[]).run(greet);
}
