//! What a program is told when it asks for something impossible: one sentence, at its own line.
//!
//! The tests compare the sentences word for word, and the panic's location with the line of the mistake. A message that
//! changes, or points into this crate, is a regression like any other.

#![forbid(unsafe_code)]
#![allow(clippy::async_yields_async, reason = "handles are carried out of a `block_on`")]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use roundel::{JoinHandle, LoopBound, Runtime, source::AsyncFd, time};

/// The line in this file at which a panic happened (zero if it was elsewhere), and its words.
type Heard = (u32, String);

thread_local!(static LAST_PANIC: RefCell<Option<Heard>> = const { RefCell::new(None) });

/// From here on, this thread's panics are recorded, and reported as usual.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let here = info.location().filter(|place| place.file().ends_with("misuse.rs"));
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let words = text.or(payload.downcast_ref::<String>().map(|text| &**text)).unwrap_or_default();
            let words = words.to_owned();
            LAST_PANIC.set(Some((here.map_or(0, |place| place.line()), words)));
            report(info);
        }));
    });
}

/// Runs `mistake`, which has to panic with these words, at the line after `line` in this file.
fn panics_with(line: u32, words: &str, mistake: impl FnOnce()) {
    listen();
    assert!(catch_unwind(AssertUnwindSafe(mistake)).is_err(), "no panic, but expected: {words}");
    assert_eq!(LAST_PANIC.take(), Some((line + 1, words.to_owned())));
}

#[test]
fn outside_a_loop() {
    let outside = |what: &str| {
        format!(
            "`{what}` was called outside a roundel loop: call it from inside `roundel::run` or `Runtime::block_on`"
        )
    };
    panics_with(line!(), &outside("spawn"), || {
        roundel::spawn(async {}).detach();
    });
    panics_with(line!(), &outside("spawn_named"), || {
        roundel::spawn_named("x", async {}).detach();
    });
    panics_with(line!(), &outside("time::sleep"), || {
        drop(time::sleep(Duration::ZERO));
    });
    panics_with(line!(), &outside("time::sleep"), || {
        drop(time::timeout(Duration::ZERO, async {}));
    });
    panics_with(line!(), &outside("time::now"), || {
        let _ = time::now();
    });
    panics_with(line!(), &outside("time::now"), || {
        let _ = time::interval(Duration::ZERO);
    });
    panics_with(line!(), &outside("remote"), || {
        let _ = roundel::remote();
    });
    panics_with(line!(), &outside("AsyncFd::new"), || {
        drop(AsyncFd::new(std::io::stdin()));
    });
    assert_eq!(roundel::task::current(), None, "asking who one is, is no mistake anywhere");
}

#[test]
fn hazard_11_a_loop_inside_a_loop() {
    let nested = |what: &str| {
        format!(
            "`{what}` was called inside a running roundel loop, which would stop all its tasks: `.await` the future, or `spawn` it"
        )
    };
    let runtime = Runtime::new().unwrap();
    panics_with(line!() + 1, &nested("run"), || {
        runtime.block_on(async {
            roundel::run(async {});
        });
    });
    panics_with(line!() + 1, &nested("block_on"), || {
        runtime.block_on(async {
            runtime.block_on(async {});
        });
    });
    assert_eq!(runtime.block_on(async { 7 }), 7, "the runtime is none the worse for it");
}

#[test]
fn hazard_11_a_loop_inside_a_destructor() {
    struct Nests;
    impl Drop for Nests {
        fn drop(&mut self) {
            roundel::run(async {});
        }
    }
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let handle = roundel::spawn(async {
            let _nests = Nests;
            std::future::pending::<()>().await;
        });
        roundel::yield_now().await;
        handle.cancel();
        let error = handle.await.unwrap_err();
        assert!(error.to_string().contains("inside a running roundel loop"), "{error}");
    });
    assert_eq!(runtime.block_on(async { 7 }), 7);
}

#[test]
fn a_task_that_awaits_itself() {
    listen();
    let (line, error) = roundel::run(async {
        let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let theirs = Rc::clone(&own);
        let (line, task) = (line!() + 2, async move {
            let handle = theirs.take().unwrap();
            handle.await.unwrap();
        });
        own.replace(Some(roundel::spawn(task)));
        // The task takes its own handle away, so only its panic shows what happened.
        roundel::yield_now().await;
        (line, LAST_PANIC.take())
    });
    let words = "a task awaits its own JoinHandle, which can never finish: await it from another task";
    assert_eq!(error, Some((line, words.to_owned())));
}

#[test]
fn a_result_asked_for_twice() {
    let runtime = Runtime::new().unwrap();
    let mut handle = runtime.block_on(async { roundel::spawn(async {}) });
    runtime.block_on(&mut handle).unwrap();
    let words = "a JoinHandle was polled again after it had given the task's result";
    panics_with(line!() + 1, words, || {
        runtime.block_on(async {
            handle.await.unwrap();
        });
    });
    let cancelled = runtime.block_on(async {
        let handle = roundel::spawn(async {});
        handle.cancel();
        handle.await.unwrap_err()
    });
    let words = format!("`into_panic` on an error that is no panic ({cancelled}): ask `is_panic` first");
    panics_with(line!(), &words, || {
        drop(cancelled.into_panic());
    });
}

#[test]
fn a_thread_that_waits_for_itself() {
    let words = "`RemoteHandle::wait` would block the loop that it waits for: `.await` the handle instead";
    let runtime = Runtime::new().unwrap();
    panics_with(line!() + 2, words, || {
        runtime.block_on(async {
            let handle = roundel::remote().spawn(|| async {});
            handle.wait().unwrap();
        });
    });
}

#[test]
fn handles_of_a_runtime_that_was_dropped() {
    let runtime = Runtime::new().unwrap();
    let (sleep, unfinished, finished, remote) = runtime.block_on(async {
        let finished = roundel::spawn(async { 7 });
        roundel::yield_now().await;
        let sleep = time::sleep(Duration::from_secs(1));
        (sleep, roundel::spawn(std::future::pending::<()>()), finished, roundel::remote())
    });
    drop(runtime);
    let other = Runtime::new().unwrap();
    let words = "a sleep was awaited whose runtime had been dropped: make it on the loop that awaits it";
    panics_with(line!() + 1, words, || {
        other.block_on(async {
            sleep.await;
        });
    });
    assert!(unfinished.is_finished());
    unfinished.cancel();
    let error = other.block_on(unfinished).unwrap_err();
    assert!(error.is_cancelled());
    assert!(
        error.to_string().starts_with("task #") && error.to_string().ends_with("was cancelled"),
        "{error}"
    );
    let error = other.block_on(finished).unwrap_err();
    assert!(
        error.to_string().ends_with(" returned, but its runtime was dropped before its output was fetched"),
        "{error}"
    );
    let error = remote.spawn(|| async {}).wait().unwrap_err();
    assert_eq!(error.to_string(), "the runtime was gone before the task could begin");
}

#[test]
fn a_bound_value_used_on_another_thread() {
    let words = "a LoopBound of the thread `home` was used on the thread `away`: use it on its own thread, which others reach through a `Remote`";
    let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let home = named("home").spawn(move || {
        let (value, future) = (LoopBound::new(7), LoopBound::new(async { 7 }));
        let away = named("away").spawn(move || {
            panics_with(line!(), words, || {
                value.with(|_| ());
            });
            panics_with(line!(), words, || {
                let _ = value.get();
            });
            panics_with(line!(), words, || {
                roundel::run(async { assert_eq!(future.await, 7) });
            });
            panics_with(line!(), words, || {
                let _ = value.into_inner();
            });
        });
        away.unwrap().join().unwrap();
    });
    home.unwrap().join().unwrap();
}
