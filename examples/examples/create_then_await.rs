//! When does a future start? Not when it is created, but when it is awaited, or when it has become a task and its turn
//! comes.
//!
//! Run it with `cargo run --release --example create_then_await`.
//!
//! Facts. Calling an `async fn` runs none of its body. [`spawn`](roundel::spawn) makes a task of a future and returns
//! at once; the loop first polls the task when the task that spawned it waits. A task that is awaited on the line where
//! it is spawned gains nothing from being a task.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::{spawn_named, time};

const USAGE: &str = "\
usage: create_then_await [lazy|too-early|create-first] [--virtual]
  lazy          a future that is not awaited
  too-early     each task is awaited where it is spawned
  create-first  all tasks are spawned, then awaited
  --virtual     the clock jumps to the next deadline whenever no task can go on";

/// The number of each piece of data, and how many seconds it takes.
const PIECES: [(u32, u64); 3] = [(1, 2), (2, 3), (3, 1)];

async fn load(watch: Stopwatch, (number, seconds): (u32, u64)) -> String {
    watch.say(format_args!("load {number}: begun"));
    time::sleep(Duration::from_secs(seconds)).await;
    watch.say(format_args!("load {number}: done"));
    format!("Data-{number}")
}

async fn lazy(watch: Stopwatch) {
    let future = load(watch, (1, 2));
    watch.say("a future is made; it has printed nothing");
    time::sleep(Duration::from_secs(3)).await;
    watch.say("three seconds later it still has not begun");
    let data = future.await;
    watch.say(format_args!("now it was awaited: {data}"));
}

async fn too_early(watch: Stopwatch) {
    let mut data = Vec::new();
    for piece in PIECES {
        let task = spawn_named(format!("load {}", piece.0), load(watch, piece));
        data.push(task.await.expect("nothing panics here"));
    }
    watch.say(format_args!("all done: {data:?}, after 2 + 3 + 1 seconds"));
}

async fn create_first(watch: Stopwatch) {
    let tasks = PIECES.map(|piece| spawn_named(format!("load {}", piece.0), load(watch, piece)));
    watch.say("three tasks are created; none has run, because this one has not yielded");
    time::sleep(Duration::from_millis(500)).await;
    watch.say("half a second of other work, while they wait for theirs");
    let mut data = Vec::new();
    for task in tasks {
        data.push(task.await.expect("nothing panics here"));
    }
    watch.say(format_args!("all done: {data:?}, after 3 seconds"));
}

fn main() {
    let show = Show::new(USAGE, &["lazy", "too-early", "create-first"]);
    show.part("lazy", "a future that is not awaited does nothing", lazy);
    show.part("too-early", "spawned and awaited one by one: no gain from tasks", too_early);
    show.part("create-first", "all spawned, then awaited", create_first);
}
