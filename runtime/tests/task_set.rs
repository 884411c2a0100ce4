//! `TaskSet`: results in the order in which the tasks end, each once; and a set that is dropped cancels its tasks.

#![forbid(unsafe_code)]

mod common;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use roundel::cancel::with_cleanup;
use roundel::probe::{Event, Resource};
use roundel::task::TaskSet;
use roundel::testing::settle;
use roundel::{Runtime, spawn, task, time, yield_now};
#[allow(unused_imports)] // With `diagnostics`, a builder has its methods itself.
use testkit::Unwatched;

const SECOND: Duration = Duration::from_secs(1);

fn virtually<T>(main: impl Future<Output = T>) -> T {
    Runtime::builder().virtual_time(true).build().unwrap().block_on(main)
}

#[test]
fn results_come_in_the_order_of_the_ends_whenever_they_are_asked_for() {
    for asks_late in [false, true] {
        virtually(async {
            let mut set = TaskSet::new();
            // 300 tasks: more than the budget of a poll allows to fetch at once.
            let delay = |i: u32| i * 7 % 300;
            for i in 0..300 {
                set.spawn(async move {
                    time::sleep(SECOND * delay(i)).await;
                    delay(i)
                });
            }
            if asks_late {
                time::sleep(SECOND * 1000).await;
            }
            let mut got = Vec::new();
            while let Some(result) = set.join_next().await {
                got.push(result.unwrap());
            }
            let all: Vec<u32> = (0..300).collect();
            assert_eq!(got, all, "asks late: {asks_late}");
        });
    }
}

#[test]
fn every_way_to_end_is_a_result() {
    virtually(async {
        let mut set = TaskSet::new();
        set.spawn(async { 1 });
        set.spawn(async { panic!("expected: a panic") });
        set.spawn(pending());
        settle().await;
        assert_eq!(set.len(), 3);
        assert_eq!(set.next().await.unwrap().unwrap(), 1);
        assert!(set.next().await.unwrap().unwrap_err().is_panic());
        set.cancel_all();
        assert!(set.next().await.unwrap().unwrap_err().is_cancelled());
        assert!(set.is_empty());
        assert!(set.next().await.is_none());
        // It can be used again.
        let id = set.spawn_named("late", async { 2 });
        assert_eq!(task::name(id).as_deref(), Some("late"));
        assert_eq!(set.next().await.unwrap().unwrap(), 2);
    });
}

#[test]
fn a_task_is_spawned_where_the_program_says_so() {
    roundel::run(async {
        let mut set = TaskSet::new();
        let line = line!() + 1;
        let id = set.spawn(async {});
        assert_eq!(task::spawned_at(id).unwrap().line(), line);
        assert!(task::spawned_at(id).unwrap().file().ends_with("task_set.rs"));
        let line = line!() + 1;
        let id = set.spawn_named("x", async {});
        assert_eq!(task::spawned_at(id).unwrap().line(), line);
    });
}

#[test]
fn dropping_the_set_cancels_its_tasks_and_their_cleanups_run_on() {
    let cleaned = Rc::new(Cell::new(false));
    virtually(async {
        let mut set = TaskSet::new();
        let theirs = cleaned.clone();
        set.spawn(with_cleanup(pending::<()>(), move || async move {
            time::sleep(SECOND).await;
            theirs.set(true);
        }));
        let held = Rc::new(());
        let inside = held.clone();
        set.spawn(async move {
            pending::<()>().await;
            drop(inside);
        });
        settle().await;
        drop(set);
        assert_eq!(Rc::strong_count(&held), 1, "its future is gone at once");
        assert!(!cleaned.get());
        time::sleep(SECOND * 2).await;
        assert!(cleaned.get());
    });
}

/// The future of a cancelled task is gone before its cleanup is done. Its result comes after the cleanup, and others that
/// end meanwhile do not wait for it.
#[test]
fn a_result_comes_after_the_cleanup_and_holds_up_no_other() {
    virtually(async {
        let (mut set, done) = (TaskSet::new(), Rc::new(Cell::new(false)));
        let theirs = done.clone();
        set.spawn(with_cleanup(pending(), move || async move {
            time::sleep(SECOND * 5).await;
            theirs.set(true);
        }));
        set.spawn(async { pending::<()>().await });
        settle().await;
        set.cancel_all();
        set.spawn(time::sleep(SECOND));
        let first = set.join_next().await.unwrap();
        assert!(first.unwrap_err().is_cancelled() && !done.get());
        set.join_next().await.unwrap().unwrap();
        assert!(!done.get(), "the sleeper was first");
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(done.get());
    });
}

/// The destructor of another task spawns a member and cancels all, while the set is its own.
#[test]
fn destructors_of_members_may_use_the_set() {
    struct Spawns(Rc<RefCell<Option<TaskSet<u32>>>>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            if let Ok(mut set) = self.0.try_borrow_mut()
                && let Some(set) = &mut *set
            {
                set.spawn(async { 9 });
                set.cancel_all();
            }
        }
    }
    virtually(async {
        let shared = Rc::new(RefCell::new(Some(TaskSet::new())));
        let bomb = Spawns(shared.clone());
        let task = spawn(async move {
            pending::<()>().await;
            drop(bomb);
        });
        yield_now().await;
        task.cancel();
        let mut set = shared.take().unwrap();
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(set.join_next().await.is_none());
    });
}

#[test]
fn a_task_that_drops_its_own_set_ends() {
    virtually(async {
        let own = Rc::new(RefCell::new(TaskSet::new()));
        let theirs = Rc::downgrade(&own);
        let seen = Rc::new(Cell::new(0));
        let counted = seen.clone();
        own.borrow_mut().spawn(async move {
            let set = std::mem::take(&mut *theirs.upgrade().unwrap().borrow_mut());
            drop(set);
            counted.set(1);
            yield_now().await;
            counted.set(2);
        });
        settle().await;
        assert_eq!(seen.get(), 1, "it was cancelled at the end of its poll");
    });
}

#[test]
fn any_executor_may_await_it() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    let mut set = runtime.block_on(async {
        let mut set = TaskSet::new();
        set.spawn(async { 7 });
        set
    });
    let mut poll = || Pin::new(&mut set).poll_next(&mut Context::from_waker(Waker::noop()));
    assert!(poll().is_pending());
    runtime.block_on(settle());
    assert!(matches!(poll(), Poll::Ready(Some(Ok(7)))));
    assert!(matches!(poll(), Poll::Ready(None)));
}

#[test]
fn it_may_be_awaited_in_turns_by_different_tasks() {
    virtually(async {
        let mut set = TaskSet::new();
        for i in 1..4 {
            set.spawn(async move {
                time::sleep(SECOND * i).await;
                i
            });
        }
        let set = Rc::new(RefCell::new(set));
        let mut got = Vec::new();
        for _ in 0..3 {
            let theirs = set.clone();
            let next = spawn(poll_fn(move |cx| Pin::new(&mut *theirs.borrow_mut()).poll_next(cx)));
            got.push(next.await.unwrap().unwrap().unwrap());
        }
        assert_eq!(got, [1, 2, 3]);
    });
}

/// The wait is seen by a watcher: the task that awaits the set waits for each of the members, from then until they end.
#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn a_watcher_sees_which_tasks_are_waited_for() {
    let waits = Rc::new(RefCell::new(Vec::new()));
    let theirs = waits.clone();
    let runtime = Runtime::builder()
        .virtual_time(true)
        .probe(move |event| match event {
            Event::WaitOn { task: Some(task), on: Resource::Task(on), .. } => {
                theirs.borrow_mut().push((task, on, true));
            }
            Event::WaitDone { task: Some(task), on: Resource::Task(on) } => {
                theirs.borrow_mut().push((task, on, false));
            }
            _ => {}
        })
        .build()
        .unwrap();
    let (main, members) = runtime.block_on(async {
        let mut set = TaskSet::new();
        let mut members = vec![set.spawn(time::sleep(SECOND)), set.spawn(time::sleep(SECOND * 2))];
        time::sleep(SECOND / 2).await;
        assert!(waits.borrow().is_empty(), "nothing waits for them yet");
        set.join_next().await;
        members.push(set.spawn(time::sleep(SECOND * 3)));
        set.join_next().await;
        set.join_next().await;
        (task::current().unwrap(), members)
    });
    drop(runtime);
    for (number, member) in members.iter().enumerate() {
        let of_member: Vec<_> = waits.borrow().iter().filter(|wait| wait.1 == *member).copied().collect();
        assert_eq!(of_member, [(main, *member, true), (main, *member, false)], "{number}");
    }
}

/// An oracle: tasks of random lengths that return, panic or are cancelled, asked for at random moments, on random
/// schedules. Each result comes once, in the order in which the futures were dropped.
#[test]
fn nothing_is_lost_doubled_or_out_of_order() {
    struct Tells(u64, Rc<RefCell<Vec<u64>>>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0);
        }
    }
    for seed in 0..if cfg!(miri) { 3 } else { 300 } {
        let mut random: u64 = seed * 2 + 1;
        let mut below = move |n: u64| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) % n
        };
        let runtime = Runtime::builder()
            .virtual_time(true)
            .shuffle(seed)
            .detect_deadlocks(seed.is_multiple_of(2))
            .build()
            .unwrap();
        runtime.block_on(async {
            let (ended, mut set) = (Rc::new(RefCell::new(Vec::new())), TaskSet::new());
            let (mut ids, mut got) = (Vec::new(), Vec::new());
            let total = 1 + below(20);
            for number in 0..total {
                let (tells, delay, panics) = (Tells(number, ended.clone()), below(5) as u32, below(5) == 0);
                ids.push(set.spawn(async move {
                    let tells = tells;
                    time::sleep(SECOND * delay).await;
                    assert!(!panics, "expected: a task of a set that panics");
                    tells.0
                }));
                match below(6) {
                    0 => got.push(set.join_next().await.unwrap()),
                    1 => time::sleep(SECOND * below(3) as u32).await,
                    2 => set.cancel_all(),
                    _ => {}
                }
            }
            while let Some(result) = set.join_next().await {
                got.push(result);
            }
            // An error names its task.
            let number = |error: roundel::JoinError| {
                let error = error.to_string();
                let named = |id: &task::TaskId| error.split([' ', ':']).any(|word| word == id.to_string());
                ids.iter().position(named).unwrap() as u64
            };
            let got: Vec<u64> = got.into_iter().map(|result| result.unwrap_or_else(number)).collect();
            assert_eq!(got, *ended.borrow(), "seed {seed}");
            assert_eq!(got.len() as u64, total);
        });
    }
}

#[test]
fn a_handle_that_cancels_on_drop() {
    virtually(async {
        let held = Rc::new(());
        let inside = held.clone();
        let handle = spawn(async move {
            pending::<()>().await;
            drop(inside);
        })
        .cancel_on_drop();
        yield_now().await;
        assert!(!handle.is_finished(), "it has the methods of a JoinHandle");
        drop(handle);
        assert_eq!(Rc::strong_count(&held), 1, "the future is gone at once");

        let done = Rc::new(Cell::new(0));
        let (first, second) = (done.clone(), done.clone());
        spawn(async move { first.set(first.get() + 1) }).cancel_on_drop().detach();
        let answered = spawn(async move { second.set(second.get() + 1) }).cancel_on_drop();
        answered.await.unwrap();
        settle().await;
        assert_eq!(done.get(), 2, "one that was let go, and one that was awaited");
        assert_eq!(task::count(), 1);
    });
}
