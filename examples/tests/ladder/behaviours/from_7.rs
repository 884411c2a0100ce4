//! What a loop has whose own wakes need no lock.

use std::time::Duration;

use super::rung::{block_on, sleep, spawn};
use crate::tools::{Outcome, answer_of, own_waker};

/// A wake from outside falls into a moment in which the loop is busy, falls asleep, sleeps or is woken by a deadline.
#[test]
fn no_wake_is_lost_between_deadlines() {
    let _watchdog = testkit::watchdog();
    block_on(async {
        let ticking = spawn(async {
            for _ in 0..300 {
                sleep(Duration::from_micros(300)).await;
            }
        });
        for round in 0..300 {
            assert_eq!(answer_of(move || round).await, round);
        }
        let () = ticking.await.output();
    });
}

#[test]
fn a_loop_that_is_gone_is_not_woken() {
    let _watchdog = testkit::watchdog();
    let waker = std::thread::spawn(|| block_on(own_waker())).join().expect("no panic");
    waker.wake_by_ref();
    std::thread::spawn(move || waker.wake()).join().expect("no panic");
}
