//! Sleeps, timeouts, intervals: exact under the virtual clock, never early under the real one.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use roundel::time::{self, MissedTick};
use roundel::{Runtime, spawn, yield_now};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// On a loop that is not watched, as most are not.
fn virtually<F: Future>(main: F) -> F::Output {
    Runtime::builder().virtual_time(true).detect_deadlocks(false).build().unwrap().block_on(main)
}

/// Polls once, with a waker that does nothing.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn hazard_23_no_duration_panics_and_none_ends_early() {
    let far = [Duration::MAX, Duration::from_secs(u64::MAX / 10), Duration::from_nanos(u64::MAX), 500 * YEAR];
    for virtual_time in [true, false] {
        let runtime = Runtime::builder().virtual_time(virtual_time).build().unwrap();
        runtime.block_on(async {
            for duration in far {
                let mut sleep = time::sleep(duration);
                assert!(poll_once(&mut sleep).is_pending());
                let mut timeout = pin!(time::timeout(duration, pending::<()>()));
                assert!(poll_once(&mut timeout).is_pending());
                let mut interval = time::interval(duration);
                interval.tick().await;
                assert!(interval.poll_tick(&mut Context::from_waker(Waker::noop())).is_pending());
                assert_eq!(interval.period(), duration);
                for _ in 0..3 {
                    yield_now().await;
                }
                assert!(poll_once(&mut sleep).is_pending());
            }
        });
    }
}

#[test]
fn hazard_23_a_deadline_in_the_past_gives_way_once() {
    let past = Instant::now().checked_sub(SECOND).unwrap_or_else(Instant::now);
    virtually(async {
        let start = time::now();
        let mut sleep = time::sleep_until(past);
        assert!(poll_once(&mut sleep).is_pending());
        time::sleep_until(past).await;
        time::sleep(Duration::ZERO).await;
        assert!(time::timeout_at(past, pending::<()>()).await.is_err());
        assert_eq!(time::now(), start);
    });
}

#[test]
fn hazard_24_fifty_years_in_an_instant_and_exactly() {
    virtually(async {
        let start = time::now();
        let mut forever = time::sleep(Duration::MAX);
        assert!(poll_once(&mut forever).is_pending());
        let mut days = time::interval(24 * 3600 * SECOND);
        for day in 0..50 * 365 {
            assert_eq!(days.tick().await, start + day * 24 * 3600 * SECOND);
        }
        assert_eq!(time::now() - start, 50 * YEAR - 24 * 3600 * SECOND);
        assert!(poll_once(&mut forever).is_pending());
    });
}

#[test]
fn hazard_24_an_interval_beside_a_far_sleep_crosses_every_power_of_two() {
    virtually(async {
        let start = time::now();
        let mut forever = time::sleep(400 * YEAR);
        assert!(poll_once(&mut forever).is_pending());
        for bits in [30, 31, 32, 36] {
            time::sleep_until(start + MS * 10 + Duration::from_millis((1 << bits) - 2_000)).await;
            let before = time::now();
            let mut interval = time::interval(333 * MS);
            for tick in 0..20 {
                assert_eq!(interval.tick().await, before + tick * 333 * MS);
            }
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn hazard_24_with_the_monotonic_clock_at_its_worst() {
    const NAME: &str = "hazard_24_with_the_monotonic_clock_at_its_worst";
    if std::env::var_os("ROUNDEL_SHIFTED_CLOCK").is_some() {
        return roundel::run(async {
            let mut forever = time::sleep(Duration::MAX);
            assert!(poll_once(&mut forever).is_pending());
            let mut interval = time::interval(3 * MS);
            for _ in 0..100 {
                interval.tick().await;
            }
        });
    }
    let exe = std::env::current_exe().unwrap();
    // Set the clock to two seconds before a power of two of milliseconds, and to an uptime of 127 years.
    for seconds in [(1_u64 << 31) / 1000 - 1, (1 << 32) / 1000 - 1, (1 << 36) / 1000 - 1, 4_000_000_000] {
        let mut command = Command::new("unshare");
        command.args(["-T", "-f", "--monotonic", &seconds.to_string()]).arg(&exe).args(["--exact", NAME]);
        match command.env("ROUNDEL_SHIFTED_CLOCK", "1").output() {
            Ok(output) if output.status.success() => {}
            Ok(output) if String::from_utf8_lossy(&output.stderr).contains("unshare") => {
                return eprintln!("SKIPPED: {NAME}: `unshare -T` is not allowed here");
            }
            Ok(output) => panic!("at {seconds} s: {}", String::from_utf8_lossy(&output.stdout)),
            Err(error) => return eprintln!("SKIPPED: {NAME}: no `unshare`: {error}"),
        }
    }
}

#[test]
fn hazard_25_real_sleeps_are_never_early() {
    roundel::run(async {
        let tasks: Vec<_> = (0..200_u64)
            .map(|i| {
                spawn(async move {
                    let duration = Duration::from_nanos(i * i * 977 % 3_000_000);
                    let start = Instant::now();
                    time::sleep(duration).await;
                    assert!(start.elapsed() >= duration, "{:?} instead of {duration:?}", start.elapsed());
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Without the alarm, the kernel's limit is a whole number of milliseconds, rounded up: two for this sleep. The best of a
/// hundred sleeps is compared, because another program may delay any of them. A sleep that was delayed before the loop
/// parked does not count, because what was left of it may have been less than a millisecond.
#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn a_real_sleep_is_exact_with_the_feature_and_rounded_up_without() {
    const SLEEP: Duration = Duration::from_micros(1_200);
    let (mut took, parked) = (Vec::new(), Rc::new(Cell::new(Instant::now())));
    let noted = Rc::clone(&parked);
    let sink = move |event| {
        if let roundel::probe::Event::Park = event {
            noted.set(Instant::now());
        }
    };
    Runtime::builder().probe(sink).build().unwrap().block_on(async {
        for _ in 0..10_000 {
            let start = Instant::now();
            time::sleep(SLEEP).await;
            assert!(start.elapsed() >= SLEEP, "{:?}", start.elapsed());
            // (If the loop did not park at all, it is not after the start.)
            if parked.get() > start && parked.get() - start < Duration::from_micros(200) {
                took.push(start.elapsed());
            }
            if took.len() == 100 {
                break;
            }
        }
    });
    let best = took.into_iter().min().unwrap();
    assert_eq!(best < Duration::from_millis(2), cfg!(feature = "exact"), "{best:?}");
}

#[test]
fn hazard_26_a_timer_dropped_or_moved_by_another_of_the_same_tick() {
    virtually(async {
        let victim: Rc<RefCell<Option<time::Sleep>>> = Rc::default();
        let moved: Rc<RefCell<Option<time::Sleep>>> = Rc::default();
        let (theirs, others) = (Rc::clone(&victim), Rc::clone(&moved));
        let start = time::now();
        let murderer = spawn(async move {
            time::sleep(SECOND).await;
            theirs.take();
            others.borrow_mut().as_mut().unwrap().reset(start + 3 * SECOND);
        });
        yield_now().await;
        for slot in [&victim, &moved] {
            slot.replace(Some(time::sleep(SECOND)));
        }
        let (slot, fired) = (Rc::clone(&victim), Rc::new(Cell::new(false)));
        let noted = Rc::clone(&fired);
        let waits = spawn(poll_fn(move |cx| match slot.borrow_mut().as_mut() {
            Some(sleep) => Pin::new(sleep).poll(cx).map(|()| noted.set(true)),
            None => Poll::Ready(()),
        }));
        let late = spawn(poll_fn(move |cx| Pin::new(moved.borrow_mut().as_mut().unwrap()).poll(cx)));
        murderer.await.unwrap();
        waits.await.unwrap();
        assert!(!fired.get(), "it was dropped in the tick in which it was due");
        late.await.unwrap();
        assert_eq!(time::now(), start + 3 * SECOND);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn hazard_28_stopped_and_continued_with_ten_thousand_timers() {
    const NAME: &str = "hazard_28_stopped_and_continued_with_ten_thousand_timers";
    if std::env::var_os("ROUNDEL_STOPPED").is_some() {
        return ten_thousand_timers();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let child = child.args(["--exact", NAME]).env("ROUNDEL_STOPPED", "1");
    let mut child = child.stdout(Stdio::null()).spawn().unwrap();
    // The shell's own `kill`, because not every system has it as a program.
    let kill = |signal: &str| format!("kill {signal} {}", child.id());
    let signal = |name: &str| Command::new("sh").args(["-c", &kill(name)]).status().unwrap();
    std::thread::sleep(200 * MS);
    signal("-STOP");
    std::thread::sleep(800 * MS);
    signal("-CONT");
    assert!(child.wait().unwrap().success());
}

#[cfg(target_os = "linux")]
fn ten_thousand_timers() {
    roundel::run(async {
        let fired: Rc<RefCell<Vec<u32>>> = Rc::default();
        let start = time::now();
        let tasks: Vec<_> = (0..10_000_u32)
            .map(|i| {
                let fired = Rc::clone(&fired);
                spawn(async move {
                    time::sleep_until(start + 50 * MS + i * Duration::from_micros(50)).await;
                    fired.borrow_mut().push(i);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(
            *fired.borrow(),
            (0..10_000).collect::<Vec<_>>(),
            "all, once, in the order of their deadlines"
        );
    });
}

#[test]
fn hazard_28_an_interval_that_was_not_asked_in_time() {
    // Periods of 100 ms; the second tick is asked for at 350.
    let ticks = |policy| {
        virtually(async move {
            let start = time::now();
            let mut interval = time::interval(100 * MS).missed(policy);
            interval.tick().await;
            time::sleep(350 * MS).await;
            let mut ticks = Vec::new();
            for _ in 0..5 {
                let due = interval.tick().await;
                ticks.push(((due - start).as_millis(), (time::now() - start).as_millis()));
            }
            ticks
        })
    };
    // (due, given)
    assert_eq!(ticks(MissedTick::Burst), [(100, 350), (200, 350), (300, 350), (400, 400), (500, 500)]);
    assert_eq!(ticks(MissedTick::Delay), [(100, 350), (450, 450), (550, 550), (650, 650), (750, 750)]);
    assert_eq!(ticks(MissedTick::Skip), [(100, 350), (400, 400), (500, 500), (600, 600), (700, 700)]);
}

#[test]
fn a_timeout_is_exact_and_a_ready_result_wins() {
    virtually(async {
        let start = time::now();
        assert!(time::timeout(2 * SECOND, time::sleep(10 * SECOND)).await.is_err());
        assert_eq!(time::now() - start, 2 * SECOND);
        // The future is ready exactly at the deadline.
        assert!(time::timeout(SECOND, time::sleep(SECOND)).await.is_ok());
        // A timeout of zero still polls once, and only once.
        assert_eq!(time::timeout(Duration::ZERO, async { 7 }).await, Ok(7));
        let polls = Cell::new(0);
        let counts = poll_fn(|_| {
            polls.set(polls.get() + 1);
            Poll::<()>::Pending
        });
        let error = time::timeout(Duration::ZERO, counts).await.unwrap_err();
        assert_eq!((polls.get(), error.to_string().as_str()), (1, "the deadline has passed"));
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::TimedOut);
    });
}

#[test]
fn a_dropped_sleep_leaves_nothing_behind() {
    let timers: Rc<Cell<u32>> = Rc::default();
    let count = Rc::clone(&timers);
    let sink = move |event| {
        if let roundel::probe::Event::TimerFired { .. } = event {
            count.set(count.get() + 1);
        }
    };
    let runtime = Runtime::builder().virtual_time(true).probe(sink).build().unwrap();
    runtime.block_on(async {
        let start = time::now();
        for _ in 0..1_000 {
            time::timeout(SECOND, yield_now()).await.unwrap();
        }
        time::sleep(2 * SECOND).await;
        assert_eq!(time::now() - start, 2 * SECOND);
    });
    assert_eq!(timers.get(), 1, "a thousand timeouts were dropped, one sleep fired");
    virtually(async {
        time::timeout(SECOND, yield_now()).await.unwrap();
        assert_eq!(roundel::metrics().timers, 0);
    });
}

#[test]
fn one_after_the_other_and_all_at_once() {
    virtually(async {
        let start = time::now();
        for _ in 0..3 {
            time::sleep(SECOND).await;
        }
        assert_eq!(time::now() - start, 3 * SECOND);
        let tasks = [1, 2, 3].map(|seconds| spawn(time::sleep(seconds * SECOND)));
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(time::now() - start, 6 * SECOND, "the longest, not the sum");
    });
}

#[test]
fn equal_deadlines_end_in_the_order_of_their_sleeps() {
    let order: Rc<RefCell<Vec<u32>>> = Rc::default();
    virtually(async {
        let deadline = time::now() + SECOND;
        let tasks: Vec<_> = (0..100)
            .map(|i| {
                let order = Rc::clone(&order);
                spawn(async move {
                    time::sleep_until(deadline).await;
                    order.borrow_mut().push(i);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(*order.borrow(), (0..100).collect::<Vec<_>>());
}

/// A sleep of two seconds that was begun on a separate loop, after that loop has run for `seconds`.
#[allow(clippy::async_yields_async, reason = "the sleep is carried out of a `block_on`")]
fn begun_on_another_loop(seconds: u64) -> (Runtime, Pin<Box<time::Sleep>>) {
    let runtime = Runtime::builder().virtual_time(true).detect_deadlocks(false).build().unwrap();
    let sleep = runtime.block_on(async {
        let mut sleep = Box::pin(time::sleep(Duration::from_secs(2)));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        time::sleep(Duration::from_secs(seconds)).await;
        sleep
    });
    (runtime, sleep)
}

#[test]
fn a_task_that_sleeps_on_the_timers_of_another_loop_hears_that_this_is_dropped() {
    let (other, sleep) = begun_on_another_loop(0);
    virtually(async {
        let waits = spawn(sleep);
        yield_now().await;
        drop(other);
        let ended = time::timeout(YEAR, waits).await.expect("the task is woken");
        let payload = ended.expect_err("two seconds have not passed").into_panic();
        let said = payload.downcast_ref::<&str>().unwrap();
        assert!(said.starts_with("a sleep was awaited whose runtime had been dropped"), "{said}");
    });
}

#[test]
fn a_sleep_whose_runtime_is_dropped_does_not_end_early_and_not_later_than_it_should() {
    let (other, sleep) = begun_on_another_loop(0);
    drop(other);
    let awaited = || roundel::run(sleep);
    assert!(catch_unwind(AssertUnwindSafe(awaited)).is_err(), "two seconds have not passed");
    let (other, sleep) = begun_on_another_loop(3);
    drop(other);
    roundel::run(sleep);
}

/// The report with which a `block_on` of this future on virtual time panics.
fn deadlock(main: impl Future) -> String {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    let run = AssertUnwindSafe(|| drop(runtime.block_on(main)));
    let panic = catch_unwind(run).expect_err("a deadlock is a panic on virtual time");
    *panic.downcast::<String>().expect("the report is text")
}

#[test]
fn a_lock_in_a_timeout_is_wanted_where_the_timeout_is_awaited() {
    let mut place = 0;
    let report = deadlock(async {
        let lock = roundel::sync::Mutex::new(());
        let _guard = lock.lock().await;
        place = line!() + 1;
        time::timeout(Duration::MAX, lock.lock()).await.map(drop)
    });
    assert!(report.contains(&format!("wanted at runtime/tests/time.rs:{place}")), "{report}");
    // A timeout without end is nothing that the task waits for.
    assert!(!report.contains("sleep"), "{report}");
}

#[test]
fn a_lock_in_a_select_is_wanted_where_the_select_stands() {
    let mut place = 0;
    let report = deadlock(async {
        let lock = roundel::sync::Mutex::new(());
        let _guard = lock.lock().await;
        place = line!() + 1;
        roundel::group::select! {
            _ = pending::<()>() => {}
            _ = lock.lock() => {}
        }
    });
    assert!(report.contains(&format!("wanted at runtime/tests/time.rs:{place}")), "{report}");
}

#[test]
fn a_sleep_without_end_is_shown_as_one() {
    let mut place = 0;
    let report = deadlock(async {
        place = line!() + 1;
        time::sleep(Duration::MAX).await;
    });
    assert!(report.contains("waits for endless sleep 1, wanted at runtime/tests/time.rs:"), "{report}");
    assert!(report.contains(&format!("time.rs:{place}")), "{report}");
    Runtime::builder().virtual_time(true).metrics(true).build().unwrap().block_on(async {
        let sleeper = spawn(time::sleep(Duration::MAX));
        roundel::testing::settle().await;
        let texts = || roundel::dump().waits().map(|(_, wait)| wait.to_string()).collect::<Vec<_>>();
        assert_eq!(texts(), ["endless sleep 1"]);
        sleeper.cancel();
        assert!(texts().is_empty());
    });
}
