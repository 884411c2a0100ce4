//! What a loop has that polls a task once for many wakes, and gives its output to another task.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use super::rung::{block_on, polls, sleep, spawn, yield_now};
use crate::tools::{Outcome, all_is_done, answer_of, meddler, on_next_use, own_waker, poll_with};

#[test]
fn three_wakes_are_one_poll() {
    let _watchdog = testkit::watchdog();
    let (count, kept) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Waker::noop().clone())));
    let (counted, keep) = (Rc::clone(&count), Rc::clone(&kept));
    block_on(async {
        drop(spawn(poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            *keep.borrow_mut() = cx.waker().clone();
            Poll::<()>::Pending
        })));
        yield_now().await;
        for polls in 1..4 {
            assert_eq!(count.get(), polls);
            (0..3).for_each(|_| kept.borrow().wake_by_ref());
            yield_now().await;
        }
    });
}

#[test]
fn the_main_future_is_polled_only_if_it_was_woken() {
    let _watchdog = testkit::watchdog();
    let count = block_on(async {
        for _ in 0..100 {
            drop(spawn(sleep(Duration::from_millis(10))));
        }
        polls(sleep(Duration::from_millis(50))).await
    });
    assert!(count <= 2, "{count} polls");
}

#[test]
fn many_wakes_of_the_main_future_are_one_poll() {
    let _watchdog = testkit::watchdog();
    let count = block_on(polls(async {
        let waker = own_waker().await;
        spawn(async move { (0..1000).for_each(|_| waker.wake_by_ref()) });
        sleep(Duration::from_millis(20)).await;
    }));
    // To begin, after the thousand wakes, and at the end.
    assert!(count <= 3, "{count} polls");
}

#[test]
fn a_handle_yields_the_output_of_its_task() {
    let _watchdog = testkit::watchdog();
    let outputs = block_on(async {
        let early = spawn(async { 1 });
        let late = spawn(async {
            sleep(Duration::from_millis(20)).await;
            2
        });
        yield_now().await;
        let early: u32 = early.await.output();
        let late: u32 = late.await.output();
        (early, late)
    });
    assert_eq!(outputs, (1, 2));
}

#[test]
fn a_task_goes_on_without_its_handle() {
    let _watchdog = testkit::watchdog();
    let done = Rc::new(Cell::new(false));
    let set = Rc::clone(&done);
    block_on(async {
        drop(spawn(async move {
            yield_now().await;
            set.set(true);
        }));
        sleep(Duration::from_millis(10)).await;
    });
    assert!(done.get());
}

#[test]
fn a_handle_wakes_the_task_that_polled_it_last() {
    let _watchdog = testkit::watchdog();
    let mut handle = spawn(sleep(Duration::from_millis(20)));
    assert!(poll_with(&mut handle, Waker::noop()).is_pending());
    let () = block_on(handle).output();
}

#[test]
fn what_waits_for_a_task_may_do_anything_when_it_is_woken_or_dropped() {
    let _watchdog = testkit::watchdog();
    let mut handle = spawn(sleep(Duration::from_millis(10)));
    // The waker of the first poll is dropped by the second one. It spawns.
    on_next_use(|| drop(spawn(async {})));
    assert!(poll_with(&mut handle, &meddler()).is_pending());
    assert!(poll_with(&mut handle, &meddler()).is_pending());
    assert!(all_is_done());
    // The waker of the second poll is woken. It drops the handle.
    on_next_use(move || drop(handle));
    while !all_is_done() {
        block_on(sleep(Duration::from_millis(1)));
    }
}

#[test]
fn many_threads_wake_many_tasks() {
    let _watchdog = testkit::watchdog();
    let sum: u64 = block_on(async {
        let tasks: Vec<_> = (0..100)
            .map(|n| {
                spawn(async move {
                    let mut sum = 0;
                    for round in 0..5 {
                        sum += answer_of(move || {
                            thread::yield_now();
                            n + round
                        })
                        .await;
                    }
                    sum
                })
            })
            .collect();
        let mut sum = 0;
        for task in tasks {
            let part: u64 = task.await.output();
            sum += part;
        }
        sum
    });
    assert_eq!(sum, (0..100).map(|n| 5 * n + 10).sum());
}

/// Wakes of tasks that are over find slots that are vacant, that wait to be vacated, or that have another tenant.
#[test]
fn stale_wakes_disturb_no_task() {
    let _watchdog = testkit::watchdog();
    block_on(async {
        let tasks: Vec<_> = (0..10).map(|_| spawn(own_waker())).collect();
        let mut stale: Vec<Waker> = Vec::new();
        for task in tasks {
            stale.push(task.await.output());
            stale.iter().for_each(Waker::wake_by_ref);
        }
        for count in 1..20 {
            stale.iter().for_each(Waker::wake_by_ref);
            yield_now().await;
            let tasks: Vec<_> = (0..count).map(|n| spawn(async move { (yield_now().await, n) })).collect();
            stale.iter().for_each(Waker::wake_by_ref);
            for (expected, task) in tasks.into_iter().enumerate() {
                let ((), n): ((), usize) = task.await.output();
                assert_eq!(n, expected);
            }
        }
    });
}
