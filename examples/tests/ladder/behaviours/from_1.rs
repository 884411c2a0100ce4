//! What the busy loop has already.

use std::time::{Duration, Instant};

use super::rung::{block_on, polls, sleep, yield_now};

#[test]
fn a_future_comes_to_its_end() {
    let _watchdog = testkit::watchdog();
    let text = String::from("six by nine");
    // The future borrows, so it is not `'static`.
    let length = block_on(async { text.len() });
    assert_eq!((length, block_on(async { 42 })), (11, 42));
}

#[test]
fn a_sleep_never_ends_early() {
    let _watchdog = testkit::watchdog();
    for milliseconds in [0, 1, 5, 20] {
        let (start, duration) = (Instant::now(), Duration::from_millis(milliseconds));
        block_on(sleep(duration));
        assert!(start.elapsed() >= duration, "{:?} for {duration:?}", start.elapsed());
    }
}

#[test]
fn two_sleeps_after_one_another_take_the_time_of_both() {
    let _watchdog = testkit::watchdog();
    let start = Instant::now();
    block_on(async {
        sleep(Duration::from_millis(10)).await;
        sleep(Duration::from_millis(10)).await;
    });
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_yield_is_two_polls() {
    let _watchdog = testkit::watchdog();
    assert_eq!(block_on(polls(yield_now())), 2);
}
