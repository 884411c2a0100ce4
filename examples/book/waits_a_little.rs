//! A test that waits "a little", and what happens to it in a thousand orders.
//!
//! Run it with `cargo run --release --example waits_a_little`.
//!
//! Facts. Ready tasks run in the order in which they were woken, but that order is not promised. A test that passes in
//! one order says something about one order.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

use examples::{args, println};
use roundel::testing::settle;
use roundel::{Runtime, spawn, yield_now};

type Log = Rc<RefCell<Vec<&'static str>>>;

/// Has a few things to do before it listens. It logs each step.
async fn server(log: Log) {
    for _ in 0..3 {
        yield_now().await;
        log.borrow_mut().push("s");
    }
    log.borrow_mut().push("LISTENS");
}

/// Wrong: gives the server a little time.
async fn hopes(log: Log) {
    for _ in 0..4 {
        yield_now().await;
        log.borrow_mut().push("t");
    }
    log.borrow_mut().push("CONNECTS");
}

/// Waits until no other task can go on.
async fn waits_until_all_is_quiet(log: Log) {
    settle().await;
    log.borrow_mut().push("CONNECTS");
}

/// Runs the server and the test; returns the steps in their order.
fn run<F: Future<Output = ()> + 'static>(seed: Option<u64>, test: fn(Log) -> F) -> String {
    let log = Log::default();
    let builder = Runtime::builder();
    let builder = if let Some(seed) = seed { builder.shuffle(seed) } else { builder };
    builder.build().expect("a loop").block_on(async {
        let server = spawn(server(log.clone()));
        test(log.clone()).await;
        server.await.expect("it does not panic");
    });
    log.borrow().join(" ")
}

/// Whether the test was too early.
fn fails(story: &str) -> bool {
    story.find("LISTENS") > story.find("CONNECTS")
}

fn main() {
    args::none();
    println!("as usual:   {}", run(None, hopes));
    let failures = (0..1000).filter(|_| fails(&run(None, hopes))).count();
    println!("a thousand times as usual: it fails {failures} times");
    let bad: Vec<u64> = (0..1000).filter(|seed| fails(&run(Some(*seed), hopes))).collect();
    println!("with a thousand seeds:     it fails {} times", bad.len());
    for _ in 0..2 {
        println!("seed {}:     {}", bad[0], run(Some(bad[0]), hopes));
    }
    let failures = (0..1000).filter(|seed| fails(&run(Some(*seed), waits_until_all_is_quiet))).count();
    println!("settle, with all of them:  it fails {failures} times");
}
