//! A manager: one task owns what all tasks use, and the others send it messages.
//!
//! Run it with `cargo run --release --example manager`.
//!
//! Facts. A value that only one task can reach needs no lock. What matters is what the messages mean. "Add one" cannot
//! go wrong. "What is it?" followed by "make it this" can, because another message may arrive in between, just as with
//! shared memory.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::channel::{OneshotSender, Receiver, Sender, bounded, oneshot};
use roundel::group::gather;
use roundel::{spawn, time};

const USAGE: &str = "\
usage: manager [counter|statistics|read-then-write] [--virtual]
  counter          five workers add one each
  statistics       ten workers report a job of half a second each
  read-then-write  ten workers ask for the number and set it to one more
  --virtual        the clock jumps to the next deadline whenever no task can go on";

/// How many jobs were done, and how long they took.
#[derive(Clone, Copy, Debug, Default)]
struct Statistics {
    processed: u32,
    total: Duration,
}

/// The messages to the manager.
enum Message {
    /// A job is done, and took this long.
    Add(Duration),
    /// Asks for the statistics.
    Get(OneshotSender<Statistics>),
    /// Replaces the statistics. (A real manager should not offer this.)
    Set(Statistics),
}

/// Owns the statistics, and ends when no sender is left.
async fn manage(messages: Receiver<Message>) {
    let mut statistics = Statistics::default();
    while let Ok(message) = messages.recv().await {
        match message {
            Message::Add(took) => {
                statistics.processed += 1;
                statistics.total += took;
            }
            // The task that asked may have gone; then the answer is dropped.
            Message::Get(answer) => drop(answer.send(statistics)),
            Message::Set(new) => statistics = new,
        }
    }
}

#[derive(Clone)]
struct Manager {
    messages: Sender<Message>,
}

impl Manager {
    fn start() -> Manager {
        let (messages, inbox) = bounded(16);
        spawn(manage(inbox)).detach();
        Manager { messages }
    }

    async fn send(&self, message: Message) {
        self.messages.send(message).await.expect("the manager lives as long as we do");
    }

    async fn get(&self) -> Statistics {
        let (answer, wait) = oneshot();
        self.send(Message::Get(answer)).await;
        wait.await.expect("the manager answers")
    }
}

async fn counter(watch: Stopwatch) {
    let manager = Manager::start();
    gather((1..=5).map(async |number| {
        manager.send(Message::Add(Duration::ZERO)).await;
        watch.say(format_args!("worker {number}: \"add one\""));
    }))
    .await;
    watch.say(format_args!("count = {}", manager.get().await.processed));
}

async fn statistics(watch: Stopwatch) {
    let manager = Manager::start();
    gather((0..10).map(async |_| {
        let start = time::now();
        time::sleep(Duration::from_millis(500)).await;
        manager.send(Message::Add(time::now() - start)).await;
    }))
    .await;
    let Statistics { processed, total } = manager.get().await;
    watch.say(format_args!("processed = {processed}, total time = {:.1} s", total.as_secs_f64()));
}

async fn read_then_write(watch: Stopwatch) {
    let manager = Manager::start();
    gather((0..10).map(async |_| {
        let mut statistics = manager.get().await;
        statistics.processed += 1; // By now, nine others have read the same value.
        manager.send(Message::Set(statistics)).await;
    }))
    .await;
    watch.say(format_args!("processed = {}, and not 10", manager.get().await.processed));
}

fn main() {
    let show = Show::new(USAGE, &["counter", "statistics", "read-then-write"]);
    show.part("counter", "five times \"add one\"", counter);
    show.part("statistics", "ten times \"add this\"", statistics);
    show.part("read-then-write", "ten times \"what is it?\" and \"make it this\"", read_then_write);
}
