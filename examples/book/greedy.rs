//! What a task that does not yield takes from all the others.
//!
//! Run it with `cargo run --release --example greedy`.
//!
//! Facts. Nothing interrupts a poll. The loop notices a deadline that passes meanwhile only when the poll is over, and
//! there is more than one poll between two looks at the clock.
//!
//! What follows. A poll of 200 ms makes every other task late by 200 ms. Polls of 1 ms do less harm, once the loop has
//! noticed how long they take. Polls of 20 µs hardly matter, even if they come from sixteen tasks that never stop.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use examples::{args, println};
use roundel::{spawn, time, yield_now};

/// Keeps the processor busy, as a long computation does.
fn burn(duration: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// How many milliseconds each of five sleeps of 10 ms takes beside tasks that burn this long in each poll.
async fn five_sleeps(tasks: u32, each_poll: Duration, polls: u32) -> Vec<u128> {
    for _ in 0..tasks {
        let compute = async move {
            for _ in 0..polls {
                burn(each_poll);
                yield_now().await;
            }
        };
        spawn(compute).detach();
    }
    let mut took = Vec::new();
    for _ in 0..5 {
        let begin = Instant::now();
        time::sleep(Duration::from_millis(10)).await;
        took.push(begin.elapsed().as_millis());
    }
    took
}

fn main() {
    args::none();
    let (ms, us) = (Duration::from_millis, Duration::from_micros);
    for (tasks, each_poll, polls) in [(1, ms(200), 1), (1, ms(1), 1000), (16, us(20), 10_000)] {
        let took = roundel::run(five_sleeps(tasks, each_poll, polls));
        println!("polls of {each_poll:?}, tasks: {tasks}: five sleeps of 10 ms took {took:?} ms");
    }
}
