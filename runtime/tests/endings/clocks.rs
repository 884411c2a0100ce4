//! Futures and handles that are used under another loop, or after their own. They keep their contract, or say in one
//! sentence why they cannot.

use std::panic::{AssertUnwindSafe, catch_unwind};

use roundel::sync::{Pool, RateLimiter};
use roundel::time::{self, MissedTick};
use roundel::yield_now;

use super::*;

fn words(f: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("a panic was expected");
    panic.downcast_ref::<&str>().map_or_else(
        || panic.downcast_ref::<String>().cloned().unwrap_or_default(),
        |words| (*words).to_owned(),
    )
}

const GONE: &str = "a sleep was awaited whose runtime had been dropped: make it on the loop that awaits it";

#[test]
fn hazard_62_a_sleep_never_ends_early_in_another_loop() {
    // It was polled and is pending, and its runtime is gone.
    let runtime = virtual_runtime();
    let mut sleep = runtime.block_on(async {
        let mut sleep = time::sleep(seconds(3600));
        std::future::poll_fn(|cx| {
            assert!(std::pin::Pin::new(&mut sleep).poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        sleep
    });
    drop(runtime);
    let other = virtual_runtime();
    assert_eq!(words(|| other.block_on(&mut sleep)), GONE);
    // A sleep that was over before stays over.
    let runtime = virtual_runtime();
    let mut sleep = runtime.block_on(async {
        let mut sleep = time::sleep(seconds(1));
        std::future::poll_fn(|cx| {
            assert!(std::pin::Pin::new(&mut sleep).poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        time::sleep(seconds(2)).await;
        sleep
    });
    drop(runtime);
    other.block_on(&mut sleep);
}

#[test]
fn hazard_62_a_sleep_whose_runtime_is_dropped_tells_the_task_that_awaits_it() {
    let _watchdog = common::watchdog();
    let inner = Runtime::new().unwrap();
    let sleep = inner.block_on(async { time::sleep(seconds(3600)) });
    Runtime::new().unwrap().block_on(async {
        let waits = spawn(sleep);
        yield_now().await;
        drop(inner);
        assert!(waits.await.unwrap_err().to_string().ends_with(GONE));
    });
}

/// The shutdown ends with its last task. Virtual time does not pass after that, so a sleep that is pending then is not
/// over, but without a loop.
#[test]
fn hazard_62_no_time_passes_after_the_last_task_of_a_shutdown() {
    let runtime = patient(Runtime::builder().virtual_time(true));
    let mut sleep = runtime.block_on(async {
        let mut sleep = time::sleep(seconds(3600));
        std::future::poll_fn(|cx| {
            assert!(std::pin::Pin::new(&mut sleep).poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        // The shutdown has something to wait for: what this task spawns when it is dropped.
        spawn_with_last_word(|| spawn(yield_now()).detach()).detach();
        yield_now().await;
        sleep
    });
    drop(runtime);
    assert_eq!(words(|| virtual_runtime().block_on(&mut sleep)), GONE);
}

#[test]
fn hazard_62_a_sleep_or_interval_that_is_reset_belongs_to_the_loop_that_resets_it() {
    let first = virtual_runtime();
    let (mut sleep, mut interval) = first.block_on(async {
        time::sleep(seconds(5000)).await;
        (time::sleep(seconds(1)), time::interval(seconds(10)))
    });
    let second = virtual_runtime();
    second.block_on(async {
        let start = time::now();
        sleep.reset(start + seconds(7));
        sleep.await;
        assert_eq!(time::now() - start, seconds(7));
        interval.reset();
        interval.tick().await;
        assert_eq!(time::now() - start, seconds(17));
    });
    drop(first);
}

#[test]
fn hazard_62_an_interval_goes_on_in_another_loop_from_the_time_there() {
    for policy in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
        let first = virtual_runtime();
        let mut interval = first.block_on(async {
            time::sleep(seconds(5000)).await;
            let mut interval = time::interval(seconds(10)).missed(policy);
            interval.tick().await;
            // The next tick is due but was not fetched.
            std::future::poll_fn(|cx| {
                assert!(interval.poll_tick(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            time::sleep(seconds(15)).await;
            interval
        });
        virtual_runtime().block_on(async {
            let start = time::now();
            assert_eq!(interval.tick().await, start, "{policy:?}");
            assert_eq!(interval.tick().await, start + seconds(10), "{policy:?}");
            assert_eq!(time::now(), start + seconds(10), "{policy:?}");
        });
    }
}

#[test]
fn hazard_62_a_rate_limiter_keeps_its_limit_and_no_more_in_another_loop() {
    let limiter = RateLimiter::new(1, 5);
    let first = virtual_runtime();
    first.block_on(async {
        time::sleep(seconds(3600)).await;
        for _ in 0..5 {
            limiter.acquire().await;
        }
    });
    virtual_runtime().block_on(async {
        let start = time::now();
        for _ in 0..5 {
            limiter.acquire().await;
        }
        assert_eq!(time::now() - start, seconds(5), "the bucket is as empty as it was left");
    });
    first.block_on(async {
        let start = time::now();
        time::sleep(seconds(3)).await;
        for _ in 0..5 {
            limiter.acquire().await;
        }
        assert_eq!(time::now() - start, seconds(8));
    });
}

#[test]
fn hazard_62_a_pool_does_not_give_out_what_may_have_been_idle_for_too_long() {
    let made = Rc::new(std::cell::Cell::new(0));
    let count = made.clone();
    let pool = Pool::new(1, move || {
        count.set(count.get() + 1);
        std::future::ready(std::io::Result::Ok(()))
    })
    .idle_timeout(seconds(60));
    let first = virtual_runtime();
    first.block_on(async {
        time::sleep(seconds(1000)).await;
        drop(pool.checkout().await.unwrap());
        time::sleep(seconds(60)).await;
        drop(pool.checkout().await.unwrap());
        assert_eq!(made.get(), 1, "on its own loop it is still good");
    });
    // Another loop has another clock, so the pool cannot know how long the connection has been idle.
    let pooled = virtual_runtime().block_on(async { pool.checkout().await.unwrap() });
    assert_eq!(made.get(), 2);
    // The connection is given back outside any loop.
    drop(pooled);
    drop(first.block_on(async { pool.checkout().await.unwrap() }));
    assert_eq!(made.get(), 3);
}
