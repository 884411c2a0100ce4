//! One program, or an echo server, of the roundel that it is built with: `ablated PROGRAM N`, `ablated serve HOT`.
//!
//! Facts. In one process, two versions of one crate would share its caches and, worse, its thread-local.
//!
//! What follows. The face-off builds this file once for each ablation, with a copy of `runtime/` and `net/` in which
//! one mechanism has been replaced, and once with an unchanged copy. It prints nanoseconds per operation; tools count
//! the rest from outside. It is also a program of this crate, so that it is compiled with every change.
//!
//! What it does not know: which copy it is built with.

#![forbid(unsafe_code)]
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    unreachable_pub,
    reason = "the files are made for more programs"
)]

use std::env;
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[path = "../parts.rs"]
mod parts;
#[path = "../programs.rs"]
mod programs;
#[path = "../contenders/roundel.rs"]
mod runtime;
#[path = "../talk.rs"]
mod talk;
#[path = "../vocabulary.rs"]
mod vocabulary;

/// How many sleeps there are beside the measured one.
const CROWD: u64 = 100_000;

/// Does this many operations of this name.
fn program(name: &str, n: u64) -> Duration {
    match name {
        "spawn_one" => runtime::spawn_one(n),
        "spawn_many" => runtime::spawn_many(1_000, n / 1_000),
        "self_wake" => runtime::self_wake(200, (n / 200) as usize),
        "lone_wake" => runtime::self_wake(1, n as usize),
        "hop" => runtime::ping_pong(n),
        "message" => runtime::bounded_messages(100, n),
        "sleep" => runtime::sleep_churn(n),
        "sleep_in_crowd" => sleep_in_crowd(n),
        "sleepers" => runtime::many_sleepers(n),
        "foreign_wakes" => runtime::foreign_wakes(n),
        other => panic!("no program is called `{other}`"),
    }
}

/// Starts a sleep and drops it, beside many that go on. It would be the last to end, as most sleeps are. Everything is
/// in one task, because this is not about the rest of the loop.
fn sleep_in_crowd(n: u64) -> Duration {
    const HOUR: Duration = Duration::from_secs(3_600);
    ::roundel::run(async move {
        let mut crowd: Vec<_> = (0..CROWD)
            .map(|i| runtime::sleep(HOUR - Duration::from_nanos(i * 7_919 % 100_000_000)))
            .collect();
        for sleep in &mut crowd {
            parts::poll_once(sleep).await;
        }
        let start = Instant::now();
        for _ in 0..n {
            parts::poll_once(&mut runtime::sleep(HOUR)).await;
        }
        start.elapsed()
    })
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let number = |word: &str| word.parse::<u64>().expect("a number");
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", hot] => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            println!("{}", listener.local_addr().expect("an address"));
            listener.set_nonblocking(true).expect("a listener that does not block");
            runtime::serve(listener, talk::Talk::Echo, number(hot) as usize);
        }
        [name, n] => println!("{}", program(name, number(n)).as_nanos() as f64 / number(n) as f64),
        _ => panic!("usage: ablated PROGRAM N | ablated serve HOT"),
    }
}
