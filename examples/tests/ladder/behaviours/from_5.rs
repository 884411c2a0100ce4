//! What a loop has that knows its deadlines.

use std::future::pending;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::rung::{block_on, deadlines, sleep, spawn, timeout};
use crate::tools::{Outcome, all_is_done, meddler, on_next_use, poll_with};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_timeout_yields_the_output_or_nothing() {
    let _watchdog = testkit::watchdog();
    let start = Instant::now();
    let in_time = block_on(timeout(LONG, async {
        sleep(SHORT).await;
        42
    }));
    let late = block_on(timeout(SHORT, pending::<u32>()));
    assert_eq!((in_time, late), (Some(42), None));
    assert!(start.elapsed() >= 2 * SHORT);
}

#[test]
fn a_dropped_timeout_leaves_nothing() {
    let _watchdog = testkit::watchdog();
    block_on(async {
        for _ in 0..100 {
            assert_eq!(timeout(LONG, async { 1 }).await, Some(1));
            assert_eq!(timeout(Duration::from_millis(1), sleep(LONG)).await, None);
        }
    });
    assert_eq!(deadlines(), 0);
}

#[test]
fn a_future_that_is_too_late_is_dropped() {
    let _watchdog = testkit::watchdog();
    let held = Rc::new(());
    let theirs = Rc::clone(&held);
    block_on(timeout(Duration::from_millis(1), async move {
        let _theirs = theirs;
        pending::<()>().await;
    }));
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn equal_deadlines_are_two() {
    let _watchdog = testkit::watchdog();
    block_on(async {
        let tasks: Vec<_> = (0..1000).map(|_| spawn(sleep(SHORT))).collect();
        for task in tasks {
            let () = task.await.output();
        }
    });
    assert_eq!(deadlines(), 0);
}

#[test]
fn a_waker_of_a_sleep_may_drop_another_sleep() {
    let _watchdog = testkit::watchdog();
    // (On a busy machine, short sleeps may be over before they were all polled.)
    let mut lengths = [5, 50, 500, 5000].map(Duration::from_millis).into_iter();
    assert!(lengths.any(one_sleep_drops_the_others));
}

/// Sleeps of two, three and four times this length. `false` if one of them was over too early.
fn one_sleep_drops_the_others(length: Duration) -> bool {
    let [mut first, mut second, mut third] = [2, 3, 4].map(|times| sleep(times * length));
    // The waker of the first poll is dropped, and drops the third sleep.
    if poll_with(&mut first, &meddler()).is_ready() || poll_with(&mut third, Waker::noop()).is_ready() {
        return false;
    }
    on_next_use(move || drop(third));
    if poll_with(&mut first, &meddler()).is_ready() {
        return false;
    }
    assert!(all_is_done());
    assert_eq!(deadlines(), 1);
    // The waker of the second poll is woken, and drops the second sleep, whose waker spawns when it is dropped.
    if poll_with(&mut second, &meddler()).is_ready() {
        return false;
    }
    on_next_use(|| drop(spawn(async {})));
    on_next_use(move || drop(second));
    block_on(sleep(5 * length));
    assert!(all_is_done());
    assert_eq!(deadlines(), 0);
    true
}
