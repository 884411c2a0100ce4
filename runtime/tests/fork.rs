//! A process forks while it has a runtime (hazard 16).
//!
//! The child gets a copy of the runtime's memory, but not of the kernel's objects: the poll and the timer belong to
//! both processes. So the child must not use the old runtime. It must be able to forget that runtime without any effect
//! on the parent, and to build its own.
//!
//! Only a process with a single thread should fork, and the test harness has several. So this file has its own `main`,
//! which runs each scenario in a separate process. It has no watchdog thread either. Instead, the process that starts a
//! scenario waits for it no longer than five minutes.

#![forbid(unsafe_code)]

#[cfg(not(all(target_os = "linux", not(miri))))]
fn main() {}

#[cfg(all(target_os = "linux", not(miri)))]
fn main() {
    scenarios::main();
}

#[cfg(all(target_os = "linux", not(miri)))]
mod common;

#[cfg(all(target_os = "linux", not(miri)))]
mod scenarios {
    use std::future::{pending, poll_fn};
    use std::io::{ErrorKind, Read, Write};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::process::Command;
    use std::time::Duration;

    use fork::Fork;
    use mio::net::UnixStream;
    use roundel::blocking::{ThreadPool, unblock};
    use roundel::source::{AsyncFd, Direction, Source};
    use roundel::{Runtime, spawn, time, yield_now};

    use super::common::{read, settle, unix, watchdog};

    const SCENARIOS: &[(&str, fn())] = &[
        ("hazard_16_the_old_runtime_refuses_to_run_in_the_child", refuses_to_run),
        ("hazard_16_a_child_that_drops_the_runtime_leaves_the_parents_sources", drops_the_runtime),
        ("hazard_16_a_child_that_drops_the_runtime_runs_no_destructors", runs_no_destructors),
        ("hazard_16_a_child_that_drops_a_source_first_leaves_the_parents", drops_a_source_first),
        ("hazard_16_a_child_that_drops_a_source_last_leaves_the_parents", drops_a_source_last),
        ("hazard_16_a_child_that_wakes_and_sends_reaches_nobody", wakes_and_sends),
        ("hazard_16_a_child_leaves_the_parents_timers", leaves_the_timers),
        ("hazard_16_a_new_runtime_works_in_the_child", builds_a_new_one),
        ("hazard_16_a_fork_inside_the_loop", forks_inside_the_loop),
        ("hazard_16_a_child_leaves_the_parents_jobs", leaves_the_jobs),
        ("hazard_16_a_child_of_a_busy_pool_waits_for_no_lock", forks_beside_a_busy_pool),
    ];

    const CHOICE: &str = "ROUNDEL_TEST_SCENARIO";

    pub(crate) fn main() {
        if let Ok(chosen) = std::env::var(CHOICE) {
            let (_, scenario) = SCENARIOS.iter().find(|(name, _)| *name == chosen).unwrap();
            return scenario();
        }
        let arguments = std::env::args().skip(1).collect::<Vec<_>>();
        if arguments.iter().any(|argument| argument == "--list") {
            return SCENARIOS.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
        let mut failed = false;
        for (name, _) in SCENARIOS {
            if filter.is_none_or(|filter| name.contains(filter.as_str())) {
                let passed = run(name);
                println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
                failed |= !passed;
            }
        }
        std::process::exit(if failed { 101 } else { 0 });
    }

    /// Runs one scenario as a process, for five minutes at most.
    fn run(name: &str) -> bool {
        let mut process = Command::new(std::env::current_exe().unwrap()).env(CHOICE, name).spawn().unwrap();
        for _ in 0..30_000 {
            if let Some(status) = process.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        process.kill().unwrap();
        eprintln!("{name} hangs");
        false
    }

    /// Forks. Runs `child` in the child. The parent waits until the child has ended without an error.
    fn in_a_child(child: impl FnOnce()) {
        match fork::fork().unwrap() {
            Fork::Parent(process) => assert_eq!(fork::waitpid(process).unwrap(), 0, "the child has failed"),
            Fork::Child => end_child(child),
        }
    }

    /// Runs `body`, and ends this process with its result.
    fn end_child(body: impl FnOnce()) -> ! {
        let _watchdog = watchdog();
        let done = catch_unwind(AssertUnwindSafe(body));
        std::process::exit(i32::from(done.is_err()));
    }

    /// Runs the parent's loop, which must not hang.
    fn block_on<F: Future>(runtime: &Runtime, future: F) -> F::Output {
        let limit = Duration::from_secs(100);
        runtime
            .block_on(async { time::timeout(limit, future).await })
            .expect("a hang: the parent has lost an event")
    }

    fn refuses_to_run() {
        let runtime = Runtime::new().unwrap();
        in_a_child(|| {
            let refused = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async {}))).unwrap_err();
            assert_eq!(
                refused.downcast_ref(),
                Some(
                    &"`block_on` was called on a runtime that was built before a `fork`: build a new one in the child"
                )
            );
        });
        block_on(&runtime, settle());
    }

    fn drops_the_runtime() {
        let runtime = Runtime::new().unwrap();
        let (reader, mut theirs) = runtime.block_on(async {
            let (ours, theirs) = unix();
            let reader = spawn(async move { read(&ours, &mut [0; 16]).await });
            settle().await;
            (reader, theirs)
        });
        let mut runtime = Some(runtime);
        in_a_child(|| drop(runtime.take()));
        theirs.write_all(b"hello").unwrap();
        assert_eq!(block_on(runtime.as_ref().unwrap(), reader).unwrap().unwrap(), 5);
    }

    /// A task that says goodbye when it is dropped would say it twice, once in each process.
    fn runs_no_destructors() {
        struct Polite(UnixStream);
        impl Drop for Polite {
            fn drop(&mut self) {
                self.0.write_all(b"good-bye").unwrap();
            }
        }
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let polite = Polite(ours);
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            spawn(async move {
                pending::<()>().await;
                drop(polite);
            })
            .detach();
            settle().await;
        });
        let mut runtime = Some(runtime);
        in_a_child(|| drop(runtime.take()));
        assert_eq!(theirs.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(runtime);
        assert_eq!(theirs.read(&mut [0; 16]).unwrap(), 8);
    }

    /// Two sources outside any task, one of them by its descriptor. A task has waited for both.
    fn two_sources(
        runtime: &Runtime,
    ) -> (Source<UnixStream>, AsyncFd<UnixStream>, [std::os::unix::net::UnixStream; 2]) {
        runtime.block_on(async {
            let ((one, first), (two, second)) = (unix(), unix());
            let two = AsyncFd::new(two.into_inner()).unwrap();
            let mut waits = Vec::new();
            poll_fn(|cx| {
                waits.push(one.poll_io(cx, Direction::Read, |mut stream| stream.read(&mut [0])).is_pending());
                waits.push(two.poll_io(cx, Direction::Read, |mut stream| stream.read(&mut [0])).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            assert_eq!(waits, [true, true]);
            (one, two, [first, second])
        })
    }

    /// In the parent, both still get their reports.
    fn expect_both_to_hear(
        runtime: &Runtime,
        one: &Source<UnixStream>,
        two: &AsyncFd<UnixStream>,
        mut peers: [std::os::unix::net::UnixStream; 2],
    ) {
        peers.iter_mut().for_each(|peer| peer.write_all(b"hello").unwrap());
        block_on(runtime, async {
            assert_eq!(read(one, &mut [0; 16]).await.unwrap(), 5);
            let count = two.io(Direction::Read, |mut stream| stream.read(&mut [0; 16]));
            assert_eq!(count.await.unwrap(), 5);
        });
    }

    fn drops_a_source_first() {
        let runtime = Runtime::new().unwrap();
        let (one, two, peers) = two_sources(&runtime);
        let (mut one, mut two) = (Some(one), Some(two));
        let mut runtime = Some(runtime);
        in_a_child(|| {
            drop(one.take());
            drop(two.take().map(AsyncFd::into_inner));
            drop(runtime.take());
        });
        expect_both_to_hear(&runtime.unwrap(), &one.unwrap(), &two.unwrap(), peers);
    }

    fn drops_a_source_last() {
        let runtime = Runtime::new().unwrap();
        let (one, two, peers) = two_sources(&runtime);
        let (mut one, mut two) = (Some(one), Some(two));
        let mut runtime = Some(runtime);
        in_a_child(|| {
            drop(runtime.take());
            drop(one.take());
            drop(two.take().map(AsyncFd::into_inner));
        });
        expect_both_to_hear(&runtime.unwrap(), &one.unwrap(), &two.unwrap(), peers);
    }

    fn wakes_and_sends() {
        let runtime = Runtime::new().unwrap();
        let (wakers, mut task) = runtime.block_on(async {
            let (sender, receiver) = std::sync::mpsc::channel();
            let task = spawn(poll_fn(move |cx| {
                sender.send(cx.waker().clone()).unwrap();
                std::task::Poll::<()>::Pending
            }));
            yield_now().await;
            (receiver, Some(task))
        });
        let remote = runtime.remote();
        let waker = wakers.recv().unwrap();
        in_a_child(|| {
            waker.wake_by_ref();
            let errand = remote.spawn(|| async { panic!("it must not run in any loop") });
            task.as_ref().unwrap().cancel();
            drop(task.take());
            assert!(!errand.is_finished());
        });
        block_on(&runtime, settle());
        assert!(wakers.try_recv().is_err(), "the task was polled for a wake in another process");
        assert!(!task.unwrap().is_finished());
    }

    fn leaves_the_timers() {
        let runtime = Runtime::new().unwrap();
        let mut sleeper = runtime.block_on(async {
            let sleeper = spawn(time::sleep(Duration::from_millis(50)));
            spawn(time::sleep(Duration::from_secs(3600))).detach();
            settle().await;
            Some(sleeper)
        });
        let mut runtime = Some(runtime);
        in_a_child(|| {
            drop(sleeper.take());
            drop(runtime.take());
            roundel::run(async { time::sleep(Duration::from_millis(1)).await });
        });
        block_on(&runtime.unwrap(), sleeper.unwrap()).unwrap();
    }

    /// Uses each function of a loop.
    fn try_everything(runtime: &Runtime) {
        block_on(runtime, async {
            let (ours, mut theirs) = unix();
            let reader = spawn(async move { read(&ours, &mut [0; 16]).await });
            let remote = roundel::remote();
            let thread = std::thread::spawn(move || remote.spawn(|| async { 7 }).wait().unwrap());
            settle().await;
            theirs.write_all(b"hello").unwrap();
            assert_eq!(reader.await.unwrap().unwrap(), 5);
            while !thread.is_finished() {
                settle().await;
            }
            assert_eq!(thread.join().unwrap(), 7);
        });
    }

    fn builds_a_new_one() {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async { spawn(pending::<()>()).detach() });
        in_a_child(|| {
            try_everything(&Runtime::new().unwrap());
            let fresh = Runtime::new().unwrap();
            drop(runtime);
            try_everything(&fresh);
        });
        // The parent's copy was moved into the closure, which was dropped without running.
        try_everything(&Runtime::new().unwrap());
    }

    fn forks_inside_the_loop() {
        let runtime = Runtime::new().unwrap();
        let (reader, mut theirs) = runtime.block_on(async {
            let (ours, theirs) = unix();
            let reader = spawn(async move { read(&ours, &mut [0; 16]).await });
            settle().await;
            in_a_child(|| ());
            (reader, theirs)
        });
        // A child may also leave the loop in which it was forked, and then do anything.
        let role = runtime.block_on(async { fork::fork().unwrap() });
        let process = match role {
            Fork::Parent(process) => process,
            Fork::Child => end_child(|| {
                drop(reader);
                drop(runtime);
                try_everything(&Runtime::new().unwrap());
            }),
        };
        assert_eq!(fork::waitpid(process).unwrap(), 0, "the child has failed");
        theirs.write_all(b"hello").unwrap();
        assert_eq!(block_on(&runtime, reader).unwrap().unwrap(), 5);
        try_everything(&runtime);
    }

    /// The child has a copy of the jobs, and no threads.
    fn leaves_the_jobs() {
        let mut runtime = Some(Runtime::builder().max_blocking_threads(1).build().unwrap());
        let mut pool = Some(ThreadPool::new(1));
        let (opener, gate) = std::sync::mpsc::channel::<()>();
        let mut jobs = runtime.as_ref().unwrap().block_on(async {
            let holder = unblock(move || gate.recv().is_err());
            Some((holder, unblock(|| 7), pool.as_ref().unwrap().run(|| 8)))
        });
        in_a_child(|| {
            let run = || pool.as_ref().unwrap().run(|| ()).detach();
            let refused = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            let sentence = refused.downcast_ref::<String>().unwrap();
            assert!(
                sentence.starts_with("`ThreadPool::run` was called on a pool that was made before a `fork`")
            );
            drop(jobs.take());
            drop((pool.take(), runtime.take()));
            let results = Runtime::new().unwrap().block_on(async {
                (unblock(|| 9).await.unwrap(), ThreadPool::new(1).run(|| 10).await.unwrap())
            });
            assert_eq!(results, (9, 10));
        });
        let (holder, waiting, other) = jobs.take().unwrap();
        assert!(!waiting.is_finished());
        drop(opener);
        let results = block_on(runtime.as_ref().unwrap(), async {
            (holder.await.unwrap(), waiting.await.unwrap(), other.await.unwrap())
        });
        assert_eq!(results, (true, 7, 8));
    }

    /// A lock that a thread holds at the moment of the fork stays locked in the child for ever.
    fn forks_beside_a_busy_pool() {
        for _ in 0..50 {
            let mut pool = Some(ThreadPool::new(2));
            let jobs = (0..2_000).map(|_| pool.as_ref().unwrap().run(|| ()));
            let mut jobs = Some(jobs.collect::<Vec<_>>());
            in_a_child(|| {
                drop(jobs.take());
                drop(pool.take());
            });
        }
    }
}
