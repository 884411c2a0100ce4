//! Panics in every place where foreign code runs. Each ends its own task, arrives at that task's handle, and has no
//! other effect (invariant 11).

#![forbid(unsafe_code)]
#![allow(clippy::async_yields_async, reason = "handles are carried out of a `block_on`")]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use roundel::{JoinError, JoinHandle, Runtime, spawn, time, yield_now};

/// Thousands of panics are expected here. Their reports would hide an unexpected one.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let expected = info.payload().is::<Expected>() || info.payload().is::<u32>();
            if !expected && !info.to_string().contains("\nexpected") {
                report(info);
            }
        }));
    });
}

/// A payload that is not text.
#[derive(Debug, PartialEq)]
struct Expected(u32);

/// Panics when it is dropped, unless it has been defused.
struct Bomb(Rc<Cell<bool>>);

impl Bomb {
    fn new() -> Bomb {
        Bomb(Rc::new(Cell::new(true)))
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0.get() && !std::thread::panicking() {
            panic!("expected: a bomb");
        }
    }
}

/// Always panics when it is dropped.
struct SureBomb;

impl Drop for SureBomb {
    fn drop(&mut self) {
        panic!("expected: a sure bomb");
    }
}

fn words(error: &JoinError) -> String {
    error.to_string().split_once("panicked: ").unwrap().1.to_owned()
}

#[test]
fn hazard_09_a_million_tasks_of_which_one_in_a_hundred_panics() {
    quiet();
    let n: u32 = if cfg!(miri) { 200 } else { 1_000_000 };
    let (mut returned, mut panicked) = (0_u64, 0_u64);
    roundel::run(async {
        for batch in 0..n / 100 {
            let handles: Vec<JoinHandle<u64>> = (0..100)
                .map(|i| {
                    spawn(async move {
                        yield_now().await;
                        if i == batch % 100 {
                            panic_any(Expected(batch));
                        }
                        1
                    })
                })
                .collect();
            for handle in handles {
                match handle.await {
                    Ok(one) => returned += one,
                    Err(error) => {
                        assert_eq!(error.into_panic().downcast_ref(), Some(&Expected(batch)));
                        panicked += 1;
                    }
                }
            }
        }
        assert_eq!(roundel::task::count(), 1);
    });
    assert_eq!((returned, panicked), (u64::from(n - n / 100), u64::from(n / 100)));
}

#[test]
fn hazard_09_the_other_tasks_of_the_batch_go_on() {
    quiet();
    let order: Rc<RefCell<Vec<u32>>> = Rc::default();
    roundel::run(async {
        let handles: Vec<_> = (0..10)
            .map(|i| {
                let order = Rc::clone(&order);
                spawn(async move {
                    order.borrow_mut().push(i);
                    if i % 3 == 0 {
                        panic_any(i);
                    }
                })
            })
            .collect();
        for (i, handle) in (0..).zip(handles) {
            assert_eq!(handle.await.is_err_and(|error| error.is_panic()), i % 3 == 0);
        }
    });
    assert_eq!(*order.borrow(), (0..10).collect::<Vec<_>>(), "in their order, as if nothing had happened");
}

#[test]
fn hazard_10_a_panic_in_the_drop_of_a_future() {
    quiet();
    roundel::run(async {
        // Cancelled: the panic of the drop is the panic of the task.
        let handle = spawn(async {
            let _bomb = Bomb::new();
            pending::<()>().await;
        });
        yield_now().await;
        handle.cancel();
        assert_eq!(words(&handle.await.unwrap_err()), "expected: a bomb");
        // Completed: the future panics when its output replaces it.
        let bomb = Bomb::new();
        let mut done = Some(poll_fn(move |_| {
            let _keep = &bomb;
            Poll::Ready(7)
        }));
        let handle = spawn(async move { done.take().unwrap().await });
        assert_eq!(words(&handle.await.unwrap_err()), "expected: a bomb");
        // Detached: no handle gets the panic.
        let handle = spawn(async {
            let _bomb = Bomb::new();
            yield_now().await;
        });
        yield_now().await;
        drop(handle);
        yield_now().await;
    });
}

#[test]
fn hazard_10_a_panic_in_a_poll_and_another_in_the_drop() {
    quiet();
    struct Twice(#[allow(dead_code, reason = "it is there to be dropped")] SureBomb);
    impl Future for Twice {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("expected: the poll");
        }
    }
    roundel::run(async {
        let error = spawn(Twice(SureBomb)).await.unwrap_err();
        assert_eq!(words(&error), "expected: the poll", "the first is the cause");
    });
}

#[test]
fn hazard_10_a_panic_in_the_drop_of_an_output() {
    quiet();
    let runtime = Runtime::new().unwrap();
    let kept = runtime.block_on(async {
        // The first handle is dropped after the end of its task, the second before.
        let handle = spawn(async { SureBomb });
        yield_now().await;
        drop(handle);
        drop(spawn(async { SureBomb }));
        yield_now().await;
        let kept = spawn(async { SureBomb });
        yield_now().await;
        kept
    });
    drop(runtime);
    drop(kept);
}

#[test]
fn hazard_10_a_panic_in_the_drop_of_a_payload() {
    quiet();
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic_any(Expected(1));
        }
    }
    roundel::run(async {
        let handle = spawn(async {
            let _last = SureBomb;
            pending::<()>().await;
        });
        yield_now().await;
        drop(handle);
        // No handle fetches the payload.
        spawn(async { panic_any(5_u32) }).detach();
        yield_now().await;
        // A payload that is not fetched, and panics when it is dropped.
        drop(spawn(async {
            let payload: Box<dyn std::any::Any + Send> = Box::new(Payload);
            std::panic::resume_unwind(payload);
        }));
        yield_now().await;
    });
}

/// A waker that panics when it is woken, and when it is dropped.
struct Rude;

impl Wake for Rude {
    fn wake(self: Arc<Self>) {
        panic!("expected: a rude waker");
    }
}

fn poll_rudely<F: Future + Unpin>(future: &mut F) -> bool {
    let waker = Waker::from(Arc::new(Rude));
    Pin::new(future).poll(&mut Context::from_waker(&waker)).is_pending()
}

#[test]
fn hazard_10_a_waker_that_panics_costs_the_others_nothing() {
    quiet();
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let mut first = time::sleep(Duration::from_secs(1));
        assert!(poll_rudely(&mut first));
        let second = spawn(time::sleep(Duration::from_secs(1)));
        let mut third = time::sleep(Duration::from_secs(1));
        assert!(poll_rudely(&mut third));
        second.await.unwrap();
        let mut joined = spawn(async { 3 });
        assert!(poll_rudely(&mut joined));
        yield_now().await;
        assert_eq!(joined.await.unwrap(), 3);
        let mut remote = roundel::remote().spawn(|| async { 4 });
        assert!(poll_rudely(&mut remote));
        assert_eq!(remote.await.unwrap(), 4);
    });
}

#[test]
fn a_panic_of_the_main_future_is_the_callers() {
    quiet();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.block_on(async { spawn(async { 7 }) });
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async { panic_any(Expected(3)) })));
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&Expected(3)));
    assert_eq!(runtime.block_on(handle).unwrap(), 7, "the runtime and its tasks go on");
}

#[test]
fn a_panic_on_the_loop_for_another_thread() {
    quiet();
    let runtime = Runtime::new().unwrap();
    let remote = runtime.remote();
    let thread = std::thread::spawn(move || {
        // Panics in the closure, and in its future.
        let first = remote.spawn(|| -> std::future::Ready<()> { panic!("expected: the closure") });
        let second = remote.spawn(|| async { panic!("expected: the future") });
        (words(&first.wait().unwrap_err()), words(&second.wait().unwrap_err()))
    });
    runtime.block_on(async {
        while !thread.is_finished() {
            time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(thread.join().unwrap(), ("expected: the closure".into(), "expected: the future".into()));
}
