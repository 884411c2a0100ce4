//! To cancel is to drop: when this happens, in which order, and what is awaited afterwards.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use roundel::cancel::{CancelToken, with_cleanup};
use roundel::group::{gather, join, try_scope};
use roundel::retry::{Backoff, Jitter, retry, retry_if};
use roundel::testing::{Sequencer, at_every_await, settle};
use roundel::time::{sleep, timeout};
use roundel::{Runtime, spawn, time};

type Log = Rc<RefCell<Vec<String>>>;

const SEEDS: u64 = if cfg!(miri) { 10 } else { 100 };

fn virtually<T>(main: impl Future<Output = T>) -> T {
    Runtime::builder().virtual_time(true).build().unwrap().block_on(main)
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn note(log: &Log, text: impl Into<String>) {
    log.borrow_mut().push(text.into());
}

/// Logs its own drop.
struct Guard(&'static str, Log);

impl Drop for Guard {
    fn drop(&mut self) {
        note(&self.1, self.0);
    }
}

/// How a piece of work can end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Returns,
    Fails,
    Panics,
    IsCancelled,
    IsShutDown,
}

const WAYS: [Way; 5] = [Way::Returns, Way::Fails, Way::Panics, Way::IsCancelled, Way::IsShutDown];

/// Waits a second and then ends in this way.
async fn end(way: Way) -> Result<(), &'static str> {
    sleep(seconds(1)).await;
    match way {
        Way::Returns => Ok(()),
        Way::Fails => Err("failed"),
        Way::Panics => panic!("panicked"),
        Way::IsCancelled | Way::IsShutDown => std::future::pending().await,
    }
}

/// Runs `work` until it has ended in this way.
fn run(way: Way, work: impl Future<Output = Result<(), &'static str>> + 'static) {
    // The timeout also limits the real time of a shutdown, so it is long.
    let runtime = Runtime::builder().virtual_time(true).shutdown_timeout(seconds(60)).build().unwrap();
    runtime.block_on(async {
        let task = spawn(work);
        sleep(seconds(2)).await;
        match way {
            Way::IsShutDown => return task.detach(),
            Way::IsCancelled => task.cancel(),
            _ => {}
        }
        let ended = task.await;
        match way {
            Way::Returns => assert_eq!(ended.unwrap(), Ok(())),
            Way::Fails => assert_eq!(ended.unwrap(), Err("failed")),
            Way::Panics => assert!(ended.unwrap_err().is_panic()),
            _ => assert!(ended.unwrap_err().is_cancelled()),
        }
    });
    drop(runtime);
}

#[test]
fn row_43_the_order_of_drops_is_the_same_however_it_ends() {
    for way in WAYS {
        let log = Log::default();
        let (argument, first, second, inner) = (
            Guard("argument", log.clone()),
            Guard("first", log.clone()),
            Guard("second", log.clone()),
            Guard("inner", log.clone()),
        );
        run(way, async move {
            let _argument = argument;
            let _first = first;
            let _second = second;
            async move {
                let _inner = inner;
                end(way).await
            }
            .await
        });
        assert_eq!(*log.borrow(), ["inner", "second", "first", "argument"], "{way:?}");
    }
}

#[test]
fn row_41_cancel_cleans_up_before_it_returns() {
    let log = Log::default();
    virtually(async {
        let task = spawn({
            let log = log.clone();
            async move {
                note(&log, "starting");
                let _resource = Guard("released", log.clone());
                let _cleanup = Guard("cleaning up", log);
                sleep(seconds(10)).await;
            }
        });
        sleep(seconds(1)).await;
        note(&log, "cancelling");
        task.cancel();
        note(&log, "cancel has returned");
        if task.await.unwrap_err().is_cancelled() {
            note(&log, "successfully cancelled");
        }
    });
    let gold = [
        "starting",
        "cancelling",
        "cleaning up",
        "released",
        "cancel has returned",
        "successfully cancelled",
    ];
    assert_eq!(*log.borrow(), gold);
}

#[test]
fn row_45_a_task_cancelled_before_its_first_poll_releases_what_it_was_given() {
    virtually(async {
        let (log, polled) = (Log::default(), Rc::new(Cell::new(false)));
        let (argument, flag) = (Guard("argument", log.clone()), polled.clone());
        let task = spawn(async move {
            let _argument = argument;
            flag.set(true);
        });
        task.cancel();
        assert_eq!(*log.borrow(), ["argument"]);
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(!polled.get());
    });
}

#[test]
fn row_42_no_task_can_swallow_a_cancel() {
    // In asyncio, a task that catches everything and goes on is a zombie. Here there is nothing to catch.
    virtually(async {
        let rounds = Rc::new(Cell::new(0));
        let count = rounds.clone();
        let zombie = spawn(async move {
            loop {
                let _ = timeout(seconds(1), std::future::pending::<()>()).await;
                count.set(count.get() + 1);
            }
        });
        sleep(millis(2_500)).await;
        zombie.cancel();
        sleep(seconds(10)).await;
        assert_eq!(rounds.get(), 2);
        // And a token stays cancelled, even if a future that waits for it is dropped in between.
        let token = CancelToken::new();
        token.cancel();
        for _ in 0..3 {
            assert!(token.run(std::future::pending::<()>()).await.is_err());
        }
    });
}

// Row 44: with_cleanup.

/// A body with a guard, and a cleanup of 300 ms.
fn with_log(log: &Log, way: Way) -> impl Future<Output = Result<(), &'static str>> + 'static {
    let (guard, log) = (Guard("body dropped", log.clone()), log.clone());
    let body = async move {
        let _guard = guard;
        end(way).await
    };
    with_cleanup(body, async move || {
        note(&log, "cleanup begins");
        sleep(millis(300)).await;
        note(&log, "cleanup ends");
    })
}

#[test]
fn row_44_the_cleanup_is_awaited_in_all_five_cases() {
    for way in WAYS {
        let log = Log::default();
        run(way, with_log(&log, way));
        assert_eq!(*log.borrow(), ["body dropped", "cleanup begins", "cleanup ends"], "{way:?}");
    }
}

#[test]
fn row_44_awaiting_a_cancelled_task_awaits_its_cleanup() {
    virtually(async {
        let (log, start) = (Log::default(), time::now());
        let task = spawn(with_log(&log, Way::IsCancelled));
        settle().await;
        task.cancel();
        assert_eq!(*log.borrow(), ["body dropped"], "what it held is free at once");
        assert!(!task.is_finished());
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(time::now() - start, millis(300));
        assert_eq!(log.borrow().last().unwrap(), "cleanup ends");
    });
}

#[test]
fn row_44_a_second_cancel_cuts_the_cleanup_and_so_does_its_grace() {
    virtually(async {
        let log = Log::default();
        let task = spawn(with_log(&log, Way::IsCancelled));
        settle().await;
        task.cancel();
        sleep(millis(100)).await;
        task.cancel();
        assert!(task.is_finished());
        assert_eq!(*log.borrow(), ["body dropped", "cleanup begins"]);

        let (log, start) = (Log::default(), time::now());
        let cleanup = {
            let guard = Guard("cut", log.clone());
            async move || {
                let _guard = guard;
                std::future::pending::<()>().await;
            }
        };
        let task = spawn(with_cleanup(std::future::pending::<()>(), cleanup).grace(seconds(2)));
        settle().await;
        task.cancel();
        assert!(task.await.is_err());
        assert_eq!((time::now() - start, log.take()), (seconds(2), vec![String::from("cut")]));
    });
}

#[test]
fn row_44_a_shutdown_grants_no_more_than_its_timeout() {
    let log = Log::default();
    let runtime = Runtime::builder().virtual_time(true).shutdown_timeout(millis(100)).build().unwrap();
    runtime.block_on(async {
        spawn(with_log(&log, Way::IsShutDown)).detach();
        settle().await;
    });
    drop(runtime);
    assert_eq!(*log.borrow(), ["body dropped", "cleanup begins"]);
}

#[test]
fn row_44_inside_a_task_that_lives_on_the_cleanup_goes_on_beside_it() {
    virtually(async {
        let log = Log::default();
        assert!(timeout(millis(500), with_log(&log, Way::IsCancelled)).await.is_err());
        assert_eq!(*log.borrow(), ["body dropped"]);
        sleep(seconds(1)).await;
        assert_eq!(*log.borrow(), ["body dropped", "cleanup begins", "cleanup ends"]);
        // If it is dropped in the middle of the cleanup, the cleanup goes on from there.
        log.borrow_mut().clear();
        assert!(timeout(millis(1_100), with_log(&log, Way::Returns)).await.is_err());
        assert_eq!(*log.borrow(), ["body dropped", "cleanup begins"]);
        sleep(seconds(1)).await;
        assert_eq!(*log.borrow(), ["body dropped", "cleanup begins", "cleanup ends"]);
        // It was never polled, but there may be something to clean up all the same.
        log.borrow_mut().clear();
        drop(with_log(&log, Way::Returns));
        sleep(seconds(1)).await;
        assert_eq!(*log.borrow(), ["body dropped", "cleanup begins", "cleanup ends"]);
    });
}

#[test]
fn row_44_cleanups_inside_cleanups_run_from_the_inside_out() {
    virtually(async {
        let log = Log::default();
        let say = |text: &'static str| {
            let log = log.clone();
            async move || {
                sleep(seconds(1)).await;
                note(&log, text);
            }
        };
        let inner = with_cleanup(std::future::pending::<()>(), say("inner"));
        let task = spawn(with_cleanup(inner, say("outer")));
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(*log.borrow(), ["inner", "outer"]);
    });
}

#[test]
fn row_44_a_cleanup_or_a_body_that_panics_when_dropped() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the drop");
        }
    }
    let cleaned = Rc::new(Cell::new(0));
    let body = |way: Way| async move {
        let _bomb = (way != Way::Panics).then_some(Bomb);
        end(way).await
    };
    for way in [Way::Returns, Way::IsCancelled] {
        virtually(async {
            let count = cleaned.clone();
            let task = spawn(with_cleanup(body(way), async move || count.set(count.get() + 1)));
            sleep(seconds(2)).await;
            task.cancel();
            let error = task.await.unwrap_err();
            assert!(error.is_panic(), "{way:?}: {error}");
        });
    }
    assert_eq!(cleaned.get(), 2);
    virtually(async {
        let task = spawn(with_cleanup(std::future::pending::<()>(), async || panic!("in the cleanup")));
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().to_string().ends_with("panicked: in the cleanup"));
    });
}

#[test]
fn cut_at_every_await_the_cleanup_runs_once() {
    virtually(async {
        let places = at_every_await(async |cut| {
            let log = Log::default();
            let _ = cut.run(with_log(&log, Way::Returns)).await;
            sleep(seconds(10)).await;
            assert_eq!(*log.borrow(), ["body dropped", "cleanup begins", "cleanup ends"]);
        })
        .await;
        assert!(places >= 5, "{places}");
    });
}

// Rows 46 to 49: timeouts.

#[test]
fn row_46_48_a_timeout_is_exact_and_is_not_a_cancel() {
    virtually(async {
        let start = time::now();
        assert!(timeout(seconds(2), sleep(seconds(10))).await.is_err());
        assert_eq!(time::now() - start, seconds(2));
        // Cancelled from outside while the timeout runs: the handle says "cancelled", not "elapsed".
        let task = spawn(async { timeout(seconds(5), std::future::pending::<()>()).await });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_timeout_never_swallows_a_result_that_was_ready() {
    // Both are due at the same time, in either order of their timers.
    for seed in 0..SEEDS {
        let runtime = Runtime::builder().virtual_time(true).shuffle(seed).build().unwrap();
        runtime.block_on(async {
            let (sender, receiver) = roundel::channel::bounded(1);
            spawn(async move {
                sleep(seconds(1)).await;
                sender.send(7).await.unwrap();
            })
            .detach();
            let late = timeout(seconds(1), receiver.recv()).await;
            // The value was either received, or it is still there.
            if late.is_err() {
                settle().await;
                assert_eq!(receiver.try_recv(), Ok(7), "seed {seed}");
            }
            let ready = spawn(timeout(seconds(1), sleep(seconds(1))));
            assert!(ready.await.unwrap().is_ok(), "seed {seed}");
        });
    }
}

#[test]
fn row_50_cancelled_sleepers_leave_nothing_behind() {
    virtually(async {
        let n = if cfg!(miri) { 100 } else { 10_000 };
        let tasks: Vec<_> = (0..n).map(|i| spawn(sleep(seconds(i)))).collect();
        settle().await;
        tasks.iter().for_each(|task| task.cancel());
        assert_eq!(roundel::task::count(), 1);
        let start = time::now();
        settle().await;
        assert_eq!(time::now(), start, "no timer is left that the clock could jump to");
    });
}

// Tokens.

#[test]
fn a_token_cancels_those_below_it_and_not_those_above() {
    virtually(async {
        let top = CancelToken::new();
        let (left, right) = (top.child(), top.child());
        let leaf = left.child();
        left.cancel();
        assert_eq!([&top, &left, &right, &leaf].map(CancelToken::is_cancelled), [false, true, false, true]);
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let token = right.clone();
                spawn(async move { token.cancelled().await })
            })
            .collect();
        settle().await;
        drop(top.cancel_on_drop());
        gather(waits).await;
        assert!(right.is_cancelled() && top.child().is_cancelled());
        assert_eq!(top.run(async { 5 }).await, Ok(5), "a result that is ready is not lost");
    });
}

#[test]
fn hazard_15_tokens_a_hundred_thousand_deep() {
    let depth = if cfg!(miri) { 100 } else { 100_000 };
    std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(move || {
            let top = CancelToken::new();
            let mut leaf = top.child();
            for _ in 0..depth {
                leaf = leaf.child();
            }
            top.cancel();
            assert!(leaf.is_cancelled());
            // Now drop them from below. Each has the last reference to its parent.
            drop(top);
            drop(leaf);
            let mut leaf = CancelToken::new();
            for _ in 0..depth {
                leaf = leaf.child();
            }
            drop(leaf);
        })
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn children_that_are_gone_are_forgotten() {
    let top = CancelToken::new();
    for _ in 0..10 {
        drop(top.child());
    }
    let kept = top.child();
    top.cancel();
    assert!(kept.is_cancelled());
}

#[test]
fn row_22_three_workers_end_in_order() {
    let log = Log::default();
    virtually(async {
        let token = CancelToken::new();
        let workers = (0..3).map(|number| {
            let (token, log) = (token.child(), log.clone());
            spawn(async move {
                while token.run(sleep(seconds(1))).await.is_ok() {}
                note(&log, format!("Worker {number} shutting down gracefully..."));
            })
        });
        let workers: Vec<_> = workers.collect();
        sleep(millis(3_500)).await;
        token.cancel();
        gather(workers).await;
    });
    assert_eq!(*log.borrow(), [0, 1, 2].map(|i| format!("Worker {i} shutting down gracefully...")));
}

#[test]
fn row_117_a_failing_stage_cancels_its_group() {
    virtually(async {
        let uploaded = Cell::new(0);
        let result: Result<(), _> = try_scope(async |s| {
            let (pages, to_parse) = roundel::channel::bounded(1);
            let (parsed, to_upload) = roundel::channel::bounded::<i32>(100);
            drop(s.spawn(async move {
                for page in 0..10 {
                    let _ = pages.send(page).await;
                }
                Ok(())
            }));
            drop(s.spawn(async move {
                while let Ok(page) = to_parse.recv().await {
                    if page == 5 {
                        return Err(format!("page {page} is broken"));
                    }
                    let _ = parsed.send(page).await;
                }
                Ok(())
            }));
            // Upload only after everything has been parsed.
            let mut all = Vec::new();
            while let Ok(page) = to_upload.recv().await {
                all.push(page);
            }
            uploaded.set(all.len());
            Ok(())
        })
        .await;
        assert_eq!(result.unwrap_err().to_string(), "page 5 is broken");
        assert_eq!(uploaded.get(), 0, "no partial upload");
    });
}

// Rows 76 to 79: retries.

#[test]
fn row_76_77_attempts_are_counted_and_come_at_0_2_6_14() {
    virtually(async {
        let (start, times) = (time::now(), RefCell::new(Vec::new()));
        let attempt = async || {
            times.borrow_mut().push((time::now() - start).as_secs());
            if times.borrow().len() < 4 { Err("refused") } else { Ok("at last") }
        };
        let backoff = Backoff::exponential(seconds(2)).factor(2);
        assert_eq!(retry(backoff.clone().attempts(3), attempt).await, Err("refused"));
        assert_eq!(times.take(), [0, 2, 6]);
        let start = time::now();
        let attempt = async || {
            times.borrow_mut().push((time::now() - start).as_secs());
            if times.borrow().len() < 4 { Err("refused") } else { Ok("at last") }
        };
        assert_eq!(retry(backoff, attempt).await, Ok("at last"));
        assert_eq!(times.take(), [0, 2, 6, 14]);
        let once = retry_if(Backoff::constant(seconds(1)), async || Err::<(), _>("fatal"), |e| *e != "fatal");
        let start = time::now();
        assert_eq!((once.await, time::now() - start), (Err("fatal"), Duration::ZERO));
    });
}

#[test]
fn row_78_full_jitter_spreads_the_herd() {
    // A thousand clients fail together at time zero. When does each come back?
    let peak = |jitter: Jitter| {
        virtually(async {
            let buckets = Rc::new(RefCell::new(vec![0_u32; 100]));
            let clients = (0..1_000).map(|_| {
                let buckets = buckets.clone();
                async move {
                    let start = time::now();
                    let first = Cell::new(true);
                    retry(Backoff::exponential(seconds(10)).jitter(jitter).attempts(2), async || {
                        if !first.replace(false) {
                            let tenths = (time::now() - start).as_millis() as usize / 100;
                            buckets.borrow_mut()[tenths.min(99)] += 1;
                        }
                        Err::<(), ()>(())
                    })
                    .await
                }
            });
            gather(clients).await;
            buckets.take().into_iter().max().unwrap()
        })
    };
    assert_eq!(peak(Jitter::None), 1_000);
    assert!(peak(Jitter::Full) < 50, "{}", peak(Jitter::Full));
    assert!(peak(Jitter::Equal) < 100);
    assert_eq!(peak(Jitter::Full), peak(Jitter::Full), "virtual time leaves nothing to chance");
}

#[test]
fn row_79_delays_add_up_as_the_header_says_and_stay_within_bounds() {
    let backoff = Backoff::exponential(seconds(1)).factor(3).attempts(6);
    let sum: u64 = backoff.delays().map(|delay| delay.as_secs()).sum();
    assert_eq!(sum, (3_u64.pow(5) - 1) / 2);
    let capped: Vec<_> = backoff.max(seconds(5)).delays().map(|delay| delay.as_secs()).collect();
    assert_eq!(capped, [1, 3, 5, 5, 5]);
    // Huge delays saturate.
    let huge = Backoff::exponential(Duration::MAX).attempts(5);
    assert!(huge.delays().all(|delay| delay == Duration::MAX));
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        let backoff = Backoff::exponential(seconds(1)).max(seconds(20)).attempts(1_000).jitter(jitter);
        for delay in backoff.delays() {
            assert!(delay <= seconds(20), "{jitter:?}: {delay:?}");
            assert!(jitter == Jitter::Full || delay >= millis(500), "{jitter:?}: {delay:?}");
        }
    }
}

#[test]
fn a_sequencer_puts_things_in_order_under_any_schedule() {
    for seed in 0..SEEDS {
        let runtime = Runtime::builder().virtual_time(true).shuffle(seed).build().unwrap();
        runtime.block_on(async {
            let (sequencer, log) = (Rc::new(Sequencer::new()), Rc::new(RefCell::new(Vec::new())));
            let turns = |turns: [usize; 3]| {
                let (sequencer, log) = (sequencer.clone(), log.clone());
                spawn(async move {
                    for turn in turns {
                        sequencer.turn(turn).await;
                        log.borrow_mut().push(turn);
                    }
                })
            };
            let (a, b) = (turns([0, 3, 4]), turns([1, 2, 5]));
            join!(async { a.await.unwrap() }, async { b.await.unwrap() });
            assert_eq!(*log.borrow(), [0, 1, 2, 3, 4, 5], "seed {seed}");
        });
    }
}
