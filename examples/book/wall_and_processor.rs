//! A thousand waits of 100 ms each: how long they take, and how much of that time the processor works.
//!
//! Run it with `cargo run --release --example wall_and_processor`.
//!
//! Facts. Waiting needs no processor. A thousand waits, one after the other, would take a hundred seconds.
//!
//! What follows. The program prints both figures of the same run. The time on the clock falls. The processor is as idle
//! as before.

#![forbid(unsafe_code)]

use std::fs;
use std::time::{Duration, Instant};

use examples::{args, println};
use roundel::group::gather;
use roundel::time::sleep;

/// How long this thread has had a processor so far. Only Linux says that.
fn processor_time() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn main() {
    args::none();
    roundel::run(async {
        let (start, before) = (Instant::now(), processor_time());
        gather((0..1_000).map(|_| sleep(Duration::from_millis(100)))).await;
        println!("a thousand waits of 100 ms: {} ms", start.elapsed().as_millis());
        if let (Some(before), Some(after)) = (before, processor_time()) {
            println!("the processor has worked for {} ms of them", (after - before).as_millis());
        }
    });
}
