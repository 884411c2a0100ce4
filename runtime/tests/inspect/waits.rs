//! What a dump says of each kind of wait, in a loop that is watched and in one that is not.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use roundel::cancel::with_cleanup;
use roundel::channel::{bounded, oneshot};
use roundel::inspect::{Dump, TaskState};
use roundel::source::Direction;
use roundel::sync::{Mutex, Semaphore};
use roundel::testing::settle;
use roundel::{Builder, Runtime, TaskId, spawn, spawn_named, time, yield_now};

use super::common::{read, unix};

const HOUR: Duration = Duration::from_secs(3600);

/// Whether the loop is watched, and how it is built.
fn both() -> [(bool, Builder); 2] {
    [false, true].map(|watched| (watched, Runtime::builder().virtual_time(true).metrics(watched)))
}

/// What the task with this name does, and the texts of its waits.
fn of(dump: &Dump, name: &str) -> (TaskState, Vec<String>) {
    let found = dump.tasks().iter().find(|task| task.name.as_deref() == Some(name));
    let task = found.unwrap_or_else(|| panic!("no task is called {name}:\n{dump}"));
    (task.state, task.waits.iter().map(ToString::to_string).collect())
}

#[test]
fn what_the_loop_knows_by_itself_is_said_whether_it_is_watched_or_not() {
    for (watched, builder) in both() {
        builder.build().unwrap().block_on(async {
            let sleeper = spawn_named("sleeper", time::sleep(HOUR));
            let id = sleeper.id();
            let joiner = spawn_named("joiner", sleeper);
            let (source, _theirs) = unix();
            let reader = spawn_named("reader", async move { read(&source, &mut [0; 8]).await.map(drop) });
            yield_now().await;
            let ready = spawn_named("ready", async {});
            let dump = roundel::dump();
            let waits = |name| of(&dump, name);
            assert_eq!(waits("joiner"), (TaskState::Waiting, vec![format!("task {id}")]), "{watched}");
            assert_eq!(waits("ready"), (TaskState::Ready, vec![]), "{watched}");
            let (state, sleeps) = waits("sleeper");
            assert!(state == TaskState::Waiting && sleeps.len() == 1, "{watched}: {sleeps:?}");
            assert!(sleeps[0].starts_with("timer ("), "{watched}: {sleeps:?}");
            let (_, reads) = waits("reader");
            assert!(reads.len() == 1 && reads[0].ends_with(", to read"), "{watched}: {reads:?}");
            assert_eq!(reads[0].contains("UnixStream"), watched, "{watched}: {reads:?}");
            let main = &dump.tasks()[0];
            assert_eq!((main.state, main.spawned_at), (TaskState::Running, None), "{watched}");
            assert_eq!(main.life.is_some(), watched);
            let text = dump.to_string();
            assert!(text.contains("5 tasks, 1 source, 1 timer, the next one in 3600 s"), "{text}");
            assert_eq!(text.contains("ROUNDEL_INSPECT=1"), !watched, "{text}");
            drop((joiner, reader, ready));
        });
    }
}

#[test]
fn a_watched_loop_says_which_lock_where_it_was_made_and_which_task_has_it() {
    Runtime::builder().virtual_time(true).metrics(true).build().unwrap().block_on(async {
        let line = line!() + 1;
        let lock = Rc::new(Mutex::new(0).named("accounts"));
        let holder = {
            let lock = Rc::clone(&lock);
            spawn_named("holder", async move {
                let _guard = lock.lock().await;
                time::sleep(HOUR).await;
            })
        };
        yield_now().await;
        let wants = Rc::clone(&lock);
        let waiter = spawn_named("waiter", async move { drop(wants.lock().await) });
        settle().await;
        let dump = roundel::dump();
        let (state, waits) = of(&dump, "waiter");
        assert_eq!(state, TaskState::Waiting);
        let place = format!("(runtime/tests/inspect/waits.rs:{line})");
        assert!(
            waits[0].starts_with("mutex ") && waits[0].ends_with(&format!("\"accounts\" {place}")),
            "{waits:?}"
        );
        let (_, wait) = dump.waits().find(|(task, _)| task.id == waiter.id()).unwrap();
        assert_eq!((wait.holder, wait.name), (Some(holder.id()), Some("accounts")));
        assert!(dump.to_string().contains(&format!(", held by {}", holder.id())), "{dump}");
        // The holder goes, and the lock with it.
        holder.cancel();
        settle().await;
        assert_eq!(roundel::dump().tasks().len(), 1);
        drop(waiter);
    });
}

/// A lock is handed over while another task waits for it. Before, the dump named the first holder, and a circle that was none.
#[test]
fn the_holder_is_the_one_of_this_moment() {
    for builder in [Runtime::builder(), Runtime::builder().probe(|_| ())] {
        builder.virtual_time(true).metrics(true).build().unwrap().block_on(async {
            let lock = Rc::new(Mutex::new(()));
            let holder = |waiter: TaskId| {
                let dump = roundel::dump();
                let found = dump.waits().find(|(task, _)| task.id == waiter);
                found.unwrap_or_else(|| panic!("{waiter} does not wait:\n{dump}")).1.holder
            };
            let guard = lock.lock().await;
            let wants = Rc::clone(&lock);
            let next = spawn(async move {
                let _guard = wants.lock().await;
                time::sleep(HOUR).await;
            });
            yield_now().await;
            let wants = Rc::clone(&lock);
            let last = spawn(async move { drop(wants.lock().await) });
            let id = last.id();
            yield_now().await;
            assert_eq!(holder(id), roundel::task::current());
            // No task has it between the release and the next poll.
            drop(guard);
            assert_eq!(holder(id), None);
            let spy = spawn(async move {
                time::sleep(Duration::from_secs(1)).await;
                (holder(id), roundel::dump())
            });
            last.await.unwrap();
            let (holder, dump) = spy.await.unwrap();
            assert_eq!(holder, Some(next.id()));
            // The root waited for the last one, which waited for the second one, and that slept.
            assert!(dump.cycles().is_empty(), "{dump}");
            assert!(!dump.to_string().contains("in a circle"), "{dump}");
        });
    }
}

/// A semaphore may have several holders, so none of them is named, and a task that waits for it is in no circle.
#[test]
fn a_semaphore_has_no_holder() {
    Runtime::builder().virtual_time(true).metrics(true).build().unwrap().block_on(async {
        let permits = Rc::new(Semaphore::new(2));
        let wants = Rc::clone(&permits);
        let _mine = (permits.acquire().await, permits.acquire().await);
        let waiter = spawn(async move { drop(wants.acquire().await) });
        settle().await;
        let dump = roundel::dump();
        let holders: Vec<_> = dump.waits().map(|(_, wait)| wait.holder).collect();
        assert_eq!(holders, [None], "{dump}");
        waiter.cancel();
    });
}

#[test]
fn waits_end_with_what_was_waited_for_and_with_a_dropped_future() {
    Runtime::builder().virtual_time(true).metrics(true).build().unwrap().block_on(async {
        let (sender, receiver) = bounded::<u32>(1);
        let task = spawn_named("task", async move {
            let first = receiver.recv().await;
            let late = time::timeout(Duration::from_secs(1), receiver.recv()).await;
            let never = spawn(std::future::pending::<()>());
            never.await.ok();
            (first, late.is_err())
        });
        let now = || of(&roundel::dump(), "task").1;
        settle().await;
        assert!(now().len() == 1 && now()[0].starts_with("channel "), "{:?}", now());
        sender.send(1).await.unwrap();
        settle().await;
        // The next message, or the timeout.
        assert!(now().len() == 2 && now().iter().any(|wait| wait.starts_with("timer (")), "{:?}", now());
        time::sleep(Duration::from_secs(2)).await;
        assert!(now().len() == 1 && now()[0].starts_with("task #"), "{:?}", now());
        task.cancel();
    });
}

/// Code that implements `poll` has no future that could tell of the end of a wait. The report of the source does.
#[test]
fn a_wait_without_a_future_ends_with_the_report() {
    Runtime::builder().virtual_time(true).metrics(true).build().unwrap().block_on(async {
        let (source, theirs) = unix();
        let task = spawn_named("task", async move {
            let mut byte = [0];
            let read = poll_fn(|cx| source.poll_io(cx, Direction::Read, |mut stream| stream.read(&mut byte)));
            assert_eq!(read.await.unwrap(), 1);
            std::future::pending::<()>().await;
        });
        settle().await;
        let waits = of(&roundel::dump(), "task").1;
        assert!(waits.len() == 1 && waits[0].ends_with(", to read"), "{waits:?}");
        (&theirs).write_all(b"x").unwrap();
        // The loop looks at the kernel before time passes.
        time::sleep(Duration::from_millis(1)).await;
        assert_eq!(of(&roundel::dump(), "task").1, [""; 0]);
        assert_eq!(roundel::metrics().counts.unwrap().wakes_by_sources, 1);
        task.cancel();
    });
}

/// A future that another task drops ends its wait there, although that task has never waited.
#[test]
fn a_wait_that_is_ended_by_another_task_is_not_shown_any_more() {
    Runtime::builder().virtual_time(true).metrics(true).build().unwrap().block_on(async {
        let (_sender, receiver) = oneshot::<u32>();
        let (give, take) = oneshot();
        let giver = spawn_named("giver", async move {
            let mut receiver = Box::pin(receiver);
            roundel::group::select! {
                _ = &mut receiver => {}
                () = time::sleep(Duration::from_secs(1)) => {}
            }
            give.send(receiver).ok();
            std::future::pending::<()>().await;
        });
        settle().await;
        assert!(of(&roundel::dump(), "giver").1.iter().any(|wait| wait.starts_with("oneshot ")));
        let taker = spawn_named("taker", async move { drop(take.await) });
        taker.await.unwrap();
        assert_eq!(of(&roundel::dump(), "giver").1, [""; 0]);
        giver.cancel();
    });
}

#[test]
fn a_task_that_waits_for_very_much_shows_the_first_waits() {
    Runtime::builder().virtual_time(true).metrics(true).build().unwrap().block_on(async {
        let tasks: Vec<_> = (0..1000).map(|_| spawn(time::sleep(HOUR))).collect();
        let all = spawn_named("all", async move { roundel::group::gather(tasks).await.len() });
        settle().await;
        let dump = roundel::dump();
        let task = dump.tasks().iter().find(|task| task.id == all.id()).unwrap();
        assert_eq!((task.waits.len(), task.has_more_waits), (16, true));
        assert_eq!(all.await.unwrap(), 1000);
        assert_eq!(roundel::dump().tasks().len(), 1);
    });
}

#[test]
fn a_cancelled_task_is_shown_as_its_cleanup() {
    Runtime::builder().virtual_time(true).metrics(true).build().unwrap().block_on(async {
        let body = with_cleanup(std::future::pending::<()>(), || time::sleep(HOUR));
        let task = spawn_named("task", body);
        settle().await;
        task.cancel();
        settle().await;
        let (state, waits) = of(&roundel::dump(), "task");
        assert!(state == TaskState::Cleanup && waits[0].starts_with("timer ("), "{state} {waits:?}");
        task.cancel();
    });
}

/// Tasks that each have one lock and want the next one.
fn ring(size: usize) -> Vec<roundel::TaskId> {
    let locks: Vec<_> = (0..size).map(|_| Rc::new(Mutex::new(()))).collect();
    let task = |number: usize| {
        let (own, next) = (Rc::clone(&locks[number]), Rc::clone(&locks[(number + 1) % size]));
        let task = spawn(async move {
            let _own = own.lock().await;
            yield_now().await;
            let _next = next.lock().await;
        });
        let id = task.id();
        task.detach();
        id
    };
    (0..size).map(task).collect()
}

#[test]
fn circles_are_found_and_nothing_else_is_called_one() {
    Runtime::builder().virtual_time(true).metrics(true).build().unwrap().block_on(async {
        let rings: Vec<Vec<_>> = [1, 2, 5].into_iter().map(ring).collect();
        // A tail that waits for a ring; a chain; a timeout that will break its circle; a semaphore, whose holders are many.
        let lock = Rc::new(Mutex::new(()));
        let tail = lock.clone();
        spawn(async move {
            let _guard = tail.lock().await;
            time::timeout(HOUR, tail.lock()).await.is_err()
        })
        .detach();
        spawn(async move { drop(lock.lock().await) }).detach();
        let permits = Rc::new(Semaphore::new(1));
        for _ in 0..2 {
            let permits = permits.clone();
            spawn(async move {
                let _permit = permits.acquire().await;
                std::future::pending::<()>().await;
            })
            .detach();
        }
        settle().await;
        let dump = roundel::dump();
        let mut cycles = dump.cycles();
        cycles.sort_by_key(Vec::len);
        assert_eq!(cycles, rings, "{dump}");
        let text = dump.to_string();
        assert_eq!(text.matches("in a circle: ").count(), 3, "{text}");
        let [a, b] = rings[1][..] else { panic!() };
        assert!(text.contains(&format!("in a circle: {a} waits for {b} waits for {a}")), "{text}");
    });
}

#[test]
fn the_text_has_as_many_tasks_as_are_asked_for() {
    Runtime::builder().virtual_time(true).build().unwrap().block_on(async {
        (0..10).for_each(|_| spawn(std::future::pending::<()>()).detach());
        let dump = roundel::dump();
        let text = format!("{dump:.3}");
        assert!(text.starts_with("11 tasks") && text.contains("… and 8 more"), "{text}");
        assert_eq!(text.lines().filter(|line| line.trim().starts_with('#')).count(), 3, "{text}");
        assert!(!dump.to_string().contains("more"), "{dump}");
    });
    assert_eq!(roundel::dump().to_string(), "no loop runs on this thread");
}

/// Two loops by turns on one thread, and a handle that outlives its loop.
#[test]
fn each_loop_is_asked_about_its_own_tasks() {
    let [one, other] = [(); 2].map(|()| Runtime::builder().metrics(true).build().unwrap());
    let mut handle = None;
    one.block_on(async { handle = Some(spawn_named("one", std::future::pending::<()>())) });
    other.block_on(async { spawn_named("other", std::future::pending::<()>()).detach() });
    let names = |runtime: &Runtime| {
        let dump = runtime.block_on(async { roundel::dump() });
        dump.tasks().iter().filter_map(|task| task.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!((names(&one), names(&other)), (vec!["one".into()], vec!["other".into()]));
    assert_eq!((one.metrics().tasks, other.metrics().tasks), (1, 1));
    drop(one);
    drop(handle);
    assert_eq!(names(&other), ["other"]);
}
