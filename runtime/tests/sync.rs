//! Locks, semaphores and similar primitives, row by row. A future that is dropped at any of its awaits loses nothing.
//!
//! Times are virtual, so they are exact.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use roundel::group::{gather, join};
use roundel::probe::{Event as Probe, Resource};
use roundel::sync::{
    Barrier, BoundedSemaphore, Condition, Event, Mutex, Notify, OnceCell, Pool, RateLimiter, RwLock,
    Semaphore, TryAcquireError,
};
use roundel::testing::{at_every_await, settle};
use roundel::{Runtime, spawn, time, yield_now};
#[allow(unused_imports)] // With `diagnostics`, a builder has its methods itself.
use testkit::Unwatched;

/// Runs `main` on a virtual clock.
fn virtually<T>(main: impl Future<Output = T>) -> T {
    Runtime::builder().virtual_time(true).build().unwrap().block_on(main)
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

// Rows 53 and 54: the lost update.

#[derive(Clone, Copy)]
enum Variant {
    /// As the article prints it: awaits first, then reads and writes in one go.
    AsPrinted,
    /// Awaits between reading and writing.
    Race,
    Locked,
}

/// Two deposits, 100 and 50, into an empty account.
async fn deposits(variant: Variant) -> i32 {
    let balance = Cell::new(0);
    let lock = Mutex::new(());
    let deposit = async |amount: i32| match variant {
        Variant::AsPrinted => {
            time::sleep(millis(100)).await;
            balance.set(balance.get() + amount);
        }
        Variant::Race => {
            let seen = balance.get();
            time::sleep(millis(100)).await;
            balance.set(seen + amount);
        }
        Variant::Locked => {
            let _guard = lock.lock().await;
            let seen = balance.get();
            time::sleep(millis(100)).await;
            balance.set(seen + amount);
        }
    };
    join!(deposit(100), deposit(50));
    balance.get()
}

#[test]
fn row_53_the_lost_update_three_times() {
    for (variant, gold, took) in
        [(Variant::AsPrinted, 150, 100), (Variant::Race, 50, 100), (Variant::Locked, 150, 200)]
    {
        virtually(async {
            let start = time::now();
            assert_eq!(deposits(variant).await, gold);
            assert_eq!(time::now() - start, millis(took));
        });
    }
}

/// How many of a thousand schedules lose money, with one `yield` in the middle instead of a sleep.
fn races_found(variant: Variant) -> usize {
    let lost = |seed: &u64| {
        let runtime = Runtime::builder().virtual_time(true).shuffle(*seed).build().unwrap();
        runtime.block_on(async {
            let balance = Rc::new(Cell::new(0));
            let lock = Rc::new(Mutex::new(()));
            let deposit = |amount: i32| {
                let (balance, lock) = (balance.clone(), lock.clone());
                spawn(async move {
                    yield_now().await;
                    match variant {
                        Variant::AsPrinted => balance.set(balance.get() + amount),
                        Variant::Race => {
                            let seen = balance.get();
                            yield_now().await;
                            balance.set(seen + amount);
                        }
                        Variant::Locked => {
                            let _guard = lock.lock().await;
                            let seen = balance.get();
                            yield_now().await;
                            balance.set(seen + amount);
                        }
                    }
                })
            };
            for task in [deposit(100), deposit(50)] {
                task.await.unwrap();
            }
            balance.get() != 150
        })
    };
    let seeds = if cfg!(miri) { 20 } else { 1_000 };
    (0..seeds).filter(lost).count()
}

#[test]
fn row_53_a_sweep_over_seeds_finds_the_race_and_only_that() {
    assert_eq!(races_found(Variant::AsPrinted), 0);
    assert_eq!(races_found(Variant::Locked), 0);
    assert!(races_found(Variant::Race) > 0);
}

// Row 54: the mutex.

#[test]
fn row_54_transactions_are_serial_and_in_order() {
    virtually(async {
        let (start, lock, order) = (time::now(), Mutex::new(()), RefCell::new(Vec::new()));
        gather((101..=103).map(async |number| {
            let _guard = lock.lock().await;
            time::sleep(millis(100)).await;
            order.borrow_mut().push(number);
        }))
        .await;
        assert_eq!(*order.borrow(), [101, 102, 103]);
        assert_eq!(time::now() - start, millis(300));
    });
}

#[test]
fn row_54_a_panic_and_a_cancel_release_the_lock() {
    virtually(async {
        let lock = Rc::new(Mutex::new(0));
        let (one, two) = (lock.clone(), lock.clone());
        let panics = spawn(async move {
            let mut guard = one.lock().await;
            *guard = 1;
            panic!("with the lock held");
        });
        assert!(panics.await.unwrap_err().is_panic());
        let waits = spawn(async move {
            let _guard = two.lock().await;
            std::future::pending::<()>().await;
        });
        settle().await;
        assert!(lock.try_lock().is_none() && lock.is_locked());
        waits.cancel();
        // The lock is released when `cancel` returns, and nothing is poisoned.
        assert_eq!(*lock.try_lock().unwrap(), 1);
    });
}

#[test]
fn row_54_no_task_takes_a_lock_that_was_promised_to_another() {
    virtually(async {
        let lock = Rc::new(Mutex::new(()));
        let guard = lock.lock().await;
        let waits = spawn({
            let lock = lock.clone();
            async move { drop(lock.lock().await) }
        });
        settle().await;
        drop(guard);
        // The waiter was not polled yet, but it already has the lock.
        assert!(lock.try_lock().is_none());
        waits.await.unwrap();
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn a_mutex_that_is_let_go_of_is_a_value() {
    let mut lock = Mutex::new(String::from("a"));
    lock.get_mut().push('b');
    assert_eq!(format!("{:?}", lock.try_lock().unwrap()), "\"ab\"");
    assert_eq!(lock.into_inner(), "ab");
    assert_eq!(Mutex::<u8>::default().into_inner(), 0);
}

#[test]
fn bug_7_a_future_in_line_that_is_not_polled_keeps_the_lock_until_it_is_dropped() {
    virtually(async {
        let lock = Mutex::new(());
        let guard = lock.lock().await;
        let mut aside = Box::pin(lock.lock());
        // It joins the line, and is put aside when the other arm wins.
        roundel::group::select! {
            _ = &mut aside => unreachable!(),
            () = time::sleep(millis(500)) => {}
        }
        drop(guard);
        // The future now has the lock, but it is not polled, so it cannot know.
        assert!(time::timeout(seconds(5), lock.lock()).await.is_err());
        drop(aside);
        assert!(time::timeout(seconds(5), lock.lock()).await.is_ok());
    });
}

// Row 56: a deadlock can be seen.

#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn row_56_two_locks_in_opposite_order_are_a_cycle_in_what_the_probe_hears() {
    type Waits = Vec<(roundel::TaskId, &'static str, u64, roundel::TaskId)>;
    let waits: Rc<RefCell<Waits>> = Rc::default();
    let heard = waits.clone();
    let sink = move |event| {
        if let Probe::WaitOn { task: Some(task), on: Resource::Line { what, number }, holder: Some(holder) } =
            event
        {
            heard.borrow_mut().push((task, what, number, holder));
        }
    };
    let runtime = Runtime::builder().virtual_time(true).probe(sink).build().unwrap();
    let (a, b) = runtime.block_on(async {
        let locks = Rc::new((Mutex::new(()), Mutex::new(())));
        let other = locks.clone();
        let a = spawn(async move {
            let _first = locks.0.lock().await;
            yield_now().await;
            let _second = locks.1.lock().await;
        });
        let b = spawn(async move {
            let _first = other.1.lock().await;
            yield_now().await;
            let _second = other.0.lock().await;
        });
        settle().await;
        (a.id(), b.id())
    });
    // A waits for what B holds, and B for what A holds.
    let waits = waits.borrow();
    assert_eq!(waits.len(), 2, "{waits:?}");
    assert_eq!((waits[0].0, waits[0].1, waits[0].3), (a, "mutex", b));
    assert_eq!((waits[1].0, waits[1].1, waits[1].3), (b, "mutex", a));
    assert_ne!(waits[0].2, waits[1].2, "two locks have two numbers");
}

// Rows 57 to 61: semaphores.

/// How long `jobs` of one second take with `permits`, and how many of them run at once at most.
fn with_permits(permits: usize, jobs: usize) -> (Duration, usize) {
    virtually(async {
        let (start, semaphore) = (time::now(), Semaphore::new(permits));
        let (live, most, order) = (Cell::new(0), Cell::new(0), RefCell::new(Vec::new()));
        gather((0..jobs).map(async |number| {
            let _permit = semaphore.acquire().await.unwrap();
            live.set(live.get() + 1);
            most.set(most.get().max(live.get()));
            order.borrow_mut().push(number);
            time::sleep(seconds(1)).await;
            live.set(live.get() - 1);
        }))
        .await;
        assert!(order.borrow().is_sorted(), "first come, first served");
        assert_eq!(semaphore.available(), permits);
        (time::now() - start, most.get())
    })
}

#[test]
fn row_57_two_at_once() {
    assert_eq!(with_permits(2, 5), (seconds(3), 2));
}

#[test]
fn row_58_fifty_at_once() {
    if cfg!(miri) {
        return assert_eq!(with_permits(5, 20), (seconds(4), 5));
    }
    assert_eq!(with_permits(50, 1_000), (seconds(20), 50));
}

#[test]
fn row_66_the_formula() {
    for (permits, jobs) in [(1, 7), (3, 7), (7, 7), (10, 7), (4, 1)] {
        assert_eq!(with_permits(permits, jobs).0, seconds(jobs.div_ceil(permits) as u64));
    }
}

#[test]
fn row_60_over_release_is_an_error() {
    virtually(async {
        let semaphore = BoundedSemaphore::new(2);
        assert!(semaphore.release().is_err(), "nothing is out");
        semaphore.acquire().await.unwrap().keep();
        drop(semaphore.acquire().await.unwrap()); // goes back by itself
        assert_eq!(semaphore.available(), 1);
        assert!(semaphore.release().is_ok());
        let error = semaphore.release().unwrap_err();
        assert!(error.to_string().contains("`release` was called too often"));
        assert_eq!(semaphore.available(), 2);
        semaphore.close();
        assert!(semaphore.acquire().await.is_err());
    });
}

#[test]
fn row_61_a_waiter_for_many_is_not_overtaken_and_lets_others_pass_when_it_leaves() {
    virtually(async {
        let semaphore = Rc::new(Semaphore::new(3));
        let held = semaphore.acquire_many(2).await.unwrap();
        let want = |n: usize| {
            let semaphore = semaphore.clone();
            spawn(async move { semaphore.acquire_many(n).await.unwrap().forget() })
        };
        let (three, one) = (want(3), want(1));
        settle().await;
        // One permit is free, but the task that wants it is in line after the task that wants three.
        assert_eq!(semaphore.available(), 1);
        assert!(!one.is_finished());
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
        three.cancel();
        settle().await;
        assert!(one.is_finished());
        drop(held);
        assert_eq!(semaphore.available(), 2);
    });
}

#[test]
fn row_61_many_that_come_back_together_serve_many() {
    virtually(async {
        let semaphore = Rc::new(Semaphore::new(0));
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let semaphore = semaphore.clone();
                spawn(async move {
                    let _held = semaphore.acquire().await.unwrap();
                    std::future::pending::<()>().await;
                })
            })
            .collect();
        settle().await;
        semaphore.add_permits(3);
        settle().await;
        assert_eq!((semaphore.available(), semaphore.waiting(), waiting.len()), (0, 1, 4));
    });
}

#[test]
fn a_closed_semaphore_gives_no_permits() {
    virtually(async {
        let semaphore = Rc::new(Semaphore::new(1));
        let held = semaphore.acquire().await.unwrap();
        let waits = spawn({
            let semaphore = semaphore.clone();
            async move { semaphore.acquire().await.is_err() }
        });
        settle().await;
        semaphore.close();
        assert!(waits.await.unwrap());
        drop(held);
        assert!(semaphore.acquire().await.is_err());
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
        assert!(semaphore.is_closed());
    });
}

#[test]
#[should_panic(expected = "more permits were put in than a semaphore can count")]
fn permits_do_not_overflow() {
    Semaphore::new(usize::MAX).add_permits(1);
}

// The readers-writer lock.

#[test]
fn a_writer_that_waits_is_not_starved_by_readers() {
    virtually(async {
        let lock = Rc::new(RwLock::new(0));
        let order = Rc::new(RefCell::new(String::new()));
        let reading = lock.read().await;
        let (for_writer, log) = (lock.clone(), order.clone());
        let writer = spawn(async move {
            *for_writer.write().await += 1;
            log.borrow_mut().push('w');
        });
        settle().await;
        let (for_reader, log) = (lock.clone(), order.clone());
        let reader = spawn(async move {
            assert_eq!(*for_reader.read().await, 1);
            log.borrow_mut().push('r');
        });
        settle().await;
        assert!(lock.try_read().is_none(), "behind the writer");
        drop(reading);
        reader.await.unwrap();
        writer.await.unwrap();
        assert_eq!(*order.borrow(), "wr");
    });
}

#[test]
fn a_writer_that_leaves_lets_the_readers_pass() {
    virtually(async {
        let lock = Rc::new(RwLock::new(()));
        let reading = lock.read().await;
        let (one, two) = (lock.clone(), lock.clone());
        let writer = spawn(async move { drop(one.write().await) });
        let reader = spawn(async move { drop(two.read().await) });
        settle().await;
        writer.cancel();
        settle().await;
        assert!(reader.is_finished(), "the first reader is still there, but it does not stand in the way");
        drop(reading);
        assert!(lock.try_write().is_some());
    });
}

// Row 62: events, conditions, barriers.

#[test]
fn row_62_set_wakes_all_and_a_cleared_event_does_not_take_it_back() {
    virtually(async {
        let event = Rc::new(Event::new());
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let event = event.clone();
                spawn(async move { event.wait().await })
            })
            .collect();
        settle().await;
        event.set();
        event.clear();
        settle().await;
        assert!(waiting.iter().all(|task| task.is_finished()));
        assert!(time::timeout(seconds(1), event.wait()).await.is_err());
    });
}

#[test]
fn row_62_a_condition_does_not_believe_a_wake() {
    virtually(async {
        let shared = Rc::new((Mutex::new(0), Condition::new()));
        let waiter = spawn({
            let shared = shared.clone();
            async move {
                let guard = shared.0.lock().await;
                *shared.1.wait_while(guard, |value| *value < 2).await
            }
        });
        for expected in [false, true] {
            settle().await;
            *shared.0.try_lock().expect("who waits has let go of the lock") += 1;
            shared.1.notify_all();
            settle().await;
            assert_eq!(waiter.is_finished(), expected);
        }
        assert_eq!(waiter.await.unwrap(), 2);
    });
}

#[test]
fn row_62_a_notification_that_is_cut_on_its_way_back_to_the_lock_goes_on() {
    virtually(async {
        let shared = Rc::new((Mutex::new(()), Condition::new()));
        let wait = || {
            let shared = shared.clone();
            spawn(async move { drop(shared.1.wait(shared.0.lock().await).await) })
        };
        let (one, two) = (wait(), wait());
        settle().await;
        let guard = shared.0.lock().await;
        shared.1.notify_one();
        settle().await;
        // It has been notified and waits for the lock.
        assert_eq!(shared.1.waiting(), 1);
        one.cancel();
        drop(guard);
        settle().await;
        assert!(two.is_finished());
    });
}

#[test]
fn row_62_a_barrier_of_four_has_one_leader_each_round() {
    virtually(async {
        let barrier = Barrier::new(4);
        for _ in 0..3 {
            let results = gather((0..4).map(|_| barrier.wait())).await;
            assert_eq!(results.iter().filter(|result| result.is_leader()).count(), 1);
            assert!(results[3].is_leader(), "the last one");
        }
        assert_eq!((barrier.waiting(), barrier.parties()), (0, 4));
        // There is no other task for which it would have to wait.
        assert!(Barrier::new(0).wait().await.is_leader());
    });
}

#[test]
fn row_62_a_task_that_leaves_a_barrier_does_not_count() {
    virtually(async {
        let barrier = Rc::new(Barrier::new(2));
        let wait = || {
            let barrier = barrier.clone();
            spawn(async move { barrier.wait().await.is_leader() })
        };
        let gone = wait();
        settle().await;
        gone.cancel();
        let (one, two) = (wait(), wait());
        assert_eq!((one.await.unwrap(), two.await.unwrap()), (false, true));
    });
}

#[test]
fn notify_keeps_one_permit_and_all_means_those_that_had_called() {
    virtually(async {
        let notify = Notify::new();
        notify.notify_one();
        notify.notify_one();
        notify.notified().await;
        assert!(time::timeout(seconds(1), notify.notified()).await.is_err(), "one permit, not two");
        let before = notify.notified(); // never polled until now
        notify.notify_all();
        assert!(time::timeout(seconds(1), before).await.is_ok());
        assert!(time::timeout(seconds(1), notify.notified()).await.is_err(), "and none is left");
    });
}

#[test]
fn a_once_cell_is_filled_once() {
    virtually(async {
        let (cell, calls) = (OnceCell::new(), Cell::new(0));
        let init = async || {
            calls.set(calls.get() + 1);
            time::sleep(seconds(1)).await;
            calls.get()
        };
        assert_eq!(gather((0..5).map(|_| cell.get_or_init(init))).await, [&1; 5]);
        assert_eq!((cell.get(), cell.set(9)), (Some(&1), Err(9)));

        // If one fails or is dropped, the next one initialises.
        let cell = OnceCell::new();
        assert_eq!(cell.get_or_try_init(async || Err::<u8, _>("no")).await, Err("no"));
        let slow = async || std::future::pending::<u8>().await;
        assert!(time::timeout(seconds(1), cell.get_or_init(slow)).await.is_err());
        // `set` while another task initialises: the value that is there first stays.
        let (made, ()) = join!(
            cell.get_or_init(async || {
                time::sleep(seconds(1)).await;
                1
            }),
            async { cell.set(2).unwrap() },
        );
        assert_eq!(*made, 2);
        assert_eq!(cell.into_inner(), Some(2));
    });
}

// Rows 63 and 64: rates and pools.

#[test]
fn row_63_ten_at_once_then_one_each_hundred_milliseconds() {
    virtually(async {
        let (start, limiter) = (time::now(), RateLimiter::new(10, 10));
        let mut times = Vec::new();
        for _ in 0..30 {
            limiter.acquire().await;
            times.push((time::now() - start).as_millis());
        }
        let gold: Vec<u128> = (0..30_u128).map(|i| i.saturating_sub(9) * 100).collect();
        assert_eq!(times, gold);
        // No second has more operations than the burst plus the rate of that second.
        for from in &times {
            assert!(times.iter().filter(|time| (*from..from + 1_000).contains(time)).count() <= 20);
        }
        time::sleep(seconds(10)).await;
        assert_eq!((0..20).filter(|_| limiter.try_acquire()).count(), 10, "idle time is not saved up");
    });
}

#[test]
fn row_63_waiters_are_served_in_order_and_one_that_leaves_takes_no_token() {
    virtually(async {
        let (start, limiter) = (time::now(), Rc::new(RateLimiter::new(1, 1)));
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..4)
            .map(|number| {
                let (limiter, order) = (limiter.clone(), order.clone());
                spawn(async move {
                    limiter.acquire().await;
                    order.borrow_mut().push((number, (time::now() - start).as_secs()));
                })
            })
            .collect();
        time::sleep(millis(500)).await;
        assert!(!limiter.try_acquire());
        tasks[1].cancel();
        time::sleep(seconds(10)).await;
        assert_eq!(*order.borrow(), [(0, 0), (2, 1), (3, 2)]);
    });
}

#[test]
fn row_63_rates_that_are_no_whole_numbers_are_never_exceeded() {
    virtually(async {
        let (start, limiter) = (time::now(), RateLimiter::new(3, 1));
        for _ in 0..301 {
            limiter.acquire().await;
        }
        assert!(time::now() - start >= seconds(100));
        assert!(time::now() - start < seconds(100) + millis(1));
    });
}

#[test]
#[should_panic(expected = "a rate above zero")]
fn a_rate_of_zero_is_a_mistake() {
    RateLimiter::new(0, 1);
}

/// A pool that counts what it makes.
fn counting_pool(max: usize) -> (Pool<u32>, Rc<Cell<u32>>) {
    let made = Rc::new(Cell::new(0));
    let count = made.clone();
    let pool = Pool::new(max, move || {
        count.set(count.get() + 1);
        let number = count.get();
        async move {
            time::sleep(millis(10)).await;
            Ok(number)
        }
    });
    (pool, made)
}

#[test]
fn row_64_a_hundred_requests_make_few_connections() {
    virtually(async {
        let (pool, made) = counting_pool(4);
        gather((0..100).map(async |_| {
            let _connection = pool.checkout().await.unwrap();
            time::sleep(millis(1)).await;
        }))
        .await;
        assert_eq!((made.get(), pool.idle(), pool.available()), (4, 4, 4));
    });
}

#[test]
fn row_64_a_connection_that_is_bad_or_old_is_replaced() {
    virtually(async {
        let (pool, made) = counting_pool(1);
        let broken = Rc::new(Cell::new(false));
        let ask = broken.clone();
        let pool = pool.check(move |_| !ask.get()).idle_timeout(seconds(60));
        assert_eq!(*pool.checkout().await.unwrap(), 1);
        assert_eq!(*pool.checkout().await.unwrap(), 1);
        broken.set(true);
        assert_eq!(*pool.checkout().await.unwrap(), 2, "it failed its check");
        broken.set(false);
        time::sleep(seconds(61)).await;
        assert_eq!(*pool.checkout().await.unwrap(), 3, "it was idle for too long");
        assert_eq!(pool.checkout().await.unwrap().take(), 3);
        assert_eq!(*pool.checkout().await.unwrap(), 4, "it was taken for good");
        assert_eq!(made.get(), 4);
    });
}

#[test]
fn row_49_64_a_place_is_free_again_after_an_error_a_cancel_and_a_panic() {
    virtually(async {
        let fail = Rc::new(Cell::new(true));
        let ask = fail.clone();
        let pool = Pool::new(1, move || {
            let failed = ask.get();
            async move { if failed { Err("refused") } else { Ok(7) } }
        });
        assert_eq!(pool.checkout().await.unwrap_err(), "refused");
        fail.set(false);
        let (one, two) = (pool.clone(), pool.clone());
        let hangs = spawn(async move {
            let _connection = one.checkout().await;
            std::future::pending::<()>().await;
        });
        settle().await;
        let waits = spawn(async move { time::timeout(seconds(2), two.checkout()).await.is_err() });
        assert!(waits.await.unwrap());
        hangs.cancel();
        assert_eq!((pool.available(), pool.waiting()), (1, 0));
        let three = pool.clone();
        let panics = spawn(async move {
            let _connection = three.checkout().await;
            panic!("with a connection");
        });
        assert!(panics.await.is_err());
        assert_eq!(*pool.checkout().await.unwrap(), 7);
    });
}

// "Cancel safe: yes", each proven at every await.

#[test]
fn cut_at_every_await_no_lock_is_lost() {
    virtually(async {
        let places = at_every_await(async |cut| {
            let (mutex, rwlock, semaphore) = (Mutex::new(()), RwLock::new(()), Semaphore::new(2));
            let holder = async {
                let guards = (mutex.lock().await, rwlock.write().await, semaphore.acquire_many(2).await);
                yield_now().await;
                drop(guards.0);
                yield_now().await;
                drop(guards.1);
                yield_now().await;
                drop(guards.2);
            };
            let cut_off = cut.run(async {
                drop(mutex.lock().await);
                drop(rwlock.read().await);
                drop(rwlock.write().await);
                drop(semaphore.acquire().await);
            });
            join!(holder, cut_off);
            assert!(mutex.try_lock().is_some() && rwlock.try_write().is_some());
            assert_eq!((semaphore.available(), semaphore.waiting()), (2, 0));
        })
        .await;
        assert!(places >= 5, "{places}");
    });
}

#[test]
fn cut_at_every_await_no_token_and_no_connection_is_lost() {
    virtually(async {
        at_every_await(async |cut| {
            let (limiter, start) = (RateLimiter::new(1, 1), time::now());
            limiter.acquire().await;
            let cut_off = cut.run(limiter.acquire()).await;
            // It took the token of the first second, or that token is still there.
            limiter.acquire().await;
            let waited = time::now() - start;
            assert_eq!(waited, if cut_off.is_some() { seconds(2) } else { seconds(1) });
        })
        .await;
        at_every_await(async |cut| {
            let (pool, _) = counting_pool(1);
            drop(cut.run(pool.checkout()).await);
            assert_eq!(pool.available(), 1);
        })
        .await;
    });
}

#[test]
fn cut_at_every_await_waits_of_all_kinds_leave_nothing_behind() {
    virtually(async {
        at_every_await(async |cut| {
            let (event, notify, barrier) = (Event::new(), Notify::new(), Barrier::new(2));
            let (condition, lock) = (Condition::new(), Mutex::new(0));
            let waits = cut.run(async {
                event.wait().await;
                notify.notified().await;
                barrier.wait().await;
                let _guard = condition.wait_while(lock.lock().await, |value| *value == 0).await;
            });
            let gives = async {
                yield_now().await;
                event.set();
                yield_now().await;
                notify.notify_one();
                yield_now().await;
                if barrier.waiting() == 1 {
                    barrier.wait().await;
                }
                yield_now().await;
                *lock.lock().await = 1;
                condition.notify_one();
            };
            let (done, ()) = join!(waits, gives);
            assert_eq!((notify.waiting(), barrier.waiting(), condition.waiting()), (0, 0, 0));
            assert!(lock.try_lock().is_some());
            // A notification that no task received is still there.
            if done.is_none() && cut_before_notified(&notify).await {
                return;
            }
            assert!(time::timeout(seconds(1), notify.notified()).await.is_err());
        })
        .await;
    });
}

/// Whether the permit is there. Takes it.
async fn cut_before_notified(notify: &Notify) -> bool {
    time::timeout(seconds(1), notify.notified()).await.is_ok()
}
