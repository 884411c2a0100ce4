//! Deadlocks are found, and what only looks like one is none.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use roundel::deadlock::Deadlock;
use roundel::group::{gather, join, scope, select};
use roundel::sync::{Event, Mutex, Semaphore};
use roundel::{Builder, Runtime, channel, spawn, spawn_named, time, yield_now};

mod common;

const SECOND: Duration = Duration::from_secs(1);

/// The message of the panic that `f` ends with, and the line of the `block_on` that it names.
fn panics_with(f: impl FnOnce()) -> (String, u32) {
    thread_local!(static LINE: Cell<u32> = const { Cell::new(0) });
    std::panic::set_hook(Box::new(|info| LINE.set(info.location().map_or(0, |at| at.line()))));
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("a deadlock is a panic on virtual time");
    let _ = std::panic::take_hook();
    (*panic.downcast::<String>().expect("the report is text"), LINE.get())
}

/// The report of the deadlock into which `main` runs on virtual time.
fn report(main: impl Future) -> String {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    panics_with(|| drop(runtime.block_on(main))).0
}

/// Takes one lock, is interrupted, and takes the other.
async fn both(one: Rc<Mutex<()>>, other: Rc<Mutex<()>>) {
    let _one = one.lock().await;
    yield_now().await;
    let _other = other.lock().await;
}

fn two_locks() -> (Rc<Mutex<()>>, Rc<Mutex<()>>) {
    (Rc::new(Mutex::new(()).named("a")), Rc::new(Mutex::new(()).named("b")))
}

#[test]
fn two_locks_in_opposite_order_are_reported_with_names_and_lines() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    let line = line!() + 2;
    let (report, at) = panics_with(|| {
        runtime.block_on(async {
            let (a, b) = two_locks();
            let ann = spawn_named("ann", both(a.clone(), b.clone()));
            let bob = spawn_named("bob", both(b, a));
            join!(ann, bob)
        }).0.unwrap();
    });
    println!("{report}");
    assert_eq!(at, line, "the panic is at the `block_on`");
    assert!(report.starts_with("deadlock: no task can go on, and nothing that could wake one is left\n"), "{report}");
    let locked = format!("tests/deadlock.rs:{}", line - 13);
    assert!(report.contains("waits for mutex \"b\" (runtime/tests/deadlock.rs:"), "{report}");
    assert!(report.contains("held by #2.1 \"bob\", wanted at runtime/"), "{report}");
    assert!(report.contains(&locked), "{report} {locked}");
}
