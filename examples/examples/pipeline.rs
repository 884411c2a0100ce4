//! Three stages that work at the same time, each with a channel to the next: filter and double, square, collect.
//!
//! Run it with `cargo run --release --example pipeline`.
//!
//! Facts. Each stage is a task, and its channel is the only thing that it shares. The end travels by itself: a stage
//! whose channel is closed drops its own sender. A full channel makes the stage before it wait, and so on back to the
//! source (backpressure), so memory is bounded, however slow the last stage is. Results have to travel as well, because
//! the list that a worker fills is not ours.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::channel::{Receiver, Sender, bounded};
use roundel::{spawn, time};

const USAGE: &str = "\
usage: pipeline [stages|backpressure] [--virtual]
  stages        the numbers from -5 to 9: those above zero are doubled and squared
  backpressure  a fast producer, a channel for two, a slow consumer
  --virtual     the clock jumps to the next deadline whenever no task can go on";

async fn double_the_positive(numbers: Receiver<i64>, doubled: Sender<i64>) {
    while let Ok(number) = numbers.recv().await {
        if number > 0 && doubled.send(number * 2).await.is_err() {
            return; // The next stage has gone.
        }
    }
}

async fn square(watch: Stopwatch, numbers: Receiver<i64>, squared: Sender<i64>) {
    while let Ok(number) = numbers.recv().await {
        watch.say(format_args!("square: {number} becomes {}", number * number));
        if squared.send(number * number).await.is_err() {
            return;
        }
    }
    watch.say("square: the stage before has ended, and so do we");
}

async fn stages(watch: Stopwatch) {
    let (source, first) = bounded(2);
    let (doubled, second) = bounded(2);
    let (squared, results) = bounded(2);
    spawn(double_the_positive(first, doubled)).detach();
    spawn(square(watch, second, squared)).detach();
    spawn(async move {
        for number in -5..10 {
            source.send(number).await.expect("the first stage listens");
        }
    })
    .detach();
    let mut collected = Vec::new();
    while let Ok(result) = results.recv().await {
        collected.push(result);
    }
    watch.say(format_args!("results: {collected:?}"));
}

async fn backpressure(watch: Stopwatch) {
    let (sender, receiver) = bounded(2);
    let producer = spawn(async move {
        for item in 1..=10 {
            sender.send(item).await.expect("the consumer listens");
            watch.say(format_args!("producer: {item} is in, {} in the channel", sender.len()));
        }
    });
    while let Ok(item) = receiver.recv().await {
        time::sleep(Duration::from_millis(100)).await;
        watch.say(format_args!("consumer: {item} is done"));
    }
    producer.await.expect("it does not panic");
}

fn main() {
    let show = Show::new(USAGE, &["stages", "backpressure"]);
    show.part("stages", "three stages, two channels between them, one for the results", stages);
    show.part("backpressure", "ten items, one every 0.1 s", backpressure);
}
