//! A job that blocks, first inside a task and then in a thread, and how many heartbeats of the loop it hears.
//!
//! Run it with `cargo run --release --example frozen_loop`.
//!
//! Facts. A task beats every 10 ms, as long as the loop turns. The job waits for five beats and gives up on each after
//! 500 ms; while it waits, its thread can do nothing else.
//!
//! What follows. Inside a task, the job holds the only thread that could beat, so it hears nothing. In a thread of the
//! pool it hears all five.

#![forbid(unsafe_code)]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use examples::{args, println};
use roundel::blocking::unblock;
use roundel::{spawn, time};

/// Beats until the receiver has gone.
async fn heart(beats: Sender<()>) {
    loop {
        time::sleep(Duration::from_millis(10)).await;
        if beats.send(()).is_err() {
            return;
        }
    }
}

/// Blocks its thread. Returns how many of five beats it has heard.
fn listen(beats: &Receiver<()>) -> usize {
    (0..5).take_while(|_| beats.recv_timeout(Duration::from_millis(500)).is_ok()).count()
}

fn main() {
    args::none();
    roundel::run(async {
        let (sender, beats) = channel();
        let heart_of_first = spawn(heart(sender));
        // Wrong: the task blocks the loop, and with it the heart.
        let heard = spawn(async move { listen(&beats) });
        println!("inside a task: heard {} of 5 beats", heard.await.unwrap());
        heart_of_first.await.unwrap();

        let (sender, beats) = channel();
        let heart_of_second = spawn(heart(sender));
        let heard = unblock(move || listen(&beats));
        println!("in a thread:   heard {} of 5 beats", heard.await.unwrap());
        heart_of_second.await.unwrap();
    });
}
