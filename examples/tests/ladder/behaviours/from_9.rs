//! What a loop has whose queue leads through the slots.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::rung::{block_on, spawn, yield_now};
use crate::tools::{Outcome, allocations};

#[test]
fn nothing_is_allocated_to_wake() {
    let (_, test) = concat!(module_path!(), "::nothing_is_allocated_to_wake").split_once("::").unwrap();
    testkit::alone::alone(test, || {
        let allocations_of_wakes = || {
            let kept: Rc<RefCell<Vec<Waker>>> = Rc::default();
            let tasks: Vec<_> = (0..1000).map(|_| spawn(keep_waker(Rc::clone(&kept)))).collect();
            block_on(yield_now());
            let before = allocations();
            kept.borrow().iter().for_each(Waker::wake_by_ref);
            let count = allocations() - before;
            assert_eq!(kept.borrow().len(), 1000);
            for task in tasks {
                let () = block_on(task).output();
            }
            count
        };
        // The harness has a thread, which may allocate, too: not each time.
        assert_eq!((0..20).map(|_| allocations_of_wakes()).min(), Some(0));
    });
}

/// Done after one wake.
async fn keep_waker(kept: Rc<RefCell<Vec<Waker>>>) {
    let mut is_first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut is_first) {
            kept.borrow_mut().push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

#[test]
fn a_task_takes_the_waker_of_the_last_one() {
    let (_, test) =
        concat!(module_path!(), "::a_task_takes_the_waker_of_the_last_one").split_once("::").unwrap();
    testkit::alone::alone(test, || {
        let allocations_of_many = || {
            let before = allocations();
            let tasks = [(); 100].map(|()| spawn(yield_now()));
            let count = allocations() - before;
            for task in tasks {
                let () = block_on(task).output();
            }
            count
        };
        allocations_of_many();
        block_on(yield_now());
        // A task's future and its output. Its slot, its waker and its place in the queue are there already.
        let fewest = (0..20).map(|_| allocations_of_many()).min();
        assert_eq!(fewest, Some(200));
    });
}
