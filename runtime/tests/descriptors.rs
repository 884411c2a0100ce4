//! A runtime gives back everything that it takes from the operating system: descriptors, threads, memory (hazard 44).
//!
//! A program that builds one runtime does not notice one leaked descriptor. A test suite that builds one per test does,
//! and so does a server that restarts its loop. Each test here counts what the whole process has, so each runs in a
//! separate process.

#![forbid(unsafe_code)]
#![cfg(all(target_os = "linux", not(miri)))]

mod common;

use std::fs::File;
use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use roundel::source::{AsyncFd, Direction};
use roundel::{Runtime, spawn, time, yield_now};

use common::{alone, is_alone, read, rerun, unix, watchdog, watchdog_of};

/// How many descriptors this process has open.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// How many kibibytes of memory this process has in use. Where the kernel can add them up, it does: what it says in
/// `status` is an estimate, which is the worse the more processors there are.
fn resident() -> usize {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}"));
    let text = read("smaps_rollup").or_else(|_| read("status")).unwrap();
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let line = line("Rss:").or_else(|| line("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A thread that was joined may still be listed for a moment.
fn expect_threads(count: usize) {
    while threads() != count {
        thread::yield_now();
    }
}

/// Leaves one of each kind unfinished: a task, a timer, a source with a waiter, mail.
fn use_and_leave(runtime: &Runtime) {
    let errand = runtime.remote().spawn(pending::<()>);
    runtime.block_on(async {
        spawn(pending::<()>()).detach();
        spawn(time::sleep(Duration::from_secs(3600))).detach();
        let (ours, theirs) = unix();
        spawn(async move { read(&ours, &mut [0]).await }).detach();
        let theirs = AsyncFd::new(theirs).unwrap();
        spawn(async move {
            theirs.io(Direction::Read, |_| io::Result::<()>::Err(ErrorKind::WouldBlock.into())).await
        })
        .detach();
        // This task is queued after them, so all of them wait when it runs.
        yield_now().await;
    });
    drop(errand);
}

#[test]
fn hazard_44_a_run_gives_back_descriptors_and_threads() {
    alone("hazard_44_a_run_gives_back_descriptors_and_threads", || {
        let _watchdog = watchdog();
        let before = (descriptors(), threads());
        for _ in 0..100 {
            let runtime = Runtime::new().unwrap();
            use_and_leave(&runtime);
            assert!(descriptors() > before.0);
            drop(runtime);
            assert_eq!(descriptors(), before.0);
        }
        let result = catch_unwind(|| roundel::run(async { panic!("on purpose") }));
        assert!(result.is_err());
        roundel::run(async { time::sleep(Duration::from_millis(1)).await });
        assert_eq!((descriptors(), threads()), before);
    });
}

/// The poll, the copy of it through which sources register, and the bell. The feature `exact` adds the alarm.
#[test]
fn a_loop_has_three_descriptors_and_the_feature_exact_adds_one() {
    alone("a_loop_has_three_descriptors_and_the_feature_exact_adds_one", || {
        let before = descriptors();
        let _runtime = Runtime::new().unwrap();
        assert_eq!(descriptors() - before, 3 + usize::from(cfg!(feature = "exact")));
    });
}

#[test]
fn hazard_44_a_hundred_thousand_runtimes_leave_nothing() {
    alone("hazard_44_a_hundred_thousand_runtimes_leave_nothing", || {
        let _watchdog = watchdog_of(Duration::from_secs(600));
        let build_and_drop = |count| (0..count).for_each(|_| drop(Runtime::new().unwrap()));
        let use_and_drop = |count| (0..count).for_each(|_| use_and_leave(&Runtime::new().unwrap()));
        build_and_drop(1_000);
        use_and_drop(1_000);
        let (memory, open, running) = (resident(), descriptors(), threads());
        build_and_drop(100_000);
        use_and_drop(10_000);
        let growth = resident().saturating_sub(memory);
        assert!(growth < 1024, "{growth} KiB more than after the first thousand");
        assert_eq!((descriptors(), threads()), (open, running));
    });
}

#[test]
fn hazard_44_runtimes_are_dropped_in_any_order() {
    alone("hazard_44_runtimes_are_dropped_in_any_order", || {
        let _watchdog = watchdog();
        let before = descriptors();
        let mut runtimes = (0..30).map(|_| Runtime::new().unwrap()).collect::<Vec<_>>();
        let each = (descriptors() - before) / 30;
        assert_eq!(descriptors(), before + 30 * each);
        let mut random = 1;
        while !runtimes.is_empty() {
            random = random * 7 % 31;
            use_and_leave(&runtimes.swap_remove(random % runtimes.len()));
            assert_eq!(descriptors(), before + runtimes.len() * each);
            // The sources that are left still work.
            for runtime in &runtimes {
                runtime.block_on(async { time::sleep(Duration::from_micros(10)).await });
            }
        }
    });
}

#[test]
fn hazard_44_runtimes_on_several_threads() {
    alone("hazard_44_runtimes_on_several_threads", || {
        let _watchdog = watchdog();
        let before = (descriptors(), threads());
        thread::scope(|scope| {
            for width in 1..=4 {
                scope.spawn(move || {
                    let mut runtimes = Vec::new();
                    for round in 0..200 {
                        runtimes.push(Runtime::new().unwrap());
                        use_and_leave(&runtimes[round % runtimes.len()]);
                        if runtimes.len() > width {
                            drop(runtimes.swap_remove(round % width));
                        }
                    }
                });
            }
        });
        assert_eq!(descriptors(), before.0);
        expect_threads(before.1);
    });
}

/// A runtime cannot be sent to another thread. So only a runtime in a thread-local can outlive the code of its thread.
#[test]
fn hazard_44_a_runtime_that_ends_with_its_thread() {
    thread_local!(static RUNTIME: Runtime = Runtime::new().unwrap());
    alone("hazard_44_a_runtime_that_ends_with_its_thread", || {
        let _watchdog = watchdog();
        let before = (descriptors(), threads());
        thread::spawn(|| RUNTIME.with(use_and_leave)).join().unwrap();
        assert_eq!(descriptors(), before.0);
        expect_threads(before.1);
    });
}

#[test]
fn hazard_44_handles_that_outlive_their_runtime_hold_no_descriptor() {
    alone("hazard_44_handles_that_outlive_their_runtime_hold_no_descriptor", || {
        let _watchdog = watchdog();
        let before = descriptors();
        let runtime = Runtime::new().unwrap();
        let remote = runtime.remote();
        let errand = remote.spawn(pending::<()>);
        let (join, sleep, waker) = runtime.block_on(async {
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            (spawn(pending::<()>()), time::sleep(Duration::from_secs(1)), waker)
        });
        let copies = [(); 100].map(|()| remote.clone());
        drop(runtime);
        assert_eq!(descriptors(), before);
        waker.wake_by_ref();
        assert!(errand.wait().unwrap_err().is_cancelled());
        assert!(copies[7].spawn(async || 7).wait().unwrap_err().is_cancelled());
        assert!(join.is_finished());
        drop((join, sleep, waker, copies));
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn hazard_44_a_source_that_outlives_its_runtime_gives_back_the_rest() {
    alone("hazard_44_a_source_that_outlives_its_runtime_gives_back_the_rest", || {
        let _watchdog = watchdog();
        let before = descriptors();
        let runtime = Runtime::new().unwrap();
        let (ours, theirs) = runtime.block_on(async { unix() });
        drop(runtime);
        drop(theirs);
        drop(ours);
        assert_eq!(descriptors(), before);
    });
}

/// Opens descriptors until there are no more.
fn take_all() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[test]
fn hazard_44_a_build_that_fails_gives_back_what_it_had_got() {
    const NAME: &str = "hazard_44_a_build_that_fails_gives_back_what_it_had_got";
    if !is_alone(NAME) {
        let mut command = Command::new("sh");
        rerun(command.args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]), NAME);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let _watchdog = watchdog();
    // The panics below print a backtrace, which would need a descriptor.
    std::panic::set_hook(Box::new(|_| {}));
    let mut taken = take_all();
    let mut free = 0;
    loop {
        let built = Runtime::new();
        let error = match built {
            Ok(runtime) => break runtime.block_on(async {}),
            Err(error) => error,
        };
        assert_eq!(error.raw_os_error(), Some(24), "EMFILE: {error}");
        let panic = catch_unwind(AssertUnwindSafe(|| roundel::run(async {}))).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.starts_with("`roundel::run` could not build its loop: "), "{message}");
        assert_eq!(take_all().len(), free, "what is free now and was free before");
        drop(taken.pop());
        free += 1;
    }
    assert!(free > 0, "there was none free at first");
    assert_eq!(take_all().len(), free);
    let _: io::Result<Runtime> = Runtime::new();
    assert_eq!(take_all().len(), free);
}
