//! Blocking jobs on other threads: a job runs once or never, the loop goes on meanwhile, and the shutdown is bounded.
//!
//! Nothing here measures time. If a job has to be under way, it waits at a [`Gate`], which the test opens. To show that
//! two things happen at once, both wait at a barrier that neither passes alone.

#![forbid(unsafe_code)]

mod common;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use roundel::blocking::{ThreadPool, Unblock, unblock};
use roundel::probe::Event;
use roundel::{JoinError, Runtime, spawn, time, yield_now};
#[allow(unused_imports)] // With `diagnostics`, a builder has its methods itself.
use testkit::Unwatched;

use common::{Flag, really, virtually, watchdog, watchdog_of};

/// Longer than any test: a pool whose idle threads do not end, however long the machine holds up their loop.
const HOUR: Duration = Duration::from_secs(3600);

/// Blocks each thread that comes to it until the test opens it.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    open: bool,
    waiting: usize,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.waiting += 1;
        self.0.1.notify_all();
        drop(self.0.1.wait_while(state, |state| !state.open).unwrap());
    }

    fn open(&self) {
        self.0.0.lock().unwrap().open = true;
        self.0.1.notify_all();
    }

    /// Blocks until this number of threads have come to the gate.
    fn expect(&self, waiting: usize) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |state| state.waiting < waiting).unwrap());
    }
}

/// Counts how many values of this type are alive.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, SeqCst);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Waits until `done`, without blocking the loop.
async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        yield_now().await;
    }
}

fn thread_name() -> String {
    thread::current().name().unwrap().to_owned()
}

/// Polls once.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let (_, waker) = Flag::new();
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// A small pool whose only thread is held at the gate.
fn held(gate: &Gate) -> (ThreadPool, Unblock<()>) {
    let pool = ThreadPool::new(1);
    let theirs = gate.clone();
    let holder = pool.run(move || theirs.pass());
    gate.expect(1);
    (pool, holder)
}

#[test]
fn row_87_a_job_runs_on_a_thread_of_the_pool_and_its_result_comes_back() {
    really(async |_| {
        let (name, id) = unblock(|| (thread_name(), thread::current().id())).await.unwrap();
        assert_eq!(name, "roundel-blocking-1");
        assert_ne!(id, thread::current().id());
    });
}

#[test]
fn row_87_the_heart_beats_while_a_job_blocks() {
    let beats = if cfg!(miri) { 10 } else { 1_000 };
    really(async |_| {
        let gate = Gate::default();
        let theirs = gate.clone();
        let job = spawn(async move { unblock(move || theirs.pass()).await });
        yield_now().await;
        gate.expect(1);
        for _ in 0..beats {
            time::sleep(Duration::from_micros(10)).await;
        }
        assert!(!job.is_finished());
        gate.open();
        job.await.unwrap().unwrap();
    });
}

/// The mistake itself: a task that blocks stops all tasks.
#[test]
fn row_85_what_blocks_in_a_task_stops_the_heart() {
    really(async |_| {
        let beats = Rc::new(Cell::new(0));
        let theirs = Rc::clone(&beats);
        let heart = spawn(async move {
            loop {
                theirs.set(theirs.get() + 1);
                time::sleep(Duration::from_millis(1)).await;
            }
        });
        until(|| beats.get() > 2).await;
        let before = beats.get();
        thread::sleep(Duration::from_millis(20));
        assert_eq!(beats.get(), before, "twenty beats are missing");
        heart.cancel();
    });
}

#[test]
fn row_88_jobs_are_handed_over_at_once_and_overlap() {
    really(async |_| {
        let barrier = Arc::new(Barrier::new(3));
        let jobs = [(); 2].map(|()| {
            let barrier = Arc::clone(&barrier);
            unblock(move || barrier.wait().is_leader())
        });
        // Neither future has been polled yet, but both jobs have come to the barrier.
        let ours = barrier.wait().is_leader();
        let mut leaders = usize::from(ours);
        for job in jobs {
            leaders += usize::from(job.await.unwrap());
        }
        assert_eq!(leaders, 1);
    });
}

#[test]
fn row_88_more_jobs_than_threads_wait_their_turn() {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().max_blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        let (gate, started) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
        let jobs = [(); 5].map(|()| {
            let (gate, started) = (gate.clone(), Arc::clone(&started));
            unblock(move || {
                started.fetch_add(1, SeqCst);
                gate.pass();
                thread_name()
            })
        });
        gate.expect(2);
        assert_eq!(started.load(SeqCst), 2);
        gate.open();
        let mut names = BTreeSet::new();
        for job in jobs {
            names.insert(job.await.unwrap());
        }
        assert_eq!(started.load(SeqCst), 5);
        assert!(names.iter().all(|name| ["roundel-blocking-1", "roundel-blocking-2"].contains(&&**name)));
    });
}

#[test]
fn row_65_a_pool_of_three_is_a_limiter() {
    let _watchdog = watchdog();
    let jobs = if cfg!(miri) { 8 } else { 200 };
    roundel::run(async {
        let pool = ThreadPool::new(3).queue_limit(1);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..jobs)
            .map(|_| {
                let (pool, now, most) = (pool.clone(), Arc::clone(&now), Arc::clone(&most));
                spawn(async move {
                    let job = move || {
                        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                        thread::yield_now();
                        now.fetch_sub(1, SeqCst);
                    };
                    pool.run(job).await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(most.load(SeqCst) <= 3, "{} at a time", most.load(SeqCst));
    });
}

#[test]
fn row_91_a_file_is_read_beside_the_loop() {
    really(async |_| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let text = unblock(move || std::fs::read_to_string(path)).await.unwrap().unwrap();
        assert!(text.contains("name = \"roundel\""));
        assert!(
            unblock(|| std::fs::read("/nowhere/at/all")).await.unwrap().is_err(),
            "its own error, as it is"
        );
    });
}

#[test]
fn a_panic_in_a_job_is_its_handles() {
    really(async |_| {
        let pool = ThreadPool::new(1).keep_alive(HOUR);
        let error = pool.run(|| panic!("no luck")).await.map(|(): ()| ()).unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(error.to_string(), "the job panicked: no luck");
        assert_eq!(error.into_panic().downcast_ref(), Some(&"no luck"));
        assert_eq!(pool.run(thread_name).await.unwrap(), "roundel-pool-1", "the thread goes on");
    });
}

/// A payload, a result and a closure that panic when they are dropped: none of them harms a thread.
#[test]
fn a_panic_in_a_destructor_harms_no_thread() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a destructor, on purpose");
        }
    }
    really(async |_| {
        let pool = ThreadPool::new(1).keep_alive(HOUR);
        let (gate, bomb) = (Gate::default(), Bomb);
        let theirs = gate.clone();
        let unwanted = pool.run(move || {
            theirs.pass();
            Bomb
        });
        gate.expect(1);
        drop(unwanted);
        gate.open();
        let moved = pool.run(move || drop(bomb)).await;
        assert!(moved.unwrap_err().is_panic());
        let payload = pool.run(|| std::panic::panic_any(Bomb)).await;
        std::mem::forget(payload.map(|(): ()| ()).unwrap_err().into_panic());
        let withdrawn = Bomb;
        let (gate, theirs) = (Gate::default(), Gate::default());
        let (hold, first) = (gate.clone(), pool.run(thread_name));
        let holder = pool.run(move || hold.pass());
        let waits = pool.run(move || {
            let _withdrawn = withdrawn;
            theirs.pass();
        });
        gate.expect(1);
        drop(waits);
        gate.open();
        holder.await.unwrap();
        assert_eq!(first.await.unwrap(), "roundel-pool-1");
        assert_eq!(pool.run(thread_name).await.unwrap(), "roundel-pool-1");
    });
}

#[test]
fn a_job_that_is_dropped_before_it_starts_never_does() {
    really(async |_| {
        let (gate, live, ran) =
            (Gate::default(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (pool, holder) = held(&gate);
        let job = || {
            let (counted, ran) = (Counted::new(&live), Arc::clone(&ran));
            pool.run(move || {
                ran.fetch_add(1, SeqCst);
                drop(counted);
            })
        };
        let (dropped, cancelled, polled, kept) = (job(), job(), job(), job());
        assert_eq!(live.load(SeqCst), 4);
        drop(dropped);
        assert_eq!(live.load(SeqCst), 3, "its closure goes with it, now");
        cancelled.cancel();
        assert_eq!(live.load(SeqCst), 2);
        let mut polled = polled;
        assert!(poll(&mut polled).is_pending());
        drop(polled);
        assert_eq!(live.load(SeqCst), 1);
        let error = cancelled.await.unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.to_string(), "the job was cancelled");
        gate.open();
        holder.await.unwrap();
        kept.await.unwrap();
        assert_eq!((ran.load(SeqCst), live.load(SeqCst)), (1, 0));
    });
}

#[test]
fn a_job_that_runs_is_left_to_run_and_its_result_is_dropped() {
    really(async |_| {
        let (gate, live) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
        let (done, is_done) = (Arc::new(AtomicUsize::new(0)), |done: &AtomicUsize| done.load(SeqCst) == 2);
        let job = || {
            let (gate, live, done) = (gate.clone(), Arc::clone(&live), Arc::clone(&done));
            unblock(move || {
                gate.pass();
                done.fetch_add(1, SeqCst);
                Counted::new(&live)
            })
        };
        let (dropped, cancelled) = (job(), job());
        gate.expect(2);
        drop(dropped);
        cancelled.cancel();
        assert!(cancelled.await.is_err_and(|error| error.is_cancelled()), "the job was cancelled");
        gate.open();
        until(|| is_done(&done)).await;
        until(|| live.load(SeqCst) == 0).await;
    });
}

#[test]
fn a_result_that_is_there_survives_a_cancel() {
    really(async |_| {
        let job = unblock(|| 7);
        until(|| job.is_finished()).await;
        job.cancel();
        assert_eq!(job.await.unwrap(), 7);
    });
}

#[test]
fn a_cancel_wakes_the_waiting_task() {
    really(async |_| {
        let gate = Gate::default();
        let (pool, _holder) = held(&gate);
        let job = Rc::new(RefCell::new(pool.run(|| ())));
        let theirs = Rc::clone(&job);
        let waiter = spawn(poll_fn(move |cx| Pin::new(&mut *theirs.borrow_mut()).poll(cx)));
        yield_now().await;
        job.borrow().cancel();
        assert!(waiter.await.unwrap().is_err_and(|error| error.is_cancelled()));
        gate.open();
    });
}

#[test]
fn a_detached_job_goes_on_by_itself() {
    really(async |_| {
        let (gate, (send, receive)) = (Gate::default(), mpsc::channel());
        let (pool, holder) = held(&gate);
        let other = send.clone();
        pool.run(move || send.send(1).unwrap()).detach();
        // The limit is reached, so the next job has to wait for a place. Once it is detached, no future waits for that
        // place.
        let pool = pool.queue_limit(1);
        let mut in_line = pool.run(move || other.send(2).unwrap());
        assert!(poll(&mut in_line).is_pending());
        in_line.detach();
        gate.open();
        holder.await.unwrap();
        assert_eq!([receive.recv(), receive.recv()], [Ok(1), Ok(2)]);
    });
}

/// One thread is for the job and one is in reserve. Two more are allowed, because a thread may not be back yet when the
/// next job comes.
#[test]
fn jobs_one_after_another_use_few_threads() {
    let rounds = if cfg!(miri) { 10 } else { 2_000 };
    really(async |_| {
        let (pool, mut names) = (ThreadPool::new(100).keep_alive(HOUR), BTreeSet::new());
        for _ in 0..rounds {
            names.insert(pool.run(thread_name).await.unwrap());
        }
        assert!(names.len() <= 4, "{names:?}");
    });
}

#[test]
fn idle_threads_end() {
    really(async |_| {
        let pool = ThreadPool::new(2).named("idler").keep_alive(Duration::ZERO);
        let mut names = BTreeSet::new();
        while names.len() < 3 {
            names.insert(pool.run(thread_name).await.unwrap());
        }
        assert!(names.iter().all(|name| name.starts_with("idler-")), "{names:?}");
    });
}

#[test]
fn hazard_49_panics_and_a_million_submits_leave_the_pool_as_it_was() {
    let _watchdog = watchdog_of(Duration::from_secs(600));
    let jobs = if cfg!(miri) {
        40
    } else if cfg!(debug_assertions) {
        30_000
    } else {
        1_000_000
    };
    let began = Instant::now();
    let runtime = Runtime::builder().max_blocking_threads(4).build().unwrap();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let names = Arc::new(Mutex::new(BTreeSet::new()));
    let job = |number: usize| {
        let (now, most, names) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&names));
        move || {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            if number.is_multiple_of(100) {
                names.lock().unwrap().insert(thread_name());
            }
            now.fetch_sub(1, SeqCst);
            if number.is_multiple_of(10) {
                // This panic skips the hook, because a report for each would take long.
                std::panic::resume_unwind(Box::new("one in ten"));
            }
            number
        }
    };
    let panics = runtime.block_on(async {
        let handles: Vec<_> = (0..jobs).map(|number| unblock(job(number))).collect();
        let mut panics = 0;
        for (number, handle) in handles.into_iter().enumerate() {
            match handle.await {
                Ok(result) => assert_eq!(result, number),
                Err(error) => panics += usize::from(error.is_panic()),
            }
        }
        panics
    });
    assert_eq!(panics, jobs / 10);
    assert!(most.load(SeqCst) <= 4, "{} at a time", most.load(SeqCst));
    let names = names.lock().unwrap().clone();
    // A thread that was idle for ten seconds has ended, and another one has come for it.
    let allowed = 4 * (1 + began.elapsed().as_secs() / 10);
    let number = |name: &String| name.rsplit('-').next().unwrap().parse::<u64>().unwrap();
    assert!(names.iter().map(number).all(|number| number <= allowed), "{names:?}");
}

#[test]
fn hazard_48_what_has_not_started_is_dropped_with_the_runtime() {
    let _watchdog = watchdog();
    let (gate, live, ran) = (Gate::default(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let runtime = Runtime::builder().max_blocking_threads(1).shutdown_timeout(HOUR).build().unwrap();
    let handles = runtime.block_on(async {
        let (theirs, opener) = (gate.clone(), gate.clone());
        let holder = unblock(move || {
            theirs.pass();
            "done"
        });
        gate.expect(1);
        // Opens the gate after the shutdown has begun, while it waits for the job at the gate.
        spawn(async move {
            let _guard = Guard(Some(move || opener.open()));
            pending::<()>().await;
        })
        .detach();
        yield_now().await;
        let waiting = [(); 10].map(|()| {
            let (counted, ran) = (Counted::new(&live), Arc::clone(&ran));
            unblock(move || {
                ran.fetch_add(1, SeqCst);
                drop(counted);
            })
        });
        (holder, waiting)
    });
    assert_eq!(live.load(SeqCst), 10);
    drop(runtime);
    let (holder, waiting) = handles;
    assert!(holder.is_finished(), "what runs is waited for");
    assert_eq!((live.load(SeqCst), ran.load(SeqCst)), (0, 0));
    let results: Vec<_> = Runtime::new().unwrap().block_on(async {
        assert_eq!(holder.await.unwrap(), "done");
        let mut results = Vec::new();
        for job in waiting {
            results.push(job.await);
        }
        results
    });
    assert!(results.iter().all(|result| result.as_ref().is_err_and(JoinError::is_cancelled)));
}

struct Guard<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Guard<F> {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|f| f());
    }
}

#[cfg(not(miri))]
#[test]
fn hazard_48_a_job_that_blocks_for_ever_does_not_hold_the_shutdown() {
    use std::io::Read;
    let _watchdog = watchdog();
    for virtual_time in [false, true] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let builder = Runtime::builder().virtual_time(virtual_time);
        let runtime = builder.shutdown_timeout(Duration::from_millis(50)).build().unwrap();
        let (begun, has_begun) = mpsc::channel();
        runtime.block_on(async {
            let job = unblock(move || {
                begun.send(()).unwrap();
                reader.read(&mut [0])
            });
            has_begun.recv().unwrap();
            spawn(job).detach();
            // The destructor spawns a sleep. On a virtual clock it would wait for the job if the debt were not
            // forgiven.
            spawn(async {
                let _guard = Guard(Some(|| {
                    spawn(time::sleep(Duration::from_millis(10))).detach();
                }));
                pending::<()>().await;
            })
            .detach();
            yield_now().await;
        });
        drop(runtime);
        // Now the job may end. Nothing waits for its result any more.
        drop(writer);
    }
}

#[test]
fn hazard_48_a_destructor_that_unblocks_during_the_shutdown() {
    let _watchdog = watchdog();
    for used_before in [false, true] {
        // Without a time limit, the shutdown ends only when nothing is left.
        let runtime = Runtime::builder().shutdown_timeout(Duration::MAX).build().unwrap();
        let (ran, answers) = (Arc::new(AtomicUsize::new(0)), Rc::new(RefCell::new(Vec::new())));
        runtime.block_on(async {
            if used_before {
                unblock(|| ()).await.unwrap();
            }
            let (ran, answers) = (Arc::clone(&ran), Rc::clone(&answers));
            spawn(async move {
                let _guard = Guard(Some(move || {
                    let job = unblock(move || ran.fetch_add(1, SeqCst));
                    spawn(async move {
                        let answer = job.await;
                        answers.borrow_mut().push(answer);
                    })
                    .detach();
                }));
                pending::<()>().await;
            })
            .detach();
            yield_now().await;
        });
        drop(runtime);
        assert_eq!((answers.borrow().len(), ran.load(SeqCst)), (1, 1), "used before: {used_before}");
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn hazard_50_results_that_are_not_wanted_any_more_are_dropped() {
    use std::fs::File;
    const NAME: &str = "hazard_50_results_that_are_not_wanted_any_more_are_dropped";
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    common::alone(NAME, || {
        let rounds = if cfg!(debug_assertions) { 2_000 } else { 10_000 };
        really(async |_| {
            let pool = ThreadPool::new(2);
            pool.run(|| ()).await.unwrap();
            let before = descriptors();
            for round in 0..rounds {
                let mut job = pool.run(|| File::open("/dev/null").unwrap());
                match round % 4 {
                    0 => {}
                    1 => drop(poll(&mut job)),
                    2 => thread::yield_now(),
                    _ => until(|| job.is_finished()).await,
                }
                drop(job);
            }
            // A job after all the others, on each of the threads.
            let barrier = Arc::new(Barrier::new(2));
            let last = [(); 2].map(|()| {
                let barrier = Arc::clone(&barrier);
                pool.run(move || barrier.wait().is_leader())
            });
            for job in last {
                job.await.unwrap();
            }
            assert_eq!(descriptors(), before);
        });
    });
}

#[test]
fn virtual_time_stands_still_while_a_job_runs() {
    virtually(async |_| {
        let start = time::now();
        let job = unblock(|| thread::sleep(Duration::from_millis(20)));
        assert_eq!(time::timeout(Duration::from_secs(3600), job).await.unwrap().unwrap(), ());
        assert_eq!(time::now(), start);

        let jobs = [1, 15].map(|ms| unblock(move || thread::sleep(Duration::from_millis(ms))));
        for job in jobs {
            time::timeout(Duration::from_secs(3600), job).await.unwrap().unwrap();
        }
        assert_eq!(time::now(), start);

        let job = unblock(|| panic!("on purpose"));
        let failed: Result<(), _> = time::timeout(Duration::from_secs(3600), job).await.unwrap();
        assert!(failed.unwrap_err().is_panic());
        assert_eq!(time::now(), start);

        // Afterwards the clock goes on.
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(time::now() - start, Duration::from_secs(1));
    });
}

/// The loop sleeps, and does not check again and again whether the job is done.
#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn virtual_time_is_waited_for_in_the_kernel() {
    let _watchdog = watchdog();
    let (parks, (tell, is_parked)) = (Rc::new(Cell::new(0)), mpsc::channel());
    let count = Rc::clone(&parks);
    let sink = move |event| {
        if event == Event::Park {
            count.set(count.get() + 1);
            let _ = tell.send(());
        }
    };
    // The job begins to sleep when the loop does. If it did not wait for that, it might be over before.
    let job = move || {
        is_parked.recv().unwrap();
        thread::sleep(Duration::from_millis(20));
    };
    let runtime = Runtime::builder().virtual_time(true).probe(sink).build().unwrap();
    runtime.block_on(async {
        time::timeout(HOUR, unblock(job)).await.unwrap().unwrap();
        assert!((1..=2).contains(&parks.get()), "{} parks", parks.get());
    });
}

/// A deadline that is due needs no time to pass, so it does not wait for the job.
#[test]
fn virtual_time_does_not_hold_up_waits_of_no_time() {
    virtually(async |_| {
        let gate = Gate::default();
        let theirs = gate.clone();
        let job = unblock(move || theirs.pass());
        for _ in 0..3 {
            time::sleep(Duration::ZERO).await;
        }
        assert!(!job.is_finished());
        gate.open();
        job.await.unwrap();
    });
}

/// The kernel wakes the loop with a report that no task waits for. The clock must not mistake that for the job's
/// answer.
#[cfg(not(miri))]
#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn virtual_time_does_not_jump_at_a_report_that_no_task_waits_for() {
    use std::io::Write;
    virtually(async |log| {
        let start = time::now();
        let (source, mut peer) = common::unix();
        let job = unblock(move || {
            for _ in 0..5 {
                thread::sleep(Duration::from_millis(2));
                peer.write_all(b"x").unwrap();
            }
        });
        time::timeout(Duration::from_secs(60), job).await.unwrap().unwrap();
        assert_eq!(time::now(), start);
        assert!(!log.reports().is_empty());
        drop(source);
    });
}

#[test]
fn virtual_time_stands_still_for_jobs_that_no_task_awaits() {
    virtually(async |_| {
        let (start, ran) = (time::now(), Arc::new(AtomicUsize::new(0)));
        let job = |ms| {
            let ran = Arc::clone(&ran);
            move || {
                thread::sleep(Duration::from_millis(ms));
                ran.fetch_add(1, SeqCst);
            }
        };
        unblock(job(10)).detach();
        let running = unblock(job(5));
        running.cancel();
        time::sleep(Duration::from_secs(3600)).await;
        // The cancelled job may or may not have started.
        assert!(ran.load(SeqCst) >= 1);
        assert_eq!(time::now() - start, Duration::from_secs(3600));
    });
}

#[test]
fn virtual_time_does_not_wait_for_a_job_that_was_taken_back() {
    virtually(async |_| {
        let gate = Gate::default();
        // The thread is busy with a job that another loop submitted. No thread owes this loop an answer for that job.
        let pool = ThreadPool::new(1);
        let (theirs, hold) = (pool.clone(), gate.clone());
        thread::spawn(move || theirs.run(move || hold.pass()).detach()).join().unwrap();
        gate.expect(1);
        let (cancelled, dropped) = (pool.run(|| ()), pool.run(|| ()));
        cancelled.cancel();
        drop(dropped);
        let start = time::now();
        time::sleep(Duration::from_secs(60)).await;
        assert_eq!(time::now() - start, Duration::from_secs(60));
        gate.open();
    });
}

#[test]
fn virtual_time_beats_on_exactly_beside_jobs() {
    virtually(async |_| {
        let beats = Rc::new(RefCell::new(Vec::new()));
        let theirs = Rc::clone(&beats);
        let start = time::now();
        let heart = spawn(async move {
            let mut interval = time::interval(Duration::from_millis(100));
            loop {
                interval.tick().await;
                theirs.borrow_mut().push(time::now() - start);
            }
        });
        for _ in 0..5 {
            unblock(|| thread::sleep(Duration::from_millis(3))).await.unwrap();
            time::sleep(Duration::from_millis(250)).await;
        }
        heart.cancel();
        let expected: Vec<_> = (0..=12).map(|beat| Duration::from_millis(beat * 100)).collect();
        assert_eq!(*beats.borrow(), expected);
        assert_eq!(time::now() - start, Duration::from_millis(1250));
    });
}

#[test]
fn virtual_time_stands_still_in_line_too() {
    virtually(async |_| {
        let pool = ThreadPool::new(1).queue_limit(0);
        let start = time::now();
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let pool = pool.clone();
                spawn(async move {
                    let job = pool.run(|| thread::sleep(Duration::from_millis(2)));
                    time::timeout(Duration::from_secs(1), job).await.unwrap().unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(time::now(), start);
        // The caller was called but is not polled again. No place is kept for it, and time goes on.
        let gate = Gate::default();
        let theirs = gate.clone();
        let holder = pool.run(move || theirs.pass());
        let mut called = pool.run(|| ());
        assert!(poll(&mut called).is_pending());
        gate.open();
        holder.await.unwrap();
        time::sleep(Duration::from_secs(5)).await;
        drop(called);
        pool.run(|| ()).await.unwrap();
    });
}

#[test]
fn a_full_pool_holds_back_and_serves_in_turn() {
    really(async |_| {
        let gate = Gate::default();
        let (pool, holder) = held(&gate);
        let pool = pool.queue_limit(2);
        let ran = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..10)
            .map(|number| {
                let (pool, ran) = (pool.clone(), Arc::clone(&ran));
                spawn(async move {
                    pool.run(move || ran.lock().unwrap().push(number)).await.unwrap();
                })
            })
            .collect();
        yield_now().await;
        assert_eq!(pool.try_run(|| ()).map(drop).map_err(drop), Err(()), "no caller is overtaken");
        gate.open();
        for task in tasks {
            task.await.unwrap();
        }
        holder.await.unwrap();
        assert_eq!(*ran.lock().unwrap(), (0..10).collect::<Vec<_>>());
        assert!(pool.try_run(|| ()).is_ok());
    });
}

#[test]
fn a_full_pool_gives_a_job_back() {
    really(async |_| {
        let gate = Gate::default();
        let (pool, holder) = held(&gate);
        let pool = pool.queue_limit(1);
        let first = pool.try_run(|| 1).ok().unwrap();
        let refused = pool.try_run(|| 2).err().unwrap();
        assert_eq!(refused(), 2);
        // When the future that has a place is dropped, the place is free again.
        drop(first);
        let second = pool.try_run(|| 3).ok().unwrap();
        gate.open();
        holder.await.unwrap();
        assert_eq!(second.await.unwrap(), 3);
    });
}

#[test]
fn a_place_in_the_queue_that_is_given_up_is_the_next_ones() {
    really(async |_| {
        let gate = Gate::default();
        let (pool, holder) = held(&gate);
        let pool = pool.queue_limit(1);
        let (waits, mut in_line) = (pool.run(|| 1), pool.run(|| 2));
        let (flag, waker) = Flag::new();
        assert!(Pin::new(&mut in_line).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(flag.wakes(), 0);
        drop(waits);
        assert_eq!(flag.wakes(), 1);
        assert_eq!(pool.try_run(|| 3).map(drop).map_err(|f| f()), Err(3), "it is kept for who was called");
        gate.open();
        holder.await.unwrap();
        assert_eq!(in_line.await.unwrap(), 2);
    });
}

/// If the future that was given a place is dropped, the place goes to the next one in line.
#[test]
fn who_leaves_the_line_passes_the_place_on() {
    really(async |_| {
        let gate = Gate::default();
        let (pool, holder) = held(&gate);
        let pool = pool.queue_limit(0);
        let mut jobs: Vec<_> = (0..5).map(|number| pool.run(move || number)).collect();
        let flags: Vec<_> = (0..5).map(|_| Flag::new()).collect();
        for (job, (_, waker)) in jobs.iter_mut().zip(&flags) {
            assert!(Pin::new(job).poll(&mut Context::from_waker(waker)).is_pending());
        }
        let woken = || flags.iter().map(|(flag, _)| flag.wakes()).collect::<Vec<_>>();
        // The second is dropped while it waits: nothing changes.
        drop(jobs.remove(1));
        assert_eq!(woken(), [0, 0, 0, 0, 0]);
        gate.open();
        holder.await.unwrap();
        until(|| woken() == [1, 0, 0, 0, 0]).await;
        // The first was called and is dropped, and so is the third. The fourth is cancelled.
        drop(jobs.remove(0));
        assert_eq!(woken(), [1, 0, 1, 0, 0]);
        drop(jobs.remove(0));
        assert_eq!(woken(), [1, 0, 1, 1, 0]);
        jobs[0].cancel();
        assert_eq!(woken(), [1, 0, 1, 1, 1]);
        let last = jobs.pop().unwrap();
        assert_eq!(last.await.unwrap(), 4);
        assert!(jobs.pop().unwrap().await.is_err());
        // No place was lost.
        assert_eq!(pool.try_run(|| 5).ok().unwrap().await.unwrap(), 5);
    });
}

#[test]
fn row_92_map_keeps_the_order() {
    let items = if cfg!(miri) { 0..10 } else { 0..1_000 };
    for limit in [None, Some(0), Some(3)] {
        let items = items.clone();
        really(async move |_| {
            let pool = ThreadPool::new(10);
            let pool = match limit {
                Some(limit) => pool.queue_limit(limit),
                None => pool,
            };
            let results = pool.map(items.clone(), |n: u64| {
                if n.is_multiple_of(3) {
                    thread::yield_now();
                }
                n * n
            });
            assert_eq!(results.await.unwrap(), items.clone().map(|n| n * n).collect::<Vec<_>>());
            assert_eq!(pool.map([(); 0], |()| 1).await.unwrap(), []);
        });
    }
}

#[test]
fn row_92_map_uses_all_threads_and_asks_for_an_item_when_there_is_a_place() {
    really(async |_| {
        let (gate, asked) = (Gate::default(), Rc::new(Cell::new(0)));
        let pool = ThreadPool::new(3).queue_limit(1);
        let (theirs, count) = (gate.clone(), Rc::clone(&asked));
        let items = (0..9).inspect(move |_| count.set(count.get() + 1));
        let mut results = pin!(pool.map(items, move |n| {
            theirs.pass();
            n
        }));
        let (_, waker) = Flag::new();
        assert!(results.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        gate.expect(3);
        assert_eq!(asked.get(), 5, "three run, one waits, one stands in line");
        gate.open();
        assert_eq!(results.await.unwrap(), (0..9).collect::<Vec<_>>());
    });
}

/// However many items there are, and however fast they are, other tasks still run.
#[test]
fn row_92_map_gives_way() {
    really(async |_| {
        let (pool, asked) = (ThreadPool::new(1), Rc::new(Cell::new(0)));
        let count = Rc::clone(&asked);
        let items = (0..300).inspect(move |_| count.set(count.get() + 1));
        let mut results = pin!(pool.map(items, |n| n));
        let (flag, waker) = Flag::new();
        assert!(results.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(asked.get() <= 130 && flag.wakes() > 0, "{} items in one poll", asked.get());
        assert_eq!(results.await.unwrap(), (0..300).collect::<Vec<_>>());
    });
}

#[test]
fn row_92_map_gives_the_first_failure_in_order() {
    really(async |_| {
        let (pool, ran) = (ThreadPool::new(1), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&ran);
        let failed = pool.map(0..100, move |n| {
            count.fetch_add(1, SeqCst);
            assert!(n != 3 && n != 5, "failed at {n}");
            n
        });
        assert_eq!(failed.await.unwrap_err().to_string(), "the job panicked: failed at 3");
        pool.run(|| ()).await.unwrap();
        assert!(ran.load(SeqCst) >= 4);
    });
}

#[test]
fn a_pool_outlives_its_handles_until_its_jobs_are_done() {
    let _watchdog = watchdog();
    let gate = Gate::default();
    let (pool, holder) = held(&gate);
    let (send, receive) = mpsc::channel();
    for number in 0..5 {
        let send = send.clone();
        pool.run(move || send.send(number).unwrap()).detach();
    }
    holder.detach();
    drop((pool, send));
    gate.open();
    assert_eq!(receive.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn several_loops_share_a_pool() {
    let _watchdog = watchdog();
    let rounds = if cfg!(miri) { 3 } else { 500 };
    let pool = ThreadPool::new(2).queue_limit(0);
    let loops: Vec<_> = (0..3)
        .map(|number| {
            let pool = pool.clone();
            thread::spawn(move || {
                roundel::run(async {
                    for round in 0..rounds {
                        assert_eq!(pool.run(move || round * number).await.unwrap(), round * number);
                    }
                });
            })
        })
        .collect();
    loops.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A stack that is larger than the address space, so that the kernel refuses it.
#[cfg(all(target_pointer_width = "64", not(miri)))]
#[test]
fn without_a_thread_a_job_fails_and_says_so() {
    really(async |_| {
        let pool = ThreadPool::new(2).keep_alive(HOUR).stack_size(1 << 50).queue_limit(0);
        let jobs = [(); 3].map(|()| pool.run(|| ()));
        for job in jobs {
            let error = job.await.unwrap_err();
            assert!(error.is_no_thread() && !error.is_cancelled() && !error.is_panic());
            assert!(error.to_string().starts_with("no thread could be started for the job: "), "{error}");
        }
        assert!(pool.map(0..10, |n| n).await.is_err());
        // The pool tries to start a thread again for each job.
        let pool = pool.stack_size(1 << 20);
        assert_eq!(pool.run(thread_name).await.unwrap(), "roundel-pool-1");
        // One thread is enough to go on, if slowly.
        let pool = pool.stack_size(1 << 50);
        assert_eq!(pool.map(0..10, |n| n).await.unwrap(), (0..10).collect::<Vec<_>>());
    });
}

/// The message with which `f` panics.
fn complaint(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast_ref::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn misuse_is_refused_with_a_sentence() {
    let outside = complaint(|| unblock(|| ()).detach());
    assert!(outside.starts_with("`blocking::unblock` was called outside a roundel loop"), "{outside}");
    let none = complaint(|| drop(Runtime::builder().max_blocking_threads(0)));
    assert_eq!(none, "`max_blocking_threads(0)`: what is unblocked would never run");
    let none = complaint(|| drop(ThreadPool::new(0)));
    assert_eq!(none, "`ThreadPool::new(0)`: a pool without threads would never do anything");
    let zero = complaint(|| drop(ThreadPool::new(1).named("a\0b")));
    assert_eq!(zero, "the name of a thread cannot contain a zero byte");
    let again = complaint(|| {
        roundel::run(async {
            let mut job = unblock(|| ());
            (&mut job).await.unwrap();
            let _ = (&mut job).await;
        });
    });
    assert_eq!(again, "an Unblock was polled again after it had given its result");
}

#[test]
fn a_pool_works_without_a_loop() {
    let _watchdog = watchdog();
    let mut job = ThreadPool::new(1).run(|| 7);
    let result = loop {
        match poll(&mut job) {
            Poll::Ready(result) => break result,
            Poll::Pending => thread::yield_now(),
        }
    };
    assert_eq!(result.unwrap(), 7);
}
