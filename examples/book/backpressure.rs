//! A fast producer, a slow consumer, and three channels between them.
//!
//! Run it with `cargo run --release --example backpressure`. Time is virtual, so it takes none.
//!
//! Facts. Values that are produced and not yet consumed take memory. If the channel has no limit, the memory is the
//! limit.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use examples::{args, println};
use roundel::channel::{self, Receiver, Sender};
use roundel::group::join;
use roundel::{Runtime, time};

const ITEMS: u32 = 1000;

fn ms(start: Instant) -> u128 {
    (time::now() - start).as_millis()
}

/// Returns when it was done, and the most values that were in the channel.
async fn produce(sender: Sender<u32>, start: Instant) -> (u128, usize) {
    let mut most = 0;
    for item in 0..ITEMS {
        sender.send(item).await.expect("the consumer listens to the end");
        most = most.max(sender.len());
    }
    (ms(start), most)
}

/// Takes a millisecond for each value. Ends when the last sender is gone and everything has been received.
async fn consume(receiver: Receiver<u32>, start: Instant) -> u128 {
    while receiver.recv().await.is_ok() {
        time::sleep(Duration::from_millis(1)).await;
    }
    ms(start)
}

async fn through(what: &str, (sender, receiver): (Sender<u32>, Receiver<u32>)) {
    let start = time::now();
    let ((produced, most), consumed) = join!(produce(sender, start), consume(receiver, start));
    println!("{what} produced in {produced:4} ms, consumed in {consumed} ms, at most {most:4} waited inside");
}

fn main() {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build().expect("a loop");
    runtime.block_on(async {
        through("unbounded: ", channel::unbounded()).await;
        through("bounded(8):", channel::bounded(8)).await;
        through("bounded(0):", channel::bounded(0)).await;
    });
}
