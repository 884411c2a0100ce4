//! Deadlocks that are easily missed, or found late.

use super::*;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use roundel::remote;

/// Two tasks without handles that wait for each other.
fn circle() {
    let (a, b) = two_locks();
    spawn(both(a.clone(), b.clone())).detach();
    spawn(both(b, a)).detach();
}

/// The loop sleeps right after the circle has closed. It looks before. If it did not, it would sleep for an hour. A short
/// sleep might be over before the loop goes to sleep, if the machine is busy.
#[test]
fn a_circle_in_a_loop_that_goes_to_sleep() {
    let _watchdog = common::watchdog();
    let (is_told, times) = (Rc::new(Event::new()), Rc::new(Cell::new(0)));
    let (tells, count) = (is_told.clone(), times.clone());
    let builder = Runtime::builder().on_deadlock(move |_| {
        count.set(count.get() + 1);
        tells.set();
    });
    builder.build().unwrap().block_on(async {
        circle();
        time::timeout(SECOND * 3600, is_told.wait()).await.unwrap();
    });
    assert_eq!(times.get(), 1);
}

/// The main future ends at each turn around the one in which the circle closes.
#[test]
fn a_circle_that_closes_just_before_the_end() {
    let told_after = |turns: u32| {
        let (builder, told) = noting(Runtime::builder().virtual_time(true));
        let is_closed = Rc::new(Cell::new(false));
        builder.build().unwrap().block_on(async {
            let (a, b) = two_locks();
            spawn(both(a.clone(), b.clone())).detach();
            let closes = is_closed.clone();
            spawn(async move {
                let _b = b.lock().await;
                time::sleep(Duration::from_millis(3)).await;
                closes.set(true);
                drop(a.lock().await);
            })
            .detach();
            for _ in 0..turns {
                time::sleep(Duration::from_millis(1)).await;
            }
        });
        (is_closed.get(), told.take().len())
    };
    let told: Vec<_> = (0..8).map(told_after).collect();
    let closed = told.iter().position(|(is_closed, _)| *is_closed).unwrap();
    assert!(told[closed + 1..].iter().all(|(_, count)| *count == 1), "{told:?}");
}

/// A task that is no part of the circle is ready each time that the loop looks.
#[test]
fn a_main_future_in_a_circle_beside_a_task_that_spins() {
    let _watchdog = common::watchdog();
    let (_, told) = deadlock(async {
        spawn(async {
            loop {
                yield_now().await;
            }
        })
        .detach();
        let (a, b) = two_locks();
        spawn(both(a.clone(), b.clone())).detach();
        both(b, a).await;
    });
    assert_eq!((told.len(), told[0].tasks().len()), (1, 2));
}

/// The circle is there already when the main future begins to wait for one of its locks.
#[test]
fn a_main_future_that_waits_for_a_circle() {
    let _watchdog = common::watchdog();
    let (report, _) = deadlock(async {
        spawn(async {
            loop {
                time::sleep(SECOND).await;
            }
        })
        .detach();
        let (a, b) = two_locks();
        spawn(both(a.clone(), b.clone())).detach();
        spawn(both(b, a.clone())).detach();
        time::sleep(SECOND).await;
        drop(a.lock().await);
    });
    assert!(report.starts_with("deadlock: 3 tasks wait for each other"), "{report}");
}

/// No wait begins when the circle closes: the first task is given the lock for which the second one waits already.
#[test]
fn a_circle_that_closes_when_a_lock_is_handed_over() {
    let (builder, told) = noting(Runtime::builder().virtual_time(true));
    builder.build().unwrap().block_on(async {
        let (a, b) = two_locks();
        let guard = a.lock().await;
        let (a1, b1, a2, b2) = (a.clone(), b.clone(), a.clone(), b.clone());
        spawn(async move {
            let _b = b2.lock().await;
            time::sleep(SECOND).await;
            drop(a2.lock().await);
        })
        .detach();
        yield_now().await;
        spawn(async move { drop(join!(a1.lock(), b1.lock())) }).detach();
        time::sleep(SECOND * 2).await;
        assert!(told.borrow().is_empty());
        drop(guard);
        time::sleep(SECOND).await;
        time::sleep(SECOND).await;
        assert_eq!(told.borrow().len(), 1);
    });
}

/// What another thread has kept or sent is gone without having been used.
fn ways_out_that_end() -> Vec<Stuck> {
    vec![
        row(
            "a remote",
            async {
                let remote = remote();
                later(move || drop(remote));
                pending::<()>().await;
            },
            "has left no waker",
            1,
        ),
        row(
            "a handle of a remote",
            async {
                let handle = remote().spawn(|| async {});
                later(move || drop(handle));
                pending::<()>().await;
            },
            "has left no waker",
            1,
        ),
        row("a waker", async { forgotten_by_a_thread().await }, "has left no waker", 1),
        row(
            "the waker of a child",
            async { _ = join!(forgotten_by_a_thread(), async {}) },
            "has left no waker",
            1,
        ),
        row(
            "the waker of a child of a child",
            async { _ = gather([gather([forgotten_by_a_thread()])]).await },
            "has left no waker",
            1,
        ),
        row("the word of a task that has ended", word_of_a_task(), "has left no waker", 1),
    ]
}

/// Leaves its waker with a thread that drops it.
async fn forgotten_by_a_thread() {
    let is_kept = AtomicBool::new(false);
    poll_fn(|cx| {
        if !is_kept.swap(true, SeqCst) {
            let waker = cx.waker().clone();
            later(move || drop(waker));
        }
        Poll::<()>::Pending
    })
    .await;
}

async fn word_of_a_task() {
    let (source, _theirs) = common::unix();
    let source = Rc::new(source);
    let ours = source.clone();
    let reads = poll_fn(move |cx| {
        let read = |mut stream: &mio::net::UnixStream| stream.read(&mut [0]);
        Poll::Ready(ours.poll_io(cx, Direction::Read, read).is_pending())
    });
    assert!(spawn(reads).await.unwrap());
    pending::<()>().await;
}

#[test]
fn a_loop_whose_last_way_out_ends_looks_again() {
    let _watchdog = common::watchdog();
    for (name, main, says, tasks) in ways_out_that_end() {
        let (report, told) = deadlock(main);
        assert!(report.contains(says), "{name}: {report}");
        assert!(told.len() == 1 && told[0].is_whole() && told[0].tasks().len() == tasks, "{name}: {report}");
    }
}

/// A search that looks at all tasks for each task would not end in time.
#[test]
fn the_report_of_many_tasks_takes_one_step_for_each() {
    let _watchdog = common::watchdog();
    const TASKS: usize = if cfg!(miri) { 20 } else { 4_000 };
    let (report, told) = deadlock(async {
        let mut last = spawn(pending::<()>());
        for _ in 0..TASKS {
            let next = last;
            last = spawn(async move { next.await.unwrap() });
        }
        last.await.unwrap();
    });
    assert_eq!(told[0].tasks().len(), TASKS + 2);
    assert!(told[0].circles().is_empty(), "{report}");
}

/// A circle that is not certain, and many tasks that wait for it, each of which has a handle. A look at all of them for each of
/// them would not end in time.
#[test]
fn a_look_at_a_circle_that_is_not_certain_takes_a_few_steps() {
    let _watchdog = common::watchdog();
    const TASKS: usize = if cfg!(miri) { 20 } else { 4_000 };
    let (builder, told) = noting(Runtime::builder().virtual_time(true));
    builder.build().unwrap().block_on(async {
        let (a, b) = two_locks();
        let ann = spawn(both(a.clone(), b.clone()));
        spawn(both(b, a.clone())).detach();
        let waits = || {
            let lock = a.clone();
            spawn(async move { drop(lock.lock().await) })
        };
        let all: Vec<_> = (0..TASKS).map(|_| waits()).collect();
        for _ in 0..200 {
            time::sleep(SECOND).await;
        }
        assert!(told.borrow().is_empty());
        // Without this handle it is certain, and all that wait without a handle are named.
        ann.detach();
        all.into_iter().for_each(JoinHandle::detach);
        // The pause between two looks may be 4,096 turns by now.
        for _ in 0..5_000 {
            time::sleep(SECOND).await;
        }
        assert_eq!((told.borrow().len(), told.borrow()[0].tasks().len()), (1, TASKS + 2));
    });
}

/// Names come from the program, and a report may go to a terminal.
#[test]
fn a_name_is_quoted() {
    let (_, told) = deadlock(async {
        let lock = Mutex::new(()).named("lock\x1b[2J");
        let _held = lock.lock().await;
        let again = spawn_named("task\n", async { pending::<()>().await });
        drop(lock.lock().await);
        again.await.unwrap();
    });
    let text = told[0].to_string();
    assert!(text.contains("mutex \"lock\\u{1b}[2J\"") && text.contains("\"task\\n\""), "{text}");
}
