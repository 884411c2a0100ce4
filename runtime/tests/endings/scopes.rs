//! A scope is over only when its children are over and the cleanups that they left are done.

use roundel::cancel::with_cleanup;
use roundel::group::{self, Scope, ScopedHandle, TryScope};
use roundel::time;

use super::*;

/// A child that waits for ever, and whose cleanup takes three seconds.
async fn tidy(log: &Log) {
    let log = log.clone();
    let cleanup = async move || {
        time::sleep(seconds(3)).await;
        note(&log, "clean");
    };
    with_cleanup(pending::<()>(), cleanup).await;
}

#[test]
fn a_scope_waits_for_the_cleanups_of_children_that_are_cancelled() {
    for all in [false, true] {
        virtual_runtime().block_on(async {
            let (log, start) = (Log::default(), time::now());
            group::scope(async |s: &Scope<'_>| {
                let child = s.spawn(tidy(&log));
                time::sleep(millis(1)).await;
                if all {
                    s.cancel();
                } else {
                    child.cancel();
                }
                assert!(child.await.unwrap_err().is_cancelled());
                note(&log, "answered");
            })
            .await;
            note(&log, "over");
            assert_eq!(log.borrow().iter().filter(|word| **word != "answered").count(), 2);
            assert_eq!(log.borrow().last(), Some(&"over"), "all: {all}");
            assert_eq!(time::now() - start, seconds(3) + millis(1));
            assert_eq!(roundel::task::count(), 1);
        });
    }
}

#[test]
fn a_child_that_is_cancelled_is_over_when_its_cleanup_is() {
    virtual_runtime().block_on(async {
        let log = Log::default();
        group::scope(async |s: &Scope<'_>| {
            let child = s.spawn(tidy(&log));
            time::sleep(millis(1)).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            assert_eq!(*log.borrow(), ["clean"]);
        })
        .await;
    });
}

#[test]
fn a_scope_that_fails_waits_for_the_cleanups_of_those_it_drops() {
    virtual_runtime().block_on(async {
        let (log, start) = (Log::default(), time::now());
        let result = group::try_scope(async |s: &TryScope<'_, &str>| {
            for _ in 0..2 {
                let log = &log;
                drop(s.spawn(async move {
                    tidy(log).await;
                    Ok(())
                }));
            }
            time::sleep(millis(1)).await;
            Err::<(), _>("failed")
        })
        .await;
        assert_eq!(result.unwrap_err().errors(), ["failed"]);
        assert_eq!(*log.borrow(), ["clean", "clean"]);
        assert_eq!(time::now() - start, seconds(6) + millis(1), "one after the other, as in a task");
    });
    // The same with a panic, which is passed on when all is done.
    virtual_runtime().block_on(async {
        let log = Log::default();
        let theirs = log.clone();
        let task = spawn(async move {
            let log = theirs;
            group::scope(async |s: &Scope<'_>| {
                drop(s.spawn(tidy(&log)));
                time::sleep(millis(1)).await;
                panic!("the body");
            })
            .await;
        });
        assert!(task.await.unwrap_err().to_string().ends_with("panicked: the body"));
        assert_eq!(*log.borrow(), ["clean"]);
    });
}

#[test]
fn a_scope_that_is_dropped_leaves_its_cleanups_to_its_task() {
    virtual_runtime().block_on(async {
        // It is cancelled in the body, and then while it waits for the cleanups of children that it has dropped.
        for delay in [0, 2] {
            let (log, start) = (Log::default(), time::now());
            let theirs = log.clone();
            let task = spawn(async move {
                let log = theirs;
                let _ = group::try_scope(async |s: &TryScope<'_, ()>| {
                    drop(s.spawn(async {
                        tidy(&log).await;
                        Ok(())
                    }));
                    time::sleep(seconds(1)).await;
                    Err::<(), _>(())
                })
                .await;
            });
            time::sleep(millis(500) + seconds(delay)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(*log.borrow(), ["clean"]);
            assert!(time::now() - start < seconds(5), "it goes on from where it was");
        }
    });
}

/// An output that holds the handle of a child whose output holds the handle of a child…
struct Link(#[expect(dead_code, reason = "it is there to be dropped")] Option<ScopedHandle<Link>>);

#[test]
fn hazard_15_outputs_that_hold_the_next_scoped_handle() {
    alone("scopes::hazard_15_outputs_that_hold_the_next_scoped_handle", || {
        let links = if cfg!(miri) { 300 } else { 200_000 };
        for keep in [false, true] {
            std::thread::Builder::new()
                .stack_size(if cfg!(miri) { 8 << 20 } else { 128 << 10 })
                .spawn(move || {
                    roundel::run(group::scope(async |s: &Scope<'_>| {
                        let mut first = None;
                        for _ in 0..links {
                            let next = first;
                            first = Some(s.spawn(async move { Link(next) }));
                        }
                        time::sleep(millis(1)).await;
                        // The handle is dropped when all are over, or its output is fetched, or the body's end drops
                        // it.
                        if keep {
                            drop(first.take().unwrap().await.unwrap());
                        }
                    }));
                })
                .unwrap()
                .join()
                .unwrap();
        }
    });
}
