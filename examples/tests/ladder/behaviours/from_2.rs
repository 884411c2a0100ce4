//! What a loop has that sleeps until it is woken.

use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use super::rung::{block_on, polls, sleep, yield_now};
use crate::tools::{answer_of, poll_with, processor_time};

#[test]
fn a_sleep_is_two_polls_at_most() {
    let _watchdog = testkit::watchdog();
    // On a machine that stalls, it is over when it begins.
    assert!(block_on(polls(sleep(Duration::from_millis(50)))) <= 2);
}

#[test]
fn a_loop_that_waits_takes_no_processor_time() {
    let _watchdog = testkit::watchdog();
    let before = processor_time();
    block_on(sleep(Duration::from_millis(300)));
    if let (Some(before), Some(after)) = (before, processor_time()) {
        assert!(after - before < 60, "{} of 300 ms", after - before);
    }
}

#[test]
fn the_answer_of_a_thread_comes_when_it_is_there() {
    let _watchdog = testkit::watchdog();
    let start = Instant::now();
    let answer = block_on(answer_of(|| {
        thread::sleep(Duration::from_millis(50));
        42
    }));
    let elapsed = start.elapsed();
    assert_eq!(answer, 42);
    // The upper limit is far above what a busy machine needs, and far below any time after which a loop looks by itself.
    assert!(elapsed >= Duration::from_millis(50) && elapsed < Duration::from_secs(50), "{elapsed:?}");
}

#[test]
fn no_wake_of_a_thread_is_lost() {
    let _watchdog = testkit::watchdog();
    for round in 0..500 {
        // The answer comes while the loop polls, before it sleeps, or while it sleeps.
        let answer = block_on(async {
            let answer = answer_of(move || round);
            for _ in 0..round % 8 {
                yield_now().await;
            }
            answer.await
        });
        assert_eq!(answer, round);
    }
}

#[test]
fn a_sleep_wakes_what_polled_it_last() {
    let _watchdog = testkit::watchdog();
    let mut sleep = sleep(Duration::from_millis(20));
    let _ = poll_with(&mut sleep, Waker::noop());
    block_on(sleep);
}
