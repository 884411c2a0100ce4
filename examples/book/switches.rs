//! What a switch costs: two tasks that take turns, and two threads that do.
//!
//! Run it with `cargo run --release --example switches`.
//!
//! Facts. To let another thread go on takes two system calls, and the kernel decides when. To let another task go on is
//! a return from one `poll` and a call of the next.
//!
//! What follows. Both switch far too often for the eye, so both look as if everything happened at once. But between two
//! tasks no time is spent in the kernel.

#![forbid(unsafe_code)]

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use examples::{args, println};
use roundel::{spawn, yield_now};

const ROUNDS: u32 = 20_000;

async fn give_way_often() {
    for _ in 0..ROUNDS {
        yield_now().await;
    }
}

fn two_threads() {
    let (there, arrives) = sync_channel(1);
    let (back, returns) = sync_channel(1);
    let other =
        thread::spawn(move || arrives.into_iter().for_each(|()| back.send(()).expect("it is awaited")));
    for _ in 0..ROUNDS {
        there.send(()).expect("the other thread waits for it");
        returns.recv().expect("the other thread gives it back");
    }
    drop(there);
    other.join().expect("it only gives back");
}

fn tell(who: &str, begin: Instant) {
    let each = begin.elapsed().as_nanos() / u128::from(2 * ROUNDS);
    println!("from one {who} to the other: {each} ns");
}

fn main() {
    args::none();
    let begin = Instant::now();
    roundel::run(async {
        let tasks = [spawn(give_way_often()), spawn(give_way_often())];
        for task in tasks {
            task.await.expect("it only yields");
        }
    });
    tell("task", begin);
    let begin = Instant::now();
    two_threads();
    tell("thread", begin);
}
