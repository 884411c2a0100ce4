//! What happens to the timeouts that were not needed? A heap that only forgets what has expired, and roundel's.
//!
//! Run it with `cargo run --release --example dead_timers`. It runs on virtual time, and its figures are exact.
//!
//! Facts. A server allows each request 10 s, and gets its answer after 5 ms. A thousand requests arrive each second.
//!
//! What follows. Nearly every timer is dropped long before its time. A heap that keeps it until then is full of dead
//! timers.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;

use examples::{args, println};
use roundel::probe::{Event, Resource};
use roundel::{Runtime, spawn, time};

const REQUESTS: u64 = 20_000;
const ANSWER: u64 = 5;
const TIMEOUT: u64 = 10_000;

/// Wrong, and shown here: each millisecond brings a request, its answer and its timeout, and the timeout stays after
/// the answer.
fn lazy_heap() {
    let (mut heap, mut most, mut fired) = (BinaryHeap::new(), 0, 0);
    for now in 0..REQUESTS + TIMEOUT {
        if now < REQUESTS {
            heap.push(Reverse(now + ANSWER));
            heap.push(Reverse(now + TIMEOUT));
        }
        most = most.max(heap.len());
        while heap.peek().is_some_and(|deadline| deadline.0 <= now) {
            heap.pop();
            fired += 1;
        }
    }
    println!("a heap with the dead in it: at most {most} timers, {fired} fired");
}

#[derive(Default)]
struct Count {
    pending: Cell<i64>,
    most: Cell<i64>,
    fired: Cell<u64>,
}

impl Count {
    fn note(&self, event: Event) {
        match event {
            Event::WaitOn { on: Resource::Timer(_), .. } => self.pending.set(self.pending.get() + 1),
            Event::WaitDone { on: Resource::Timer(_), .. } => self.pending.set(self.pending.get() - 1),
            Event::TimerFired { .. } => self.fired.set(self.fired.get() + 1),
            _ => {}
        }
        self.most.set(self.most.get().max(self.pending.get()));
    }
}

async fn serve() {
    let ms = Duration::from_millis;
    let mut every_ms = time::interval(ms(1));
    let mut request = None;
    for _ in 0..REQUESTS {
        every_ms.tick().await;
        request = Some(spawn(time::timeout(ms(TIMEOUT), time::sleep(ms(ANSWER)))));
    }
    request.expect("the last one").await.expect("no request panics").expect("the answer comes in time");
}

fn main() {
    args::none();
    lazy_heap();
    let count: Rc<Count> = Rc::default();
    let noted = Rc::clone(&count);
    let builder = Runtime::builder().virtual_time(true).probe(move |event| noted.note(event));
    builder.build().expect("descriptors for a loop").block_on(serve());
    // Without the ticks of the interval.
    println!("roundel: at most {} timers, {} fired", count.most.get() - 1, count.fired.get() - REQUESTS);
}
