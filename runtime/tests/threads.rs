//! Other threads: wakes from outside are never lost, and cost the loop no more than necessary.
//!
//! loom checks the protocol with models. Here it runs on real threads, at full speed and with real rings.

#![forbid(unsafe_code)]

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use roundel::cancel::with_cleanup;
use roundel::probe::Event;
use roundel::{Runtime, spawn, time, yield_now};
#[allow(unused_imports)] // With `diagnostics`, a builder has its methods itself.
use testkit::Unwatched;

/// A counter that other threads raise and one task lowers.
#[derive(Default)]
struct Account {
    waker: Mutex<Option<Waker>>,
    sent: AtomicU64,
}

impl Account {
    /// One more, and a wake.
    fn send(&self) {
        self.sent.fetch_add(1, SeqCst);
        let waker = self.waker.lock().unwrap().clone();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Waits until `count` have been sent. If a wake were lost, it would wait for ever.
    async fn receive(&self, count: u64) {
        poll_fn(|cx| {
            if self.waker.lock().unwrap().as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
                self.waker.lock().unwrap().replace(cx.waker().clone());
            }
            if self.sent.load(SeqCst) == count { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Aborts a test that hangs, so that a lost wake is a failure and not a timeout of the whole run.
fn watchdog() -> impl Drop {
    struct Watchdog(Arc<AtomicUsize>);
    impl Drop for Watchdog {
        fn drop(&mut self) {
            self.0.store(1, SeqCst);
        }
    }
    let done = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&done);
    thread::spawn(move || {
        for _ in 0..6_000 {
            thread::sleep(Duration::from_millis(100));
            if theirs.load(SeqCst) == 1 {
                return;
            }
        }
        eprintln!("a wake was lost: the test has taken ten minutes");
        std::process::abort();
    });
    Watchdog(done)
}

#[test]
fn hazard_01_ten_million_wakes_from_four_threads() {
    let _watchdog = watchdog();
    let each: u64 = if cfg!(miri) { 20 } else { 2_500_000 };
    let account = Arc::new(Account::default());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let account = Arc::clone(&account);
            thread::spawn(move || (0..each).for_each(|_| account.send()))
        })
        .collect();
    roundel::run(async {
        let tasks: Vec<_> = (0..1).map(|_| spawn(wait_for(Arc::clone(&account), 4 * each))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(account.sent.load(SeqCst), 4 * each);
}

async fn wait_for(account: Arc<Account>, count: u64) {
    account.receive(count).await;
}

#[test]
fn hazard_01_every_wake_of_a_sleeping_loop_arrives() {
    let _watchdog = watchdog();
    let rounds = if cfg!(miri) { 5 } else { 20_000 };
    let account = Arc::new(Account::default());
    let theirs = Arc::clone(&account);
    let (turn, received) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (their_turn, seen) = (Arc::clone(&turn), Arc::clone(&received));
    // One wake at a time, sent when the loop has seen the last one. The loop is just about to park then.
    let thread = thread::spawn(move || {
        for round in 0..rounds {
            // The loop may need this very processor before it can go on.
            for spins in 0_u64.. {
                if seen.load(SeqCst) == round {
                    break;
                }
                std::hint::spin_loop();
                if cfg!(miri) || spins >= 1_000 {
                    thread::yield_now();
                }
            }
            their_turn.store(round + 1, SeqCst);
            theirs.send();
        }
    });
    roundel::run(async {
        for round in 1..=rounds {
            account.receive(round).await;
            received.store(round, SeqCst);
        }
    });
    thread.join().unwrap();
    assert_eq!(turn.load(SeqCst), rounds);
}

#[test]
fn hazard_01_wakes_of_many_tasks_from_many_threads() {
    let _watchdog = watchdog();
    let (tasks, wakes) = if cfg!(miri) { (3, 5) } else { (100, 2_000) };
    roundel::run(async {
        let mut threads = Vec::new();
        let handles: Vec<_> = (0..tasks)
            .map(|_| {
                let account = Arc::new(Account::default());
                threads.push(Arc::clone(&account));
                spawn(wait_for(account, 4 * wakes))
            })
            .collect();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let accounts = threads.clone();
                thread::spawn(move || {
                    (0..wakes).for_each(|_| accounts.iter().for_each(|account| account.send()));
                })
            })
            .collect();
        for handle in handles {
            handle.await.unwrap();
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_wake_that_comes_twice_before_it_is_read_is_one() {
    let runtime = Runtime::new().unwrap();
    let account = Arc::new(Account::default());
    let polls = Arc::new(AtomicUsize::new(0));
    let (theirs, count) = (Arc::clone(&account), Arc::clone(&polls));
    runtime.block_on(async {
        spawn(poll_fn(move |cx| {
            count.fetch_add(1, SeqCst);
            theirs.waker.lock().unwrap().replace(cx.waker().clone());
            Poll::<()>::Pending
        }))
        .detach();
        yield_now().await;
    });
    // The loop does not run. The mail waits, and does not grow.
    (0..1_000).for_each(|_| account.send());
    runtime.block_on(async {
        // One turn collects the mail, and another one polls the task.
        time::sleep(Duration::ZERO).await;
        yield_now().await;
    });
    assert_eq!(polls.load(SeqCst), 2);
}

#[test]
fn work_is_sent_to_a_loop_and_its_result_comes_back() {
    let runtime = Runtime::new().unwrap();
    let remote = runtime.remote();
    // This is sent before the loop runs, and awaited on another loop.
    let early = remote.spawn(|| async { 5_u32.checked_add(*std::rc::Rc::new(1)) });
    let other = thread::spawn(move || {
        roundel::run(async move { (remote.spawn(|| async { 7 }).await.unwrap(), early.await.unwrap()) })
    });
    runtime.block_on(async {
        while !other.is_finished() {
            time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(other.join().unwrap(), (7, Some(6)));
}

#[test]
fn work_for_a_loop_that_goes_away_is_cancelled_not_lost() {
    let runtime = Runtime::new().unwrap();
    let remote = runtime.remote();
    let begun = remote.spawn(pending::<()>);
    runtime.block_on(async {
        time::sleep(Duration::ZERO).await;
        yield_now().await;
    });
    let unread = remote.spawn(|| async {});
    drop(runtime);
    let late = remote.spawn(|| async {});
    assert!(begun.wait().unwrap_err().to_string().ends_with("was cancelled"));
    for handle in [unread, late] {
        assert_eq!(
            handle.wait().unwrap_err().to_string(),
            "the runtime was gone before the task could begin"
        );
    }
}

#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn a_busy_loop_is_never_rung() {
    // The loop cannot count rings, which are system calls. But it can tell that it did not park.
    let parks = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = std::rc::Rc::clone(&parks);
    let sink = move |event| {
        if event == Event::Park {
            count.set(count.get() + 1);
        }
    };
    let runtime = Runtime::builder().probe(sink).build().unwrap();
    let account = Arc::new(Account::default());
    let theirs = Arc::clone(&account);
    let wakes = if cfg!(miri) { 20 } else { 10_000 };
    let thread = thread::spawn(move || (0..wakes).for_each(|_| theirs.send()));
    runtime.block_on(async {
        let task = spawn(wait_for(Arc::clone(&account), wakes));
        while !task.is_finished() {
            yield_now().await;
        }
    });
    thread.join().unwrap();
    assert_eq!(parks.get(), 0);
}

#[test]
fn several_runtimes_on_several_threads_wake_one_another() {
    let _watchdog = watchdog();
    let rounds = if cfg!(miri) { 3 } else { 1_000 };
    let accounts: Arc<Vec<Account>> = Arc::new((0..4).map(|_| Account::default()).collect());
    let threads: Vec<_> = (0..4)
        .map(|i| {
            let accounts = Arc::clone(&accounts);
            thread::spawn(move || {
                roundel::run(async {
                    for round in 1..=rounds {
                        accounts[(i + 1) % 4].send();
                        accounts[i].receive_at_least(round).await;
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

impl Account {
    async fn receive_at_least(&self, count: u64) {
        poll_fn(|cx| {
            self.waker.lock().unwrap().replace(cx.waker().clone());
            if self.sent.load(SeqCst) >= count { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Cancelled from another thread: before the loop has heard of the task, while it waits, after its end, after its loop's end.
#[test]
fn a_remote_handle_cancels() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let never = runtime.remote().spawn(pending::<()>);
    never.cancel();
    let (answer, is_answered) = std::sync::mpsc::channel();
    let remote = runtime.remote();
    let thread = thread::spawn(move || {
        assert!(never.wait().unwrap_err().is_cancelled());
        // One that runs. Its future is dropped on the loop's thread.
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (dropped, is_dropped) = std::sync::mpsc::channel();
        let waits = remote.spawn(move || async move {
            let tells = Tells(dropped);
            begun.send(thread::current().id()).unwrap();
            pending::<()>().await;
            drop(tells);
        });
        let home = has_begun.recv().unwrap();
        waits.cancel();
        assert!(waits.wait().unwrap_err().is_cancelled());
        assert_eq!(is_dropped.recv().unwrap(), home);
        // One that is over, whose slot has another tenant.
        let over = remote.spawn(|| async { 7 });
        while !over.is_finished() {
            thread::yield_now();
        }
        let tenant = remote.spawn(|| async {
            time::sleep(Duration::from_millis(5)).await;
            8
        });
        over.cancel();
        assert_eq!((over.wait().unwrap(), tenant.wait().unwrap()), (7, 8));
        answer.send(remote.spawn(pending::<()>)).unwrap();
    });
    runtime.block_on(async {
        while !thread.is_finished() {
            time::sleep(Duration::from_millis(1)).await;
        }
    });
    thread.join().unwrap();
    let left = is_answered.recv().unwrap();
    drop(runtime);
    left.cancel();
    assert!(left.wait().unwrap_err().is_cancelled());
}

/// Says on which thread it is dropped.
struct Tells(std::sync::mpsc::Sender<thread::ThreadId>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.send(thread::current().id()).unwrap();
    }
}

#[test]
fn a_remote_cancel_waits_for_the_cleanup_and_a_second_one_cuts_it_short() {
    let _watchdog = watchdog();
    for cuts in [false, true] {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let theirs = cleaned.clone();
        let runtime = Runtime::builder().virtual_time(true).build().unwrap();
        runtime.block_on(async {
            let handle = roundel::remote().spawn(move || {
                with_cleanup(pending::<()>(), move || async move {
                    time::sleep(Duration::from_secs(5)).await;
                    theirs.store(1, SeqCst);
                })
            });
            time::sleep(Duration::from_secs(1)).await;
            handle.cancel();
            time::sleep(Duration::from_secs(1)).await;
            assert!(!handle.is_finished(), "the cleanup takes five seconds");
            if cuts {
                handle.cancel();
                time::sleep(Duration::from_secs(1)).await;
                assert!(handle.is_finished());
            }
            assert!(handle.await.unwrap_err().is_cancelled());
        });
        assert_eq!(cleaned.load(SeqCst), usize::from(!cuts));
    }
}
