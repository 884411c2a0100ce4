//! The shutdown of a runtime: the order in which it drops things, and that nothing is left.

use std::cell::Cell;
use std::task::Poll;

use roundel::cancel::with_cleanup;
use roundel::{remote, task, time, yield_now};
#[allow(unused_imports)] // With `diagnostics`, a builder has its methods itself.
use testkit::Unwatched;

use super::*;

#[test]
fn hazard_61_what_a_destructor_spawns_into_any_slot_may_run() {
    let log = Log::default();
    let runtime = patient(Runtime::builder().virtual_time(true));
    runtime.block_on(async {
        let theirs = log.clone();
        // The task that says goodbye takes the first slots. Higher ones become vacant.
        spawn_with_last_word(move || {
            for _ in 0..3 {
                let log = theirs.clone();
                spawn(async move { note(&log, "good-bye") }).detach();
            }
        })
        .detach();
        let others: Vec<_> = (0..8).map(|_| spawn(async {})).collect();
        for other in others {
            other.await.unwrap();
        }
    });
    drop(runtime);
    assert_eq!(*log.borrow(), ["good-bye"; 3]);
}

/// A value whose drop can be seen from outside.
fn tokens(n: usize) -> (Rc<()>, Vec<Rc<()>>) {
    let alive = Rc::new(());
    let tokens = (0..n).map(|_| alive.clone()).collect();
    (alive, tokens)
}

/// An output that may hold anything.
type Anything = Rc<RefCell<Vec<Box<dyn std::any::Any>>>>;

#[test]
fn hazard_08_outputs_that_hold_their_own_handle_are_dropped_with_the_runtime() {
    let (alive, mut tokens) = tokens(4);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        // A task whose output is its own handle.
        let own = Anything::default();
        own.borrow_mut().push(Box::new(tokens.pop()));
        let theirs = own.clone();
        let handle = spawn(async move { theirs });
        own.borrow_mut().push(Box::new(handle));
        // Two tasks whose outputs are each other's handles.
        let (one, two) = (Anything::default(), Anything::default());
        for (mine, other) in [(&one, &two), (&two, &one)] {
            mine.borrow_mut().push(Box::new(tokens.pop()));
            let output = mine.clone();
            other.borrow_mut().push(Box::new(spawn(async move { output })));
        }
        // A sleep and a source, as well as its own handle.
        let own = Anything::default();
        own.borrow_mut().push(Box::new(tokens.pop()));
        own.borrow_mut().push(Box::new(time::sleep(seconds(1))));
        #[cfg(not(miri))]
        own.borrow_mut()
            .push(Box::new(roundel::source::Source::new(mio::net::UnixStream::pair().unwrap().0).unwrap()));
        let theirs = own.clone();
        let handle = spawn(async move { theirs });
        own.borrow_mut().push(Box::new(handle));
        yield_now().await;
        yield_now().await;
    });
    assert_eq!(Rc::strong_count(&alive), 5);
    drop(runtime);
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn an_output_that_was_not_fetched_is_dropped_inside_its_loop_and_its_handle_says_so() {
    let log = Log::default();
    let runtime = Runtime::new().unwrap();
    let (handle, panicked) = runtime.block_on(async {
        let log = log.clone();
        let output = OnDrop(move || note(&log, if task::current().is_some() { "inside" } else { "outside" }));
        let handle = spawn(async { output });
        let panicked = spawn(async { panic!("kept") });
        yield_now().await;
        (handle, panicked)
    });
    drop(runtime);
    assert_eq!(*log.borrow(), ["inside"]);
    assert!(handle.is_finished());
    let other = Runtime::new().unwrap();
    let words = other.block_on(handle).err().unwrap().to_string();
    assert!(
        words.ends_with(" returned, but its runtime was dropped before its output was fetched"),
        "{words}"
    );
    let words = other.block_on(panicked).unwrap_err().to_string();
    assert!(words.ends_with("panicked: kept"), "{words}");
}

#[test]
fn a_main_future_is_dropped_inside_its_loop() {
    // One task has returned, one was cut by its timeout, and one has panicked.
    for way in 0..3 {
        let log = Log::default();
        let runtime = patient(Runtime::builder().virtual_time(true));
        let cleanup = {
            let log = log.clone();
            async move || note(&log, "clean")
        };
        let body =
            std::future::poll_fn(move |_| if way == 2 { panic!("the body") } else { Poll::<()>::Pending });
        let mut session = Box::pin(with_cleanup(body, cleanup));
        let main = std::future::poll_fn(move |cx| {
            let polled = session.as_mut().poll(cx);
            if way == 0 { Poll::Ready(()) } else { polled }
        });
        let run = || match way {
            1 => {
                let timeout = runtime.block_on(async { time::timeout(seconds(1), main) });
                assert!(runtime.block_on(timeout).is_err());
            }
            _ => runtime.block_on(main),
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        assert_eq!(result.is_err(), way == 2);
        drop(runtime);
        assert_eq!(*log.borrow(), ["clean"], "way {way}");
    }
}

#[test]
fn a_runtime_that_is_dropped_inside_another_loop_does_not_stall_it() {
    alone("shutdown::a_runtime_that_is_dropped_inside_another_loop_does_not_stall_it", || {
        let _watchdog = common::watchdog();
        let log = Log::default();
        let inner = patient(Runtime::builder());
        let (gate, opened) = std::sync::mpsc::channel::<()>();
        inner.block_on(async {
            // A cleanup that need not wait is done. One that has to wait is dropped.
            for wait in [Duration::ZERO, seconds(3600)] {
                let (log, dropped) = (log.clone(), log.clone());
                let guard = OnDrop(move || note(&dropped, "dropped"));
                let cleanup = async move || {
                    let _guard = guard;
                    yield_now().await;
                    if !wait.is_zero() {
                        time::sleep(wait).await;
                    }
                    note(&log, "done");
                };
                spawn(with_cleanup(pending::<()>(), cleanup).grace(Duration::MAX)).detach();
            }
            // A cleanup that would never end, and a job that does not end.
            spawn_with_last_word(|| {
                spawn(async {
                    loop {
                        yield_now().await;
                    }
                })
                .detach();
            })
            .detach();
            roundel::blocking::unblock(move || opened.recv()).detach();
            yield_now().await;
        });
        Runtime::new().unwrap().block_on(async { drop(inner) });
        drop(gate);
        assert_eq!(*log.borrow(), ["done", "dropped", "dropped"]);
    });
}

#[test]
fn a_task_that_holds_the_last_of_its_runtime_ends_it_inside_the_loop() {
    let _watchdog = common::watchdog();
    for detached in [false, true] {
        let log = Log::default();
        let runtime = Rc::new(patient(Runtime::builder().virtual_time(true)));
        let handle = runtime.block_on(async {
            let (own, log) = (runtime.clone(), log.clone());
            let theirs = log.clone();
            let first = spawn_with_last_word(move || {
                let log = theirs.clone();
                note(&log, "other dropped");
                spawn(async move {
                    time::sleep(seconds(1)).await;
                    note(&log, "said good-bye");
                })
                .detach();
            });
            first.detach();
            let handle: JoinHandle<Option<Rc<Runtime>>> = spawn(async move {
                if !detached {
                    pending::<()>().await;
                }
                Some(own)
            });
            yield_now().await;
            handle
        });
        drop(runtime);
        if detached {
            drop(handle);
        } else {
            handle.cancel();
            assert!(handle.is_finished());
        }
        note(&log, "over");
        assert_eq!(*log.borrow(), ["other dropped", "said good-bye", "over"], "detached: {detached}");
    }
}

#[test]
fn a_last_wish_that_never_ends_has_the_shutdown_timeout_on_virtual_time_too() {
    alone("shutdown::a_last_wish_that_never_ends_has_the_shutdown_timeout_on_virtual_time_too", || {
        let _watchdog = common::watchdog();
        let builder = Runtime::builder().virtual_time(true);
        let runtime = builder.shutdown_timeout(millis(10)).build().unwrap();
        runtime.block_on(async {
            spawn_with_last_word(|| {
                spawn(async {
                    loop {
                        yield_now().await;
                    }
                })
                .detach();
            })
            .detach();
            yield_now().await;
        });
        drop(runtime);
    });
}

/// When it is dropped, it notes whether that is inside its loop. Then it spawns a task with another value of this kind,
/// `left` times in all.
struct SpawnsNext {
    log: Log,
    left: u32,
}

impl Drop for SpawnsNext {
    fn drop(&mut self) {
        note(&self.log, if task::current().is_some() { "inside" } else { "outside" });
        if self.left > 0 {
            let next = SpawnsNext { log: self.log.clone(), left: self.left - 1 };
            spawn(async move {
                let _next = next;
                pending::<()>().await;
            })
            .detach();
        }
    }
}

/// How many tasks that destructors spawn one after the other are dropped inside their loop.
fn dropped_inside(generations: u32, timeout: Duration, is_watched: bool) -> usize {
    let log = Log::default();
    let builder = Runtime::builder().virtual_time(true).detect_deadlocks(is_watched);
    let runtime = builder.shutdown_timeout(timeout).build().unwrap();
    let first = SpawnsNext { log: log.clone(), left: generations };
    runtime.block_on(async {
        spawn(async move {
            let _first = first;
            pending::<()>().await;
        })
        .detach();
        yield_now().await;
    });
    drop(runtime);
    assert_eq!(log.borrow().len(), generations as usize + 1, "each is dropped once");
    log.borrow().iter().filter(|place| **place == "inside").count()
}

/// The memory of a task that the shutdown forgot would be freed later, and its destructor would find no loop.
#[test]
fn what_does_not_end_in_time_is_dropped_inside_its_loop() {
    assert_eq!([true, false].map(|is_watched| dropped_inside(1, seconds(5), is_watched)), [2, 2]);
}

#[test]
fn what_is_spawned_after_the_end_is_dropped_inside_its_loop() {
    assert_eq!([true, false].map(|is_watched| dropped_inside(5, Duration::ZERO, is_watched)), [6, 6]);
}

#[test]
fn a_remote_handle_is_answered_when_its_task_is_over() {
    let _watchdog = common::watchdog();
    let log = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let runtime = patient(Runtime::builder().virtual_time(true));
    let handle = runtime.block_on(async {
        let log = log.clone();
        let handle = remote().spawn(move || {
            with_cleanup(pending::<()>(), async move || {
                time::sleep(millis(300)).await;
                log.lock().unwrap().push("clean");
            })
        });
        time::sleep(millis(1)).await;
        handle
    });
    // The destructor of another task spawns a task that asks for it, in the middle of the cleanup.
    let (handle, theirs) = (Rc::new(handle), log.clone());
    runtime.block_on(async {
        let handle = handle.clone();
        spawn_with_last_word(move || {
            let (handle, log) = (handle.clone(), theirs.clone());
            spawn(async move {
                time::sleep(millis(200)).await;
                log.lock().unwrap().push(if handle.is_finished() { "answered" } else { "not yet" });
            })
            .detach();
        })
        .detach();
        yield_now().await;
    });
    drop(runtime);
    assert_eq!(*log.lock().unwrap(), ["not yet", "clean"]);
    assert!(Rc::into_inner(handle).unwrap().wait().unwrap_err().is_cancelled());
}

#[test]
fn a_remote_handle_is_answered_after_the_future_is_dropped() {
    let dropped = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let theirs = dropped.clone();
    roundel::run(async {
        let task = Rc::new(Cell::new(false));
        let seen = task.clone();
        let handle = remote().spawn(move || {
            let guard = OnDrop(move || theirs.store(true, std::sync::atomic::Ordering::SeqCst));
            std::future::poll_fn(move |_| {
                let _guard = &guard;
                Poll::Ready(())
            })
        });
        handle.await.unwrap();
        seen.set(dropped.load(std::sync::atomic::Ordering::SeqCst));
        assert!(task.get());
    });
}
