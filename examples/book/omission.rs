//! Two clients measure the same server, which stands still once for a second. One of the clients does not notice.
//!
//! Run it with `cargo run --release --example omission`.
//!
//! Facts. The server needs 1 ms for an answer, and stands still from 5 s to 6 s. A hundred messages a second are due,
//! for ten seconds, because users do not wait for one another. Time is virtual, so the figures are exact.
//!
//! What follows. The polite client sends a message when the one before it was answered. While the server stands still,
//! it sends nothing, and messages that were not sent are in no statistics. The punctual client sends each message when
//! it is due.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use examples::{args, println};
use roundel::group::gather;
use roundel::sync::Mutex;
use roundel::{Runtime, time};

const MESSAGES: u32 = 1_000;
const EVERY: Duration = Duration::from_millis(10);

/// Answers one after the other.
struct Server {
    begin: Instant,
    turn: Mutex<()>,
}

impl Server {
    async fn answer(&self) {
        let _turn = self.turn.lock().await;
        let now = time::now() - self.begin;
        if (Duration::from_secs(5)..Duration::from_secs(6)).contains(&now) {
            time::sleep_until(self.begin + Duration::from_secs(6)).await;
        }
        time::sleep(Duration::from_millis(1)).await;
    }
}

fn told(client: &str, mut latencies: Vec<Duration>) {
    latencies.sort();
    let at = |share: usize| latencies[(latencies.len() * share / 100).min(latencies.len() - 1)].as_millis();
    let sent = latencies.len();
    println!(
        "{client}: {sent} messages, p50 {} ms, p90 {} ms, p99 {} ms, longest {} ms",
        at(50),
        at(90),
        at(99),
        at(100)
    );
}

/// Wrong: waits for the answer, then for the rest of the 10 ms, and counts from the moment at which it has sent.
async fn polite() -> Vec<Duration> {
    let server = Server { begin: time::now(), turn: Mutex::new(()) };
    let mut latencies = Vec::new();
    while time::now() < server.begin + EVERY * MESSAGES {
        let sent = time::now();
        server.answer().await;
        latencies.push(time::now() - sent);
        time::sleep_until(sent + EVERY).await;
    }
    latencies
}

/// Counts from the moment at which each message was due.
async fn punctual() -> Vec<Duration> {
    let server = Server { begin: time::now(), turn: Mutex::new(()) };
    let message = |number| {
        let (server, due) = (&server, server.begin + EVERY * number);
        async move {
            time::sleep_until(due).await;
            server.answer().await;
            time::now() - due
        }
    };
    gather((0..MESSAGES).map(message)).await
}

fn main() {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build().expect("a runtime");
    runtime.block_on(async {
        told("polite  ", polite().await);
        told("punctual", punctual().await);
    });
}
