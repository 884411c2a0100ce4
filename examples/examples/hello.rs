//! Breakfast for one thread: three tasks that wait at the same time.
//!
//! Run it with `cargo run --release --example hello`. It takes as long as the slowest task, not as long as all of them
//! one after the other, and everything happens on one thread.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::{args, println};
use roundel::{spawn_named, time};

/// Something that takes a while. While it waits, the thread is free for the others.
async fn prepare(what: &'static str, takes: Duration) -> &'static str {
    let start = time::now();
    println!("{what}: begun");
    time::sleep(takes).await;
    println!("{what}: ready after {} ms", (time::now() - start).as_millis());
    what
}

fn main() {
    args::none();
    let served = roundel::run(async {
        let start = time::now();
        let tasks = [("coffee", 300), ("eggs", 200), ("toast", 100)]
            .map(|(what, ms)| spawn_named(what, prepare(what, Duration::from_millis(ms))));
        println!("three tasks are spawned; none of them has run yet");

        // This prints in the order of the loop, not in the order in which the tasks become ready.
        let mut served = Vec::new();
        for task in tasks {
            served.push(task.await.expect("breakfast does not panic"));
        }
        println!("all of it took {} ms, and not 600", (time::now() - start).as_millis());
        served
    });
    println!("served: {}", served.join(", "));
}
