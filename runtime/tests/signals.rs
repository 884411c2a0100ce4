//! Signals reach all listeners, and nothing else (hazard 47).
//!
//! Signals concern a whole process, so each test runs in a separate process. Only a child of the test is killed by a
//! signal.

#![forbid(unsafe_code)]
#![cfg(all(target_os = "linux", not(miri), feature = "signal"))]

mod common;

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::process::{Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use roundel::signal::{self, Signals};
use roundel::{Runtime, spawn, time, yield_now};
use rustix::process::{Pid, Signal, kill_process};

use common::{alone, is_alone, really, rerun, settle, watchdog, watchdog_of};

/// Sends a signal to this very thread. When this returns, the handler has run. (Another thread may handle a `kill`,
/// later.)
fn raise(signal: i32) {
    signal_hook::low_level::raise(signal).unwrap();
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Whether a future is `Pending` now.
async fn is_pending(future: impl Future) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[test]
fn row_22_each_kind_of_listener_hears() {
    alone("row_22_each_kind_of_listener_hears", || {
        really(async |_| {
            let (ctrl_c, terminate) = (signal::ctrl_c(), signal::terminate());
            let mut signals = Signals::new([signal::USR1, signal::WINCH, signal::USR1]).unwrap();
            assert_eq!(format!("{signals:?}"), "Signals([10, 28])");
            for (raised, heard) in [(signal::INT, signal::INT), (signal::TERM, signal::TERM)] {
                let shutdown = signal::shutdown();
                raise(raised);
                assert_eq!(shutdown.await, heard);
            }
            // They have listened since they were created, and not only since their first poll.
            ctrl_c.await;
            terminate.await;
            raise(signal::WINCH);
            assert_eq!(signals.recv().await, signal::WINCH);
            raise(signal::USR1);
            assert_eq!(signals.next().await, Some(signal::USR1));
            raise(signal::USR1);
            let next = poll_fn(|cx| Pin::new(&mut signals).poll_next(cx)).await;
            assert_eq!(next, Some(signal::USR1));
            assert!(is_pending(signals.recv()).await);
        });
    });
}

#[test]
fn hazard_47_a_signal_right_after_the_call_is_heard() {
    alone("hazard_47_a_signal_right_after_the_call_is_heard", || {
        really(async |_| {
            for _ in 0..200 {
                let mut signals = Signals::new([signal::USR1]).unwrap();
                raise(signal::USR1);
                assert_eq!(signals.recv().await, signal::USR1);
                let mut next = pin!(signals.recv());
                assert!(is_pending(&mut next).await);
                raise(signal::USR1);
                assert_eq!(next.await, signal::USR1, "while it is waited for");
            }
        });
    });
}

#[test]
fn hazard_47_signals_of_one_kind_run_together_and_none_is_the_last_for_nothing() {
    alone("hazard_47_signals_of_one_kind_run_together_and_none_is_the_last_for_nothing", || {
        really(async |_| {
            let mut signals = Signals::new([signal::USR1, signal::USR2]).unwrap();
            for _ in 0..1_000 {
                raise(signal::USR1);
            }
            raise(signal::USR2);
            let (first, second) = (signals.recv().await, signals.recv().await);
            assert_eq!((first, second), (signal::USR1, signal::USR2), "each of them once");
            assert!(is_pending(signals.recv()).await);
            raise(signal::USR1);
            raise(signal::USR2);
            assert_eq!(signals.recv().await, signal::USR1);
            raise(signal::USR1);
            assert_eq!(signals.recv().await, signal::USR2, "one that comes all the time hides no other");
            assert_eq!(signals.recv().await, signal::USR1);
            assert!(is_pending(signals.recv()).await);
        });
    });
}

/// The socket of a listener holds a few hundred bytes. When it is full, it must neither block the handler nor hide
/// later signals.
#[test]
fn hazard_47_a_flood_from_another_process() {
    const COUNT: usize = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
    alone("hazard_47_a_flood_from_another_process", || {
        let _watchdog = watchdog_of(Duration::from_secs(600));
        roundel::run(async {
            let mut usr1 = Signals::new([signal::USR1]).unwrap();
            let mut usr2 = Signals::new([signal::USR2]).unwrap();
            // This listener is not read until the end, so its socket fills up.
            let mut sleepy = Signals::new([signal::USR1, signal::USR2]).unwrap();
            let script = format!(
                "i=0; while [ $i -lt {COUNT} ]; do kill -USR1 $1 || exit 1; i=$((i+1)); done; kill -USR2 $1"
            );
            let own = std::process::id().to_string();
            let mut sender = Command::new("sh").args(["-c", &script, "sh", &own]).spawn().unwrap();
            let heard = Rc::new(Cell::new(0));
            let count = Rc::clone(&heard);
            let counter = spawn(async move {
                loop {
                    usr1.recv().await;
                    count.set(count.get() + 1);
                }
            });
            assert_eq!(usr2.recv().await, signal::USR2, "the last one is heard, so all were sent");
            assert!(sender.wait().unwrap().success());
            settle().await;
            assert!((1..=COUNT).contains(&heard.get()), "{} of {COUNT}", heard.get());
            assert_eq!(sleepy.recv().await, signal::USR1);
            assert_eq!(sleepy.recv().await, signal::USR2);
            counter.cancel();
        });
    });
}

#[test]
fn hazard_47_several_listeners_in_several_loops() {
    alone("hazard_47_several_listeners_in_several_loops", || {
        let _watchdog = watchdog();
        let (ready, go) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    roundel::run(async {
                        let mut one = Signals::new([signal::USR1]).unwrap();
                        let mut two = Signals::new([signal::USR1, signal::HUP]).unwrap();
                        ready.fetch_add(1, SeqCst);
                        assert_eq!(one.recv().await, signal::USR1);
                        assert_eq!(two.recv().await, signal::USR1);
                        // Not before: of two signals that are there at once, either may be the first to be returned.
                        go.fetch_add(1, SeqCst);
                        assert_eq!(two.recv().await, signal::HUP);
                    });
                });
            }
            let all = |count: &AtomicUsize| {
                while count.load(SeqCst) < 3 {
                    std::thread::yield_now();
                }
            };
            all(&ready);
            raise(signal::USR1);
            all(&go);
            raise(signal::HUP);
        });
    });
}

/// The other handler is one of `signal-hook`, too. The default must not happen when we have no listener.
#[test]
fn hazard_47_handlers_that_were_there_go_on() {
    alone("hazard_47_handlers_that_were_there_go_on", || {
        let _watchdog = watchdog();
        let came = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal::USR1, Arc::clone(&came)).unwrap();
        roundel::run(async {
            for _ in 0..3 {
                let mut signals = Signals::new([signal::USR1]).unwrap();
                raise(signal::USR1);
                assert_eq!(signals.recv().await, signal::USR1);
                assert!(came.swap(false, SeqCst));
            }
            raise(signal::USR1);
            while !came.swap(false, SeqCst) {
                yield_now().await; // It goes on without us, and we live.
            }
        });
    });
}

/// Runs the test `name` in a separate process, which `shell` starts and in which a signal has to kill it.
fn fate(name: &str, shell: &str) -> (ExitStatus, String) {
    // The program that started these tests may have ignored signals (`nohup`, or `&` in a script).
    let mut command = if cfg!(target_os = "linux") { Command::new("env") } else { Command::new("sh") };
    if cfg!(target_os = "linux") {
        command.args(["--default-signal", "sh"]);
    }
    rerun(command.args(["-c", shell, "sh"]), name);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

fn say(text: &str) {
    // Not with `println`, because a killed process would lose the end of its output.
    std::io::stdout().write_all(text.as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

#[test]
fn row_22_a_second_ctrl_c_ends_the_process() {
    const NAME: &str = "row_22_a_second_ctrl_c_ends_the_process";
    if !is_alone(NAME) {
        let (status, said) = fate(NAME, "exec \"$@\"");
        assert_eq!(status.signal(), Some(signal::INT), "{status}: {said}");
        assert!(said.ends_with("caught\ncleaning up\n"), "{said}");
        return;
    }
    let _watchdog = watchdog();
    roundel::run(async {
        let mut ctrl_c = pin!(signal::ctrl_c());
        raise(signal::INT);
        (&mut ctrl_c).await;
        say("caught\n");
        // Another kind of listener catches it, too.
        let mut other = Signals::new([signal::INT]).unwrap();
        raise(signal::INT);
        other.recv().await;
        drop(other);
        say("cleaning up\n");
        raise(signal::INT);
        pending::<()>().await;
    });
}

/// A service that is asked to end finishes what it has begun.
#[test]
fn row_22_three_workers_end_gracefully() {
    const NAME: &str = "row_22_three_workers_end_gracefully";
    if !is_alone(NAME) {
        for asked in [Signal::TERM, Signal::INT] {
            let mut command = Command::new("env");
            rerun(&mut command, NAME);
            let mut service = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut said = BufReader::new(service.stdout.take().unwrap()).lines().map(Result::unwrap);
            assert!(said.any(|line| line == "ready"));
            kill_process(Pid::from_child(&service), asked).unwrap();
            let mut said: Vec<String> = said.filter(|line| line.contains("Worker")).collect();
            said.sort();
            let expected = [0, 1, 2].map(|id| format!("Worker {id} shutting down gracefully: 10 of 10"));
            assert_eq!(said, expected);
            assert!(service.wait().unwrap().success());
        }
        return;
    }
    let _watchdog = watchdog();
    roundel::run(async {
        let asked = Rc::new(Cell::new(false));
        let work = |id| {
            let asked = Rc::clone(&asked);
            async move {
                let mut done = 0;
                while done == 0 || !asked.get() {
                    done = 0;
                    while done < 10 {
                        time::sleep(Duration::from_millis(1)).await;
                        done += 1;
                    }
                }
                say(&format!("Worker {id} shutting down gracefully: {done} of 10\n"));
            }
        };
        let workers = [0, 1, 2].map(|id| spawn(work(id)));
        let shutdown = signal::shutdown();
        say("\nready\n");
        shutdown.await;
        asked.set(true);
        for worker in workers {
            worker.await.unwrap();
        }
    });
}

#[test]
fn row_22_a_listener_that_was_never_awaited_leaves_the_default() {
    const NAME: &str = "row_22_a_listener_that_was_never_awaited_leaves_the_default";
    if !is_alone(NAME) {
        let (status, said) = fate(NAME, "exec \"$@\"");
        assert_eq!(status.signal(), Some(signal::TERM), "{status}: {said}");
        return;
    }
    let _watchdog = watchdog();
    roundel::run(async {
        drop(signal::shutdown());
        raise(signal::TERM);
        pending::<()>().await;
    });
}

/// The signal is ignored, as under `nohup`.
#[test]
fn hazard_47_what_was_ignored_stays_ignored() {
    const NAME: &str = "hazard_47_what_was_ignored_stays_ignored";
    if !is_alone(NAME) {
        let (status, said) = fate(NAME, "trap '' HUP; exec \"$@\"");
        assert!(status.success() && said.contains("1 passed"), "{status}: {said}");
        // Without the `trap` the signal is deadly, so this test can fail.
        let (status, said) = fate(NAME, "exec \"$@\"");
        assert_eq!(status.signal(), Some(signal::HUP), "{status}: {said}");
        return;
    }
    really(async |_| {
        let mut signals = Signals::new([signal::HUP]).unwrap();
        raise(signal::HUP);
        assert_eq!(signals.recv().await, signal::HUP);
        drop(signals);
        raise(signal::HUP);
        settle().await;
    });
}

/// Rust's runtime ignores `SIGPIPE`. It must be ignored again after we have listened to it.
#[test]
fn hazard_47_sigpipe_stays_harmless() {
    alone("hazard_47_sigpipe_stays_harmless", || {
        really(async |_| {
            drop(Signals::new([signal::PIPE]).unwrap());
            let (read, mut write) = std::io::pipe().unwrap();
            drop(read);
            assert_eq!(write.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
            drop(Signals::new([signal::CHLD, signal::WINCH]).unwrap());
            raise(signal::CHLD);
            raise(signal::WINCH);
        });
    });
}

/// No library knows the default of real-time signals. They end the process all the same.
#[test]
fn hazard_47_a_real_time_signal() {
    const NAME: &str = "hazard_47_a_real_time_signal";
    if !is_alone(NAME) {
        let (status, said) = fate(NAME, "exec \"$@\"");
        assert_eq!(status.code(), Some(128 + 40), "{status}: {said}");
        assert!(said.ends_with("heard\n"), "{said}");
        return;
    }
    let _watchdog = watchdog();
    let raise = || {
        let own = std::process::id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -40 $1", "sh", &own]).status().unwrap().success());
    };
    roundel::run(async {
        let mut signals = Signals::new([40]).unwrap();
        raise();
        assert_eq!(signals.recv().await, 40);
        say("heard\n");
        drop(signals);
        raise();
        pending::<()>().await;
    });
}

#[test]
fn what_cannot_be_heard_is_refused() {
    alone("what_cannot_be_heard_is_refused", || {
        really(async |_| {
            let before = descriptors();
            let mut texts = Vec::new();
            for numbers in [&[9][..], &[19], &[11], &[4], &[8], &[0], &[-1], &[127], &[1000], &[33], &[]] {
                let error =
                    Signals::new(numbers.iter().copied().chain(numbers.first().map(|_| 10))).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{numbers:?}: {error}");
                texts.push(error.to_string());
            }
            assert_eq!(texts[0], "SIGKILL (9) cannot be listened to: the system lets no process catch it");
            assert!(texts[2].starts_with("SIGSEGV (11) cannot be listened to: it says"), "{}", texts[2]);
            assert!(texts[7].starts_with("127 is not the number of a signal"), "{}", texts[7]);
            assert!(texts[9].starts_with("33 is not the number of a signal"), "{}", texts[9]);
            assert!(texts[10].contains("name one"), "{}", texts[10]);
            assert_eq!(descriptors(), before);
        });
        let outside = catch_unwind(AssertUnwindSafe(signal::ctrl_c)).unwrap_err();
        let message = outside.downcast_ref::<String>().unwrap();
        assert!(message.starts_with("`signal::ctrl_c` was called outside a roundel loop"), "{message}");
    });
}

/// If one signal in the middle is refused, the signals before it are as they were.
#[test]
fn hazard_47_a_refused_list_leaves_the_default() {
    const NAME: &str = "hazard_47_a_refused_list_leaves_the_default";
    if !is_alone(NAME) {
        let (status, said) = fate(NAME, "exec \"$@\"");
        assert_eq!(status.signal(), Some(signal::USR1), "{status}: {said}");
        return;
    }
    let _watchdog = watchdog();
    roundel::run(async {
        Signals::new([signal::USR1, 64 + 1]).unwrap_err();
        raise(signal::USR1);
        pending::<()>().await;
    });
}

#[test]
fn hazard_47_listeners_that_come_and_go_leave_nothing() {
    alone("hazard_47_listeners_that_come_and_go_leave_nothing", || {
        let _watchdog = watchdog();
        roundel::run(async {
            let mut kept = Signals::new([signal::USR2]).unwrap();
            let before = descriptors();
            for round in 0..10_000 {
                let mut signals = Signals::new([signal::USR1, signal::HUP]).unwrap();
                if round % 100 == 0 {
                    raise(signal::USR1);
                    assert_eq!(signals.recv().await, signal::USR1);
                    assert!(is_pending(signals.recv()).await);
                }
            }
            assert_eq!(descriptors(), before);
            raise(signal::USR2);
            assert_eq!(kept.recv().await, signal::USR2);
        });
    });
}

/// A signal may interrupt the loop anywhere, and the loop goes on.
#[test]
fn signals_do_not_disturb_timers() {
    alone("signals_do_not_disturb_timers", || {
        let _watchdog = watchdog();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let mut chld = Signals::new([signal::CHLD]).unwrap();
            let sleeper = spawn(time::sleep(Duration::from_millis(30)));
            for _ in 0..5 {
                assert!(Command::new("true").status().unwrap().success());
                assert_eq!(chld.recv().await, signal::CHLD);
            }
            sleeper.await.unwrap();
        });
        // Listening goes on while no loop runs.
        let mut usr1 = runtime.block_on(async { Signals::new([signal::USR1]).unwrap() });
        kill_process(Pid::from_raw(std::process::id() as i32).unwrap(), Signal::USR1).unwrap();
        assert_eq!(runtime.block_on(usr1.recv()), signal::USR1);
        runtime.block_on(yield_now());
    });
}
