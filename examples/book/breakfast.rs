//! Three timers are due at the same moment, and one of the tasks that they wake spawns a fourth. In which order do the
//! tasks run?
//!
//! Run it with `cargo run --release --example breakfast`. The clock is virtual, so each run is the same.
//!
//! Facts. There are two lanes of ready tasks. What a timer wakes is queued in one of them, and what a task wakes or spawns
//! in the other. While neither lane is empty, the loop takes one from each, alternately.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::{args, println};
use roundel::{Runtime, spawn_named, time};

async fn prepare(what: &'static str) {
    time::sleep(Duration::from_millis(100)).await;
    println!("{what}: ready");
    if what == "coffee" {
        spawn_named("milk", async { println!("milk: poured into the coffee") }).detach();
    }
}

fn main() {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build().expect("a loop");
    runtime.block_on(async {
        let tasks = ["coffee", "eggs", "toast"].map(|what| spawn_named(what, prepare(what)));
        for task in tasks {
            task.await.expect("breakfast does not panic");
        }
        println!("breakfast is served");
    });
}
