//! How late is a sleep? A hundred sleeps of 100 µs, with three clocks.
//!
//! Run it with `cargo run --release --example lateness`.
//!
//! Facts. `epoll_wait` counts milliseconds. A sleep must not end early, so a loop has to ask for a whole millisecond.
//! And the kernel may add a slack to whatever it is asked for.
//!
//! What follows. A loop that passes its timeout to `epoll_wait` is late by up to a millisecond, each time. A file that
//! becomes readable at an exact time is not.

#![forbid(unsafe_code)]

use std::thread;
use std::time::{Duration, Instant};

use examples::{args, println};
use mio::{Events, Poll};
use roundel::time;

const SLEEP: Duration = Duration::from_micros(100);
const SLEEPS: u32 = 100;

fn tell(who: &str, begin: Instant) {
    let late = begin.elapsed().saturating_sub(SLEEP * SLEEPS) / SLEEPS;
    println!("{who}: late by {} µs on average", late.as_micros());
}

/// Wrong, and shown here: the wait of a loop that passes its next deadline to `epoll_wait`.
fn with_a_limit_for_the_poll() {
    let mut poll = Poll::new().expect("a descriptor");
    let mut events = Events::with_capacity(8);
    for _ in 0..SLEEPS {
        poll.poll(&mut events, Some(SLEEP)).expect("no signal interrupts it");
    }
}

fn main() {
    args::none();
    let begin = Instant::now();
    with_a_limit_for_the_poll();
    tell("a poll with a limit", begin);

    let begin = Instant::now();
    (0..SLEEPS).for_each(|_| thread::sleep(SLEEP));
    tell("a thread that sleeps", begin);

    let begin = Instant::now();
    roundel::run(async {
        for _ in 0..SLEEPS {
            time::sleep(SLEEP).await;
        }
    });
    tell("a task that sleeps", begin);
}
