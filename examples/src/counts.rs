//! What a server counts, and the line in which a terminal shows it.
//!
//! Each loop has its own counters, and no other loop writes to them. So counting is a load and a store, and no loop
//! makes another one wait for a cache line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use roundel::time::{self, MissedTick};

use crate::status::{bytes, complain, grouped, is_seen, leave, show};

/// The counters of one loop.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counts {
    opened: AtomicU64,
    closed: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
}

fn add(counter: &AtomicU64, number: usize) {
    counter.store(counter.load(Relaxed) + number as u64, Relaxed);
}

impl Counts {
    /// A connection is open for as long as this lives.
    pub fn connection(self: &Arc<Counts>) -> Open {
        add(&self.opened, 1);
        Open(Arc::clone(self))
    }

    /// Waits for the end of a server. If connections are still open then, a terminal is told how many.
    pub async fn say_how_many_are_left(self: Arc<Counts>, end: impl Future) {
        end.await;
        let open = self.opened.load(Relaxed) - self.closed.load(Relaxed);
        if open > 0 && is_seen() {
            leave();
            complain(format_args!(
                "waiting for connections to end, {open} of them; Ctrl-C again does not wait"
            ));
        }
    }

    /// Counts one more message, of this size.
    pub fn message(&self, size: usize) {
        add(&self.messages, 1);
        add(&self.bytes, size);
    }
}

/// See [`Counts::connection`].
#[derive(Debug)]
pub struct Open(Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        add(&self.0.closed, 1);
    }
}

/// Shows the sums on the terminal, and never ends.
pub async fn show_each_second(all: Vec<Arc<Counts>>) {
    let sum = |of: fn(&Counts) -> &AtomicU64| all.iter().map(|counts| of(counts).load(Relaxed)).sum::<u64>();
    let (mut messages, mut size) = (0, 0);
    let mut seconds = time::interval(Duration::from_secs(1)).missed(MissedTick::Delay);
    loop {
        let (now, size_now) = (sum(|counts| &counts.messages), sum(|counts| &counts.bytes));
        let open = sum(|counts| &counts.opened).saturating_sub(sum(|counts| &counts.closed));
        let (rate, flow) = (grouped(now - messages), bytes(size_now - size));
        show(format_args!("connections {open}, messages/s {rate}, {flow}/s, {} in all", bytes(size_now)));
        (messages, size) = (now, size_now);
        seconds.tick().await;
    }
}
