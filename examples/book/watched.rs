//! What it costs to be recorded: a poll that does nothing but give way, with and without a recorder.
//!
//! Run it with `cargo run --release --example watched`.
//!
//! Facts. Such a poll is three events: it begins, the task wakes itself, and the poll ends. A program that does some
//! work in its polls loses a smaller part of its speed.

#![forbid(unsafe_code)]

use std::time::Instant;

use examples::{args, println};
use roundel::record::Recorder;
use roundel::{Runtime, spawn, yield_now};

const POLLS: u32 = 20_000;
const ROUNDS: u32 = 9;

async fn give_way(times: u32) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// The nanoseconds of a poll, while two tasks take turns.
fn time_of_a_poll(recorder: Option<Recorder>) -> f64 {
    let builder = match recorder {
        Some(recorder) => Runtime::builder().record(recorder),
        None => Runtime::builder(),
    };
    builder.build().expect("a loop").block_on(async {
        let begin = Instant::now();
        for task in [spawn(give_way(POLLS / 2)), spawn(give_way(POLLS / 2))] {
            task.await.expect("it only gives way");
        }
        begin.elapsed().as_nanos() as f64 / f64::from(POLLS)
    })
}

/// The nanoseconds of one look at the clock.
fn time_of_the_clock() -> f64 {
    let begin = Instant::now();
    let end = (0..POLLS).fold(begin, |_, _| Instant::now());
    (end - begin).as_nanos() as f64 / f64::from(POLLS)
}

/// The machine may be busy with other things, so the best of several rounds counts.
fn best(measure: impl Fn() -> f64) -> f64 {
    (0..ROUNDS).map(|_| measure()).fold(f64::INFINITY, f64::min)
}

fn main() {
    args::none();
    let file = std::env::temp_dir().join(format!("watched-{}.trace", std::process::id()));
    let ways: [(&str, &dyn Fn() -> Option<Recorder>); 4] = [
        ("not recorded", &|| None),
        ("into a ring", &|| Some(Recorder::ring(10_000))),
        ("into memory", &|| Some(Recorder::in_memory())),
        ("into a file", &|| Some(Recorder::to_file(&file))),
    ];
    for (how, recorder) in ways {
        println!("{how:12} {:6.1} ns for a poll", best(|| time_of_a_poll(recorder())));
    }
    println!("the clock    {:6.1} ns to read it", best(time_of_the_clock));
    std::fs::remove_file(&file).expect("the trace can be removed");
}
