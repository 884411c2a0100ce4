//! What a loop has whose tasks have slots.

use std::task::Waker;

use super::rung::{block_on, spawn, yield_now};
use crate::tools::{Outcome, own_waker};

#[test]
fn a_task_has_one_waker() {
    let _watchdog = testkit::watchdog();
    let is_same: bool = block_on(spawn(async {
        let first = own_waker().await;
        yield_now().await;
        first.will_wake(&own_waker().await)
    }))
    .output();
    assert!(is_same);
}

#[test]
fn a_waker_that_is_kept_is_not_that_of_the_next_task() {
    let _watchdog = testkit::watchdog();
    let first: Waker = block_on(spawn(own_waker())).output();
    for _ in 0..10 {
        let next: Waker = block_on(spawn(own_waker())).output();
        assert!(!first.will_wake(&next));
    }
}
