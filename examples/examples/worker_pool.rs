//! Twenty pieces of work, four workers, and two ways to tell them that there is no more.
//!
//! Run it with `cargo run --release --example worker_pool`.
//!
//! Facts. A worker that waits for work cannot know that none will come. A *sentinel* tells it: a value that is no work,
//! one for each worker, and none too few. Closing the channel tells any number of workers, even if the task that should
//! have sent the sentinels has failed.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::channel::{Receiver, Sender, bounded};
use roundel::group::gather;
use roundel::{spawn, task, time};

const USAGE: &str = "\
usage: worker_pool [sentinels|closed] [--virtual]
  sentinels  the work ends with a None for each worker
  closed     the work ends when the channel is closed
  --virtual  the clock jumps to the next deadline whenever no task can go on";

const WORKERS: u32 = 4;
const PIECES: u32 = 20;

/// A piece of work: 50 ms.
async fn double(number: u32) -> (u32, u32) {
    time::sleep(Duration::from_millis(50)).await;
    (number, 2 * number)
}

async fn until_a_sentinel(work: Receiver<Option<u32>>, results: Sender<(u32, u32)>) -> u32 {
    let mut count = 0;
    while let Ok(Some(number)) = work.recv().await {
        results.send(double(number).await).await.expect("the collector is there");
        count += 1;
    }
    count
}

async fn until_it_is_closed(work: Receiver<u32>, results: Sender<(u32, u32)>) -> u32 {
    let mut count = 0;
    while let Ok(number) = work.recv().await {
        results.send(double(number).await).await.expect("the collector is there");
        count += 1;
    }
    count
}

/// Collects what arrives until the last worker has ended.
async fn collect(watch: Stopwatch, results: Receiver<(u32, u32)>) {
    let mut found = BTreeMap::new();
    while let Ok((number, result)) = results.recv().await {
        found.insert(number, result);
        if found.len().is_multiple_of(4) {
            watch.say(format_args!("{} of {PIECES} are done", found.len()));
        }
    }
    watch.say(format_args!("{found:?}"));
}

async fn sentinels(watch: Stopwatch) {
    let (work, queue) = bounded(8);
    let (result, results) = bounded(8);
    let workers: Vec<_> =
        (0..WORKERS).map(|_| spawn(until_a_sentinel(queue.clone(), result.clone()))).collect();
    drop(result); // Only the workers' senders are left, so the results end with them.
    let boss = spawn(async move {
        for number in (0..PIECES).map(Some).chain((0..WORKERS).map(|_| None)) {
            work.send(number).await.expect("the workers live");
        }
    });
    collect(watch, results).await;
    boss.await.expect("it does not panic");
    said(watch, gather(workers).await);
}

async fn closed(watch: Stopwatch) {
    let (work, queue) = bounded(8);
    let (result, results) = bounded(8);
    let workers: Vec<_> =
        (0..WORKERS).map(|_| spawn(until_it_is_closed(queue.clone(), result.clone()))).collect();
    drop(result);
    let boss = spawn(async move {
        for number in 0..PIECES {
            work.send(number).await.expect("the workers live");
        }
    }); // This drops the last sender, which closes the channel.
    collect(watch, results).await;
    boss.await.expect("it does not panic");
    said(watch, gather(workers).await);
}

fn said(watch: Stopwatch, counts: Vec<Result<u32, roundel::JoinError>>) {
    let counts: Vec<u32> = counts.into_iter().map(|count| count.expect("it does not panic")).collect();
    watch.say(format_args!("pieces per worker: {counts:?}; tasks left: {}", task::count() - 1));
}

fn main() {
    let show = Show::new(USAGE, &["sentinels", "closed"]);
    show.part("sentinels", "a None for each worker", sentinels);
    show.part("closed", "the channel is closed", closed);
}
