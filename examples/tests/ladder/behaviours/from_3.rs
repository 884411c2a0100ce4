//! What a loop with many tasks has.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::rung::{block_on, polls, sleep, spawn, yield_now};

/// Runs until the tasks have dropped all other references to this.
async fn until_alone<T>(shared: &Rc<T>) {
    while Rc::strong_count(shared) > 1 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn tasks_take_turns() {
    let _watchdog = testkit::watchdog();
    let said: Rc<RefCell<Vec<String>>> = Rc::default();
    block_on(async {
        for name in ["a", "b"] {
            let said = Rc::clone(&said);
            spawn(async move {
                for round in 1..=3 {
                    said.borrow_mut().push(format!("{name}{round}"));
                    yield_now().await;
                }
            });
        }
        until_alone(&said).await;
    });
    assert_eq!(said.take().join(" "), "a1 b1 a2 b2 a3 b3");
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    let _watchdog = testkit::watchdog();
    let are_in_order = |_| {
        let ended: Rc<RefCell<Vec<u64>>> = Rc::default();
        block_on(async {
            for milliseconds in [150, 100, 50] {
                let ended = Rc::clone(&ended);
                spawn(async move {
                    sleep(Duration::from_millis(milliseconds)).await;
                    ended.borrow_mut().push(milliseconds);
                });
            }
            until_alone(&ended).await;
        });
        ended.take() == [50, 100, 150]
    };
    // (A busy machine may begin a sleep, or tell its end, later than what lies between two of them.)
    assert!((0..5).any(are_in_order));
}

#[test]
fn a_task_that_sleeps_is_not_polled_meanwhile() {
    let _watchdog = testkit::watchdog();
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    block_on(async {
        spawn(async move { counted.set(polls(sleep(Duration::from_millis(100))).await) });
        for _ in 0..1000 {
            yield_now().await;
        }
        until_alone(&count).await;
    });
    assert!((1..=2).contains(&count.get()), "{} polls", count.get());
}

#[test]
fn a_task_may_spawn() {
    let _watchdog = testkit::watchdog();
    let depth = Rc::new(Cell::new(0));
    fn deeper(depth: Rc<Cell<u32>>) {
        depth.set(depth.get() + 1);
        if depth.get() < 1000 {
            spawn(async move { deeper(depth) });
        }
    }
    block_on(async {
        deeper(Rc::clone(&depth));
        until_alone(&depth).await;
    });
    assert_eq!(depth.get(), 1000);
}

/// A destructor is foreign code: it may spawn.
#[test]
fn a_task_may_spawn_when_it_is_dropped() {
    let _watchdog = testkit::watchdog();
    struct SpawnOnDrop(Rc<Cell<u32>>);
    impl Drop for SpawnOnDrop {
        fn drop(&mut self) {
            let count = Rc::clone(&self.0);
            spawn(async move { count.set(count.get() + 1) });
        }
    }
    let count = Rc::new(Cell::new(0));
    block_on(async {
        let guard = SpawnOnDrop(Rc::clone(&count));
        spawn(async move {
            let _guard = guard;
            yield_now().await;
        });
        until_alone(&count).await;
    });
    assert_eq!(count.get(), 1);
}

#[test]
fn a_stale_waker_wakes_nothing() {
    let _watchdog = testkit::watchdog();
    let (kept, count): (Rc<RefCell<Option<Waker>>>, _) = (Rc::default(), Rc::new(Cell::new(0)));
    let (keep, counted) = (Rc::clone(&kept), Rc::clone(&count));
    block_on(async {
        spawn(poll_fn(move |cx| {
            *keep.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        }));
        until_alone(&kept).await;
        // From rung 8 on, the next task gets the slot of the first one.
        spawn(async move { counted.set(polls(sleep(Duration::from_millis(50))).await) });
        let stale = kept.take().expect("the task has been polled");
        for _ in 0..100 {
            stale.wake_by_ref();
            yield_now().await;
        }
        until_alone(&count).await;
    });
    assert!((1..=2).contains(&count.get()), "{} polls", count.get());
}

#[test]
fn a_task_that_yields_for_ever_stops_no_other() {
    let _watchdog = testkit::watchdog();
    let ends = Rc::new(Cell::new(false));
    let asked = Rc::clone(&ends);
    block_on(async {
        spawn(async move {
            while !asked.get() {
                yield_now().await;
            }
        });
        sleep(Duration::from_millis(30)).await;
        ends.set(true);
        until_alone(&ends).await;
    });
}

#[test]
fn tasks_go_on_in_the_next_run() {
    let _watchdog = testkit::watchdog();
    let shared = Rc::new(());
    let theirs = Rc::clone(&shared);
    block_on(async {
        spawn(async move {
            sleep(Duration::from_millis(20)).await;
            drop(theirs);
        });
    });
    block_on(until_alone(&shared));
}
