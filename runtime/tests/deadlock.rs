//! Deadlocks are found, and what only looks like one is none.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Mutex as Lock, Once, mpsc};
use std::task::{Poll, Waker};
use std::time::Duration;

use roundel::blocking::unblock;
use roundel::deadlock::Deadlock;
use roundel::group::{gather, join, scope, select};
use roundel::source::Direction;
use roundel::sync::{Event, Mutex, RwLock, Semaphore};
use roundel::{Builder, JoinHandle, Runtime, TaskId, channel, spawn, spawn_named, time, yield_now};

#[path = "deadlock/alarms.rs"]
mod alarms;
mod common;
#[path = "deadlock/found.rs"]
mod found;
#[path = "deadlock/programs.rs"]
mod programs;

const SECOND: Duration = Duration::from_secs(1);

type Told = Rc<RefCell<Vec<Deadlock>>>;

/// A builder that notes each deadlock.
fn noting(builder: Builder) -> (Builder, Told) {
    let told = Told::default();
    let note = Rc::clone(&told);
    (builder.on_deadlock(move |deadlock| note.borrow_mut().push(deadlock.clone())), told)
}

/// The report with which a `block_on` of this future on virtual time panics, and the deadlocks that were told.
fn deadlock(main: impl Future) -> (String, Vec<Deadlock>) {
    let (builder, told) = noting(Runtime::builder().virtual_time(true));
    let runtime = builder.build().unwrap();
    let run = AssertUnwindSafe(|| drop(runtime.block_on(main)));
    let panic = catch_unwind(run).expect_err("a deadlock is a panic on virtual time");
    drop(runtime);
    (*panic.downcast::<String>().expect("the report is text"), told.take())
}

/// Takes one lock, is interrupted, and takes the other.
async fn both(one: Rc<Mutex<()>>, other: Rc<Mutex<()>>) {
    let _one = one.lock().await;
    yield_now().await;
    let _other = other.lock().await;
}

fn two_locks() -> (Rc<Mutex<()>>, Rc<Mutex<()>>) {
    (Rc::new(Mutex::new(()).named("a")), Rc::new(Mutex::new(()).named("b")))
}

thread_local! {
    /// Set while this thread does not print the reports with which it panics: the line of the last one.
    static REPORTED_AT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// From here on, this thread notes the reports with which it panics, and does not print them. A process has one hook for all
/// its threads: tests that each set one of their own would take it from each other.
fn note_reports() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_report =
                info.payload().downcast_ref::<String>().is_some_and(|text| text.starts_with("deadlock: "));
            if !is_report || REPORTED_AT.get().is_none() {
                return others(info);
            }
            REPORTED_AT.set(info.location().map(|at| at.line()));
        }));
    });
    REPORTED_AT.set(Some(0));
}

#[test]
fn two_locks_in_opposite_order_are_reported_with_names_and_lines_at_the_block_on() {
    note_reports();
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    let here = line!() + 2;
    let panic = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let (a, b) = two_locks();
            let ann = spawn_named("ann", both(a.clone(), b.clone()));
            let bob = spawn_named("bob", both(b, a));
            _ = join!(ann, bob);
        });
    }));
    let report = panic.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(REPORTED_AT.take(), Some(here), "the panic is at the `block_on`");
    let expected = "deadlock: no task can go on, and nothing that could wake one is left
  task #0.1, the future of a `block_on`
      waits for the end of #1.1 \"ann\"
      waits for the end of #2.1 \"bob\"
  task #1.1 \"ann\", spawned at runtime/tests/deadlock.rs:N
      waits for mutex \"b\" (runtime/tests/deadlock.rs:N),
      held by #2.1 \"bob\", wanted at runtime/tests/deadlock.rs:N
  task #2.1 \"bob\", spawned at runtime/tests/deadlock.rs:N
      waits for mutex \"a\" (runtime/tests/deadlock.rs:N),
      held by #1.1 \"ann\", wanted at runtime/tests/deadlock.rs:N
  the circle:
    ┌─► #1.1 \"ann\" waits for mutex \"b\" of
    │   #2.1 \"bob\" waits for mutex \"a\" of
    └── #1.1 \"ann\"";
    // The lines are compared by what stands there.
    let source = include_str!("deadlock.rs").lines().collect::<Vec<_>>();
    let mut numbers = Vec::new();
    let text: Vec<String> = report
        .split("deadlock.rs:")
        .enumerate()
        .map(|(index, part)| {
            let digits = part.chars().take_while(char::is_ascii_digit).count();
            if index == 0 {
                return part.to_owned();
            }
            numbers.push(part[..digits].parse::<usize>().unwrap());
            format!("N{}", &part[digits..])
        })
        .collect();
    assert_eq!(text.join("deadlock.rs:"), expected);
    let words = [
        "spawn_named(\"ann\"",
        "named(\"b\")",
        "other.lock()",
        "spawn_named(\"bob\"",
        "named(\"a\")",
        "other.lock()",
    ];
    for (number, word) in numbers.iter().zip(words) {
        assert!(source[number - 1].contains(word), "line {number}: {}", source[number - 1]);
    }
}

type Main = Pin<Box<dyn Future<Output = ()>>>;

/// A program that can never go on, something that its report says, and how many tasks wait for ever.
type Stuck = (&'static str, Main, &'static str, usize);

fn row<F: Future<Output = ()> + 'static>(
    name: &'static str,
    main: F,
    says: &'static str,
    tasks: usize,
) -> Stuck {
    (name, Box::pin(main), says, tasks)
}

fn stuck() -> Vec<Stuck> {
    [stuck_alone(), stuck_with_children(), stuck_at_channels(), stuck_after_something()]
        .into_iter()
        .flatten()
        .collect()
}

fn stuck_alone() -> Vec<Stuck> {
    vec![
        row("nothing at all", pending(), "has left no waker", 1),
        row("a sleep without end", async { time::sleep(Duration::MAX).await }, "waits for endless sleep", 1),
        row(
            "the same lock twice",
            async {
                let lock = Mutex::new(());
                let _guard = lock.lock().await;
                drop(lock.lock().await);
            },
            "└── #0.1",
            1,
        ),
        row(
            "a write inside a read",
            async {
                let lock = RwLock::new(());
                let _guard = lock.read().await;
                drop(lock.write().await);
            },
            "waits for rwlock",
            1,
        ),
    ]
}

fn stuck_with_children() -> Vec<Stuck> {
    vec![
        row(
            "two children of one task",
            async {
                let (a, b) = two_locks();
                join!(both(a.clone(), b.clone()), both(b, a));
            },
            "waits for mutex \"b\"",
            1,
        ),
        row(
            "children that were gathered",
            async {
                let (a, b) = two_locks();
                gather([both(a.clone(), b.clone()), both(b, a)]).await;
            },
            "waits for mutex \"a\"",
            1,
        ),
        row(
            "children of a scope",
            async {
                let (a, b) = two_locks();
                scope(async |s| {
                    let ann = s.spawn(both(a.clone(), b.clone()));
                    let bob = s.spawn(both(b.clone(), a.clone()));
                    _ = ann.await;
                    _ = bob.await;
                })
                .await;
            },
            "waits for child of a scope",
            1,
        ),
    ]
}

fn stuck_at_channels() -> Vec<Stuck> {
    vec![
        row(
            "a channel whose sender is here",
            async {
                let (sender, receiver) = channel::bounded::<()>(1);
                _ = receiver.recv().await;
                drop(sender);
            },
            "waits for channel to be received from",
            1,
        ),
        row(
            "a full channel",
            async {
                let (sender, _receiver) = channel::bounded(1);
                for i in 0..2 {
                    sender.send(i).await.unwrap();
                }
            },
            "waits for channel to be sent to",
            1,
        ),
        row(
            "a oneshot whose sender waits for us",
            async {
                let (sender, receiver) = channel::oneshot::<()>();
                let event = Rc::new(Event::new());
                let theirs = event.clone();
                let other = spawn(async move {
                    theirs.wait().await;
                    _ = sender.send(());
                });
                _ = receiver.await;
                event.set();
                other.await.unwrap();
            },
            "waits for event",
            2,
        ),
        row(
            "a sender that waits for the end of its receiver",
            async {
                let (mut sender, receiver) = channel::oneshot::<()>();
                sender.closed().await;
                drop(receiver);
            },
            "waits for oneshot",
            1,
        ),
        row(
            "tasks that await each other",
            async {
                let other: Rc<Cell<Option<JoinHandle<()>>>> = Rc::default();
                let theirs = other.clone();
                let ann = spawn(async move {
                    yield_now().await;
                    if let Some(other) = theirs.take() {
                        _ = other.await;
                    }
                });
                other.set(Some(spawn(async { _ = ann.await })));
                pending::<()>().await;
            },
            "waits for the end of #1.1, wanted at runtime/tests",
            3,
        ),
    ]
}

fn stuck_after_something() -> Vec<Stuck> {
    vec![
        row(
            "a job has ended long ago",
            async {
                assert_eq!(unblock(|| 7).await.unwrap(), 7);
                assert_eq!(gather([unblock(|| 1), unblock(|| 2)]).await.len(), 2);
                time::sleep(SECOND).await;
                pending::<()>().await;
            },
            "no task can go on",
            1,
        ),
        row(
            "the other arm has lost",
            async {
                let never = Event::new();
                select! {
                    () = time::sleep(SECOND) => {}
                    () = never.wait() => {}
                }
                never.wait().await;
            },
            "waits for event",
            1,
        ),
    ]
}

#[test]
fn a_program_that_can_never_go_on_is_a_panic_on_virtual_time() {
    let _watchdog = common::watchdog();
    for (name, main, says, tasks) in stuck() {
        let (report, told) = deadlock(main);
        assert!(report.contains(says), "{name}: {report}");
        // (A circle is told of before the rest stands still.)
        let deadlock = told.last().expect("a deadlock is told");
        assert!(
            told.len() <= 2 && deadlock.is_whole() && deadlock.tasks().len() == tasks,
            "{name}: {report}"
        );
        assert_eq!(report, deadlock.to_string());
    }
}

/// Calls `f` on another thread, a little later.
fn later(f: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        f();
    });
}

/// Waits until another thread uses its waker, and keeps no other.
async fn woken_by_a_thread() {
    let cell = Arc::new(Lock::new(None::<Waker>));
    let mut is_first = true;
    poll_fn(|cx| {
        if !std::mem::take(&mut is_first) {
            return Poll::Ready(());
        }
        *cell.lock().unwrap() = Some(cx.waker().clone());
        let cell = Arc::clone(&cell);
        later(move || cell.lock().unwrap().take().into_iter().for_each(Waker::wake));
        Poll::Pending
    })
    .await;
}

/// A task holds a lock for good.
fn locked_for_good() -> Rc<Mutex<()>> {
    let lock = Rc::new(Mutex::new(()));
    let theirs = lock.clone();
    spawn(async move {
        let _guard = theirs.lock().await;
        pending::<()>().await;
    })
    .detach();
    lock
}

/// Programs that wait for something from outside of their loop, on the real clock.
fn waits_for_the_outside() -> Vec<(&'static str, Main)> {
    [waits_for_a_waker(), waits_for_a_thread()].into_iter().flatten().collect()
}

fn waits_for_a_waker() -> Vec<(&'static str, Main)> {
    vec![
        ("a waker in another thread", Box::pin(woken_by_a_thread())),
        (
            "a waker in another thread, beside a lock",
            Box::pin(async {
                let lock = locked_for_good();
                yield_now().await;
                select! {
                    _guard = lock.lock() => unreachable!(),
                    () = woken_by_a_thread() => {}
                }
            }),
        ),
        (
            "a waker in another thread, of a child",
            Box::pin(async {
                let lock = locked_for_good();
                yield_now().await;
                let child = async {
                    select! {
                        _guard = lock.lock() => unreachable!(),
                        () = woken_by_a_thread() => {}
                    }
                };
                join!(child, async { yield_now().await });
            }),
        ),
        (
            "a waker in another thread, of a child of a child",
            Box::pin(async {
                gather([gather([woken_by_a_thread()])]).await;
            }),
        ),
        (
            "a waker in another thread, of a child of a scope",
            Box::pin(async {
                scope(async |s| _ = s.spawn(woken_by_a_thread()).await).await;
            }),
        ),
    ]
}

fn waits_for_a_thread() -> Vec<(&'static str, Main)> {
    vec![
        (
            "a job",
            Box::pin(async { unblock(|| std::thread::sleep(Duration::from_millis(20))).await.unwrap() }),
        ),
        (
            "jobs side by side",
            Box::pin(async {
                let job = || unblock(|| std::thread::sleep(Duration::from_millis(20)));
                gather([job(), job()]).await;
            }),
        ),
        (
            "a source",
            Box::pin(async {
                let (source, mut theirs) = common::unix();
                later(move || theirs.write_all(b"x").unwrap());
                let read = |mut stream: &mio::net::UnixStream| stream.read(&mut [0]);
                assert_eq!(source.io(Direction::Read, read).await.unwrap(), 1);
            }),
        ),
        (
            "a task of another loop",
            Box::pin(async {
                let (sender, receiver) = std::sync::mpsc::channel();
                std::thread::spawn(move || {
                    Runtime::new().unwrap().block_on(async {
                        sender.send(roundel::remote()).unwrap();
                        time::sleep(SECOND * 3600).await;
                    });
                });
                let there = receiver.recv().unwrap();
                there.spawn(|| time::sleep(Duration::from_millis(20))).await.unwrap();
            }),
        ),
    ]
}

#[test]
fn a_wait_for_the_outside_is_no_deadlock() {
    let _watchdog = common::watchdog();
    for (name, main) in waits_for_the_outside() {
        let (builder, told) = noting(Runtime::builder());
        builder.build().unwrap().block_on(main);
        assert!(told.borrow().is_empty(), "{name}: {}", told.borrow()[0]);
    }
}

#[test]
fn a_remote_that_lives_elsewhere_is_waited_for() {
    let _watchdog = common::watchdog();
    let (builder, told) = noting(Runtime::builder());
    let runtime = builder.build().unwrap();
    let (sender, receiver) = channel::bounded(1);
    let remote = runtime.remote();
    runtime.block_on(async {
        thread_local!(static SENDER: RefCell<Option<channel::Sender<u32>>> = const { RefCell::new(None) });
        SENDER.set(Some(sender));
        later(move || drop(remote.spawn(|| async { SENDER.take().unwrap().send(7).await.unwrap() })));
        assert_eq!(receiver.recv().await, Ok(7));
    });
    assert!(told.borrow().is_empty(), "{}", told.borrow()[0]);
}

#[cfg(all(feature = "process", feature = "signal"))]
#[test]
fn a_signal_and_a_child_process_are_waited_for() {
    let _watchdog = common::watchdog();
    let (builder, told) = noting(Runtime::builder());
    builder.build().unwrap().block_on(async {
        let mut child = roundel::process::Command::new("sleep");
        assert!(child.arg("0.02").status().await.unwrap().success());
        let mut signals = roundel::signal::Signals::new([roundel::signal::USR1]).unwrap();
        let own = std::process::id().to_string();
        later(move || drop(Command::new("kill").args(["-USR1", &own]).status()));
        signals.recv().await;
    });
    assert!(told.borrow().is_empty(), "{}", told.borrow()[0]);
}

/// Programs on virtual time in which a circle of waits is broken, or only looks like one.
fn broken_circles() -> Vec<(&'static str, Main)> {
    [ended_by_time_or_cancel(), ended_by_a_source(), fed_by_others(), of_one_lock()]
        .into_iter()
        .flatten()
        .collect()
}

fn ended_by_time_or_cancel() -> Vec<(&'static str, Main)> {
    vec![
        (
            "a timeout around a wait",
            Box::pin(async {
                let (a, b) = two_locks();
                let ann = spawn(time::timeout(SECOND, both(a.clone(), b.clone())));
                both(b, a).await;
                assert!(ann.await.unwrap().is_err());
            }),
        ),
        (
            "a select! that gives up",
            Box::pin(async {
                let (a, b) = two_locks();
                let (a2, b2) = (a.clone(), b.clone());
                spawn(async move {
                    select! {
                        () = both(a2, b2) => {}
                        () = time::sleep(SECOND) => {}
                    }
                })
                .detach();
                both(b, a).await;
            }),
        ),
        (
            "a holder that another task cancels",
            Box::pin(async {
                let (a, b) = two_locks();
                let ann = spawn(both(a.clone(), b.clone()));
                let bob = spawn(both(b, a));
                time::sleep(SECOND).await;
                ann.cancel();
                bob.await.unwrap();
            }),
        ),
        (
            "a holder that a task cancels which a timer wakes",
            Box::pin(async {
                let (a, b) = two_locks();
                let ann = spawn(both(a.clone(), b.clone()));
                spawn(async move {
                    time::sleep(SECOND).await;
                    ann.cancel();
                })
                .detach();
                spawn(both(b, a)).await.unwrap();
            }),
        ),
    ]
}

fn ended_by_a_source() -> Vec<(&'static str, Main)> {
    vec![(
        "a select! that gives up when it hears from a source",
        Box::pin(async {
            let (a, b) = two_locks();
            let (a2, b2) = (a.clone(), b.clone());
            let (source, mut theirs) = common::unix();
            spawn(async move {
                let _a = a2.lock().await;
                yield_now().await;
                let read = |mut stream: &mio::net::UnixStream| stream.read(&mut [0]);
                select! {
                    _b = b2.lock() => {}
                    read = source.io(Direction::Read, read) => assert_eq!(read.unwrap(), 1),
                }
            })
            .detach();
            spawn(async move {
                time::sleep(SECOND).await;
                theirs.write_all(b"x").unwrap();
                time::sleep(SECOND).await;
            })
            .detach();
            both(b, a).await;
        }),
    )]
}

fn fed_by_others() -> Vec<(&'static str, Main)> {
    vec![
        (
            "a detached loop that feeds a channel in the end",
            Box::pin(async {
                let (sender, receiver) = channel::bounded(1);
                spawn(async move {
                    for _ in 0..100 {
                        time::sleep(SECOND).await;
                    }
                    sender.send(7).await.unwrap();
                })
                .detach();
                assert_eq!(receiver.recv().await, Ok(7));
            }),
        ),
        (
            "a lock that was handed over",
            Box::pin(async {
                // Cid waits since Ann held the lock. Now Bob holds it, and Ann waits for Cid.
                let lock = Rc::new(Mutex::new(()));
                let (for_bob, for_cid) = (lock.clone(), lock.clone());
                let guard = lock.lock().await;
                spawn(async move {
                    let _guard = for_bob.lock().await;
                    time::sleep(SECOND).await;
                })
                .detach();
                let cid = spawn(async move { drop(for_cid.lock().await) });
                time::sleep(SECOND).await;
                drop(guard);
                cid.await.unwrap();
            }),
        ),
    ]
}

fn of_one_lock() -> Vec<(&'static str, Main)> {
    vec![
        (
            "a permit that another task adds",
            Box::pin(async {
                let permits = Rc::new(Semaphore::new(1));
                let theirs = permits.clone();
                let _one = permits.acquire().await.unwrap();
                spawn(async move {
                    time::sleep(SECOND).await;
                    theirs.add_permits(1);
                })
                .detach();
                drop(permits.acquire().await.unwrap());
            }),
        ),
        (
            "a child that gives the lock back",
            Box::pin(async {
                let lock = Rc::new(Mutex::new(()));
                join!(
                    async {
                        let _guard = lock.lock().await;
                        time::sleep(SECOND).await;
                    },
                    async { drop(lock.lock().await) },
                );
            }),
        ),
        (
            "a wait that is polled by hand and dropped",
            Box::pin(async {
                let lock = Mutex::new(());
                let guard = lock.lock().await;
                {
                    let mut wait = pin!(lock.lock());
                    poll_fn(|cx| {
                        assert!(wait.as_mut().poll(cx).is_pending());
                        Poll::Ready(())
                    })
                    .await;
                }
                time::sleep(SECOND).await;
                drop(guard);
            }),
        ),
    ]
}

#[test]
fn a_circle_that_is_broken_is_no_deadlock() {
    let _watchdog = common::watchdog();
    for (name, main) in broken_circles() {
        let (builder, told) = noting(Runtime::builder().virtual_time(true));
        builder.build().unwrap().block_on(main);
        assert!(told.borrow().is_empty(), "{name}: {}", told.borrow()[0]);
    }
}

/// Two detached tasks wait for each other, while the loop goes on.
#[test]
fn a_circle_beside_other_tasks_is_reported_once_and_they_go_on() {
    let (builder, told) = noting(Runtime::builder().virtual_time(true));
    builder.build().unwrap().block_on(async {
        let (a, b) = two_locks();
        spawn_named("ann", both(a.clone(), b.clone())).detach();
        spawn_named("bob", both(b.clone(), a)).detach();
        // This one waits for a lock of the circle, and is in none.
        spawn(async move { drop(b.lock().await) }).detach();
        for _ in 0..100 {
            time::sleep(SECOND).await;
        }
    });
    let told = told.take();
    let [deadlock] = &told[..] else { panic!("told {} times", told.len()) };
    assert!(!deadlock.is_whole());
    let circles = deadlock.circles();
    assert_eq!((deadlock.tasks().len(), circles.len(), circles[0].len()), (3, 1, 2), "{deadlock}");
    assert!(deadlock.to_string().starts_with("deadlock: 3 tasks wait for each other, and can never go on\n"));
}

/// The main future is in the circle, so its `block_on` ends, although a timer goes on for ever.
#[test]
fn a_main_future_in_a_circle_ends_its_block_on() {
    let _watchdog = common::watchdog();
    let (report, told) = deadlock(async {
        spawn(async {
            loop {
                time::sleep(SECOND).await;
            }
        })
        .detach();
        let (a, b) = two_locks();
        spawn(both(a.clone(), b.clone())).detach();
        both(b, a).await;
    });
    assert!(report.starts_with("deadlock: 2 tasks wait for each other"), "{report}");
    assert_eq!((told.len(), told[0].is_whole()), (1, false));
}

#[test]
fn each_block_on_that_can_never_go_on_ends() {
    let (builder, told) = noting(Runtime::builder().virtual_time(true));
    let runtime = builder.build().unwrap();
    for _ in 0..3 {
        assert!(catch_unwind(AssertUnwindSafe(|| runtime.block_on(pending::<()>()))).is_err());
    }
    assert_eq!(told.borrow().len(), 3);
    // The runtime is as good as before.
    runtime.block_on(async { spawn(time::sleep(SECOND)).await.unwrap() });
}

/// The program hears of it, and may break the circle. On virtual time that saves its `block_on`.
#[test]
fn a_callback_may_cancel_a_task() {
    let _watchdog = common::watchdog();
    for is_virtual in [false, true] {
        cancels_a_task(Runtime::builder().virtual_time(is_virtual));
    }
}

fn cancels_a_task(builder: Builder) {
    let victim: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let (to_cancel, told) = (victim.clone(), Rc::new(Cell::new(0)));
    let count = told.clone();
    let builder = builder.on_deadlock(move |_| {
        count.set(count.get() + 1);
        to_cancel.take().into_iter().for_each(|victim| victim.cancel());
    });
    builder.build().unwrap().block_on(async move {
        let (a, b) = two_locks();
        *victim.borrow_mut() = Some(spawn(both(a.clone(), b.clone())));
        spawn(both(b, a)).await.unwrap();
    });
    assert_eq!(told.get(), 1);
}

/// Its panic comes out of the `block_on`, and the runtime is as good as before.
#[test]
fn a_callback_may_panic() {
    let runtime = Runtime::builder().on_deadlock(|_| panic!("told")).build().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(pending::<()>()))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"told"));
    runtime.block_on(async { spawn(yield_now()).await.unwrap() });
}

#[test]
fn a_loop_that_does_not_look_says_nothing() {
    let (builder, told) = noting(Runtime::builder().virtual_time(true).detect_deadlocks(false));
    builder.build().unwrap().block_on(async {
        let (a, b) = two_locks();
        spawn(both(a.clone(), b.clone())).detach();
        spawn(both(b, a)).detach();
        time::sleep(SECOND).await;
    });
    assert!(told.borrow().is_empty());
}

/// In debug mode, standard error gets the report, once.
#[test]
fn debug_mode_prints_the_report_once() {
    let name = "debug_mode_prints_the_report_once";
    if std::env::var_os("ROUNDEL_TEST_ALONE").is_some() {
        // Another thread ends the process that hangs, when the report was made and another one has had its time.
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            _ = told.recv_timeout(Duration::from_secs(120));
            std::thread::sleep(Duration::from_millis(300));
            std::process::exit(7);
        });
        let builder = Runtime::builder().on_deadlock(move |_| _ = tell.send(()));
        return builder.build().unwrap().block_on(async {
            let (a, b) = two_locks();
            let ann = spawn_named("ann", both(a.clone(), b.clone()));
            both(b, a).await;
            ann.await.unwrap();
        });
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([name, "--exact", "--nocapture"]).env("ROUNDEL_TEST_ALONE", "1").env("ROUNDEL_DEBUG", "1");
    let output = again.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert_eq!(text.matches("roundel: deadlock: no task can go on").count(), 1, "{text}");
    assert!(text.contains("#1.1 \"ann\" waits for mutex \"b\" of"), "{text}");
}

/// The numbers of the tasks in a deadlock.
fn numbers(deadlock: &Deadlock) -> Vec<String> {
    deadlock.tasks().iter().map(|task| task.id.to_string()).collect()
}
