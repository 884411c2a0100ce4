//! Threads at the shutdown: cleanups may use them, jobs may call back into the loop, and the shutdown waits for none of
//! them longer than its timeout.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use roundel::blocking::unblock;
use roundel::cancel::with_cleanup;
use roundel::{remote, yield_now};

use super::*;

#[test]
fn hazard_61_a_cleanup_at_the_shutdown_may_use_threads() {
    let _watchdog = common::watchdog();
    for virtual_time in [false, true] {
        for used_before in [false, true] {
            // Virtual time stands still while the thread works. By the real clock, it may be held up.
            let grace = if virtual_time { millis(1) } else { Duration::MAX };
            let written = Arc::new(Mutex::new(None));
            let runtime = patient(Runtime::builder().virtual_time(virtual_time).max_blocking_threads(1));
            runtime.block_on(async {
                if used_before {
                    unblock(|| ()).await.unwrap();
                }
                let written = written.clone();
                let cleanup = async move || {
                    unblock(move || {
                        std::thread::sleep(millis(5));
                        *written.lock().unwrap() = Some("a file");
                    })
                    .await
                    .unwrap();
                };
                spawn(with_cleanup(pending::<()>(), cleanup).grace(grace)).detach();
                yield_now().await;
            });
            drop(runtime);
            assert_eq!(*written.lock().unwrap(), Some("a file"), "virtual time: {virtual_time}");
        }
    }
}

#[test]
fn jobs_that_have_not_started_do_not_hold_up_a_cleanup() {
    let _watchdog = common::watchdog();
    let (ran, (open, gate)) = (Arc::new(Mutex::new(Vec::new())), mpsc::channel::<()>());
    let runtime = patient(Runtime::builder().max_blocking_threads(1));
    let (begun, has_begun) = mpsc::channel();
    runtime.block_on(async {
        unblock(move || {
            begun.send(()).unwrap();
            gate.recv()
        })
        .detach();
        has_begun.recv().unwrap();
        for _ in 0..10 {
            let ran = ran.clone();
            unblock(move || ran.lock().unwrap().push("a job that had not started")).detach();
        }
        let ran = ran.clone();
        let cleanup = async move || unblock(move || ran.lock().unwrap().push("the cleanup")).await.unwrap();
        let mut open = Some(open);
        spawn(with_cleanup(pending::<()>(), cleanup).grace(Duration::MAX)).detach();
        spawn_with_last_word(move || drop(open.take())).detach();
        yield_now().await;
    });
    drop(runtime);
    assert_eq!(*ran.lock().unwrap(), ["the cleanup"]);
}

#[test]
fn a_cleanup_whose_job_does_not_end_has_the_shutdown_timeout_on_virtual_time_too() {
    alone("threads::a_cleanup_whose_job_does_not_end_has_the_shutdown_timeout_on_virtual_time_too", || {
        let _watchdog = common::watchdog();
        let (open, gate) = mpsc::channel::<()>();
        let builder = Runtime::builder().virtual_time(true).shutdown_timeout(millis(50));
        let runtime = builder.build().unwrap();
        runtime.block_on(async {
            let cleanup = async move || {
                let _ = unblock(move || gate.recv()).await;
            };
            spawn(with_cleanup(pending::<()>(), cleanup)).detach();
            yield_now().await;
        });
        drop(runtime);
        drop(open);
    });
}

#[test]
fn hazard_48_a_job_that_calls_back_into_its_loop_does_not_hold_the_shutdown() {
    alone("threads::hazard_48_a_job_that_calls_back_into_its_loop_does_not_hold_the_shutdown", || {
        let _watchdog = common::watchdog();
        let (answer, answered) = mpsc::channel();
        let runtime = patient(Runtime::builder());
        runtime.block_on(async {
            let (remote, (begun, has_begun)) = (remote(), mpsc::channel());
            unblock(move || {
                begun.send(()).unwrap();
                let called = remote.spawn(pending::<()>).wait();
                answer.send(called.unwrap_err().to_string()).unwrap();
            })
            .detach();
            has_begun.recv().unwrap();
        });
        drop(runtime);
        let words = answered.recv().unwrap();
        assert!(words.ends_with("was cancelled") || words.contains("the runtime was gone"), "{words}");
    });
}

type Slow = OnDrop<Box<dyn FnMut()>>;

thread_local! {
    static SLOW: RefCell<Option<Slow>> = const { RefCell::new(None) };
}

#[test]
fn a_slow_destructor_of_a_thread_local_does_not_hold_the_shutdown() {
    alone("threads::a_slow_destructor_of_a_thread_local_does_not_hold_the_shutdown", || {
        let _watchdog = common::watchdog();
        let (open, gate) = mpsc::channel::<()>();
        let runtime = Runtime::builder().shutdown_timeout(millis(50)).build().unwrap();
        runtime.block_on(async {
            unblock(move || {
                let wait: Box<dyn FnMut()> = Box::new(move || {
                    let _ = gate.recv();
                });
                SLOW.set(Some(OnDrop(wait)));
            })
            .await
            .unwrap();
        });
        drop(runtime);
        drop(open);
    });
}

#[test]
fn hazard_61_a_cleanup_at_the_shutdown_may_use_its_own_loop_from_a_thread() {
    let _watchdog = common::watchdog();
    for virtual_time in [false, true] {
        let log = Log::default();
        let runtime = patient(Runtime::builder().virtual_time(virtual_time));
        runtime.block_on(async {
            let (log, remote) = (log.clone(), remote());
            let cleanup = async move || {
                let job = unblock(move || remote.spawn(|| async { 6 * 7 }).wait());
                assert_eq!(job.await.unwrap().unwrap(), 42);
                note(&log, "done");
            };
            spawn(with_cleanup(pending::<()>(), cleanup).grace(Duration::MAX)).detach();
            yield_now().await;
        });
        drop(runtime);
        assert_eq!(*log.borrow(), ["done"]);
    }
}

#[test]
fn work_that_other_threads_send_does_not_hold_the_shutdown() {
    let _watchdog = common::watchdog();
    let runtime = patient(Runtime::builder());
    let remote = runtime.remote();
    // This one was sent before the shutdown, and has not begun.
    let before = remote.spawn(pending::<()>);
    let (answer, answered) = mpsc::channel();
    runtime.block_on(async {
        let remote = remote.clone();
        // This one is sent while the shutdown waits for a cleanup.
        let cleanup = async move || {
            let (sent, is_sent) = mpsc::channel();
            unblock(move || {
                let during = remote.spawn(pending::<()>);
                sent.send(()).unwrap();
                answer.send(during.wait().unwrap_err().is_cancelled()).unwrap();
            })
            .detach();
            unblock(move || is_sent.recv().unwrap()).await.unwrap();
            yield_now().await;
        };
        spawn(with_cleanup(pending::<()>(), cleanup).grace(Duration::MAX)).detach();
        yield_now().await;
    });
    let late = remote.spawn(pending::<()>);
    drop(runtime);
    assert!(before.wait().unwrap_err().is_cancelled());
    assert!(late.wait().unwrap_err().is_cancelled());
    assert!(answered.recv().unwrap());
}
