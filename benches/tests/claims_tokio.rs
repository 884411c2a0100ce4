//! What the book says about tokio, run with the tokio that the face-off measures, on one thread.
//!
//! Facts. A reader sees tokio from outside, and so do the proofs: they look at order, at counts, at what has been
//! dropped. What it does not know: the inside (tokio's wheel, its ticks, its epoll), the runtime with several threads,
//! signals, processes, and the paused clock. With the feature `test-util`, `cargo bench` would measure a tokio with a
//! lock in its clock.

#![forbid(unsafe_code)]

#[path = "claims/book.rs"]
mod book;

use std::convert::Infallible;
use std::future::{pending, poll_fn, ready};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;

use futures_lite::future::poll_once;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval, sleep, timeout};

const MILLISECOND: Duration = Duration::from_millis(1);

fn run<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A future that is never done, and can be seen in [`living`].
fn waits(alive: &Arc<()>) -> impl Future<Output = Infallible> + Send + use<> {
    let held = Arc::clone(alive);
    async move {
        let _held = held;
        pending().await
    }
}

/// Spawns a task that is always ready, and counts its polls.
fn spawn_busy() -> Arc<AtomicUsize> {
    let polls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&polls);
    tokio::spawn(poll_fn(move |context| {
        count.fetch_add(1, SeqCst);
        context.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    polls
}

fn living(alive: &Arc<()>) -> usize {
    Arc::strong_count(alive) - 1
}

#[test]
fn the_book_says_what_is_proven() {
    // 01 and 02 are about the compiler, 05 and 15 about the inside; 14 needs another feature; 16, 18 and 20 are about texts
    // and figures.
    let not_run = ["01", "02", "05", "14", "15", "16", "18", "20"];
    book::agrees_with(include_str!("claims_tokio.rs"), "tokio", &not_run);
}

// claim("03", "on one thread polls up to 61 tasks, then looks at the kernel")
// claim("17", "looks after 61 polls (`event_interval`), whatever they take")
#[test]
fn between_two_looks_are_61_polls() {
    run(async {
        let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
        far.write_all(b"x").unwrap();
        near.set_nonblocking(true).unwrap();
        let polls = spawn_busy();
        UnixStream::from_std(near).unwrap().readable().await.unwrap();
        assert_eq!(polls.load(SeqCst), 61);
    });
}

// claim("07", "has a budget of 128, like ours")
#[test]
fn a_poll_takes_128_messages() {
    run(async {
        let (sender, mut receiver) = mpsc::channel(1000);
        (0..1000).for_each(|n| sender.try_send(n).unwrap());
        let taker = tokio::spawn(async move { while receiver.recv().await.is_some_and(|n| n < 999) {} });
        let left = tokio::spawn(async move { sender.capacity() }).await;
        assert_eq!(left.unwrap(), 128);
        taker.await.unwrap();
    });
}

// claim("06", "Its future is dropped earlier, when the task is done or aborted")
// claim("10", "`JoinHandle::abort` marks the task, and the task is dropped when it would run next")
// claim("19", "dropped, at some later time")
#[test]
fn an_abort_drops_the_future_later_and_before_the_last_waker() {
    run(async {
        let alive = Arc::new(());
        let (mut work, (sender, waker)) = (Box::pin(waits(&alive)), oneshot::channel());
        let mut sender = Some(sender);
        let task = tokio::spawn(poll_fn(move |context| {
            sender.take().map(|sender| sender.send(context.waker().clone()));
            work.as_mut().poll(context)
        }));
        let _waker = waker.await.unwrap();
        task.abort();
        assert_eq!(living(&alive), 1);
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(living(&alive), 0);
    });
}

// claim("08", "Deadlines are rounded up to milliseconds, so a sleep of 1 ms takes about two")
// claim("04", "It rounds its timers to milliseconds")
#[test]
fn sixteen_sleeps_of_a_millisecond_take_twice_as_many() {
    run(async {
        let start = Instant::now();
        for _ in 0..16 {
            sleep(MILLISECOND).await;
        }
        assert!(start.elapsed() >= 31 * MILLISECOND, "{:?}", start.elapsed());
    });
}

// claim("08", "its intervals know the same three rules")
#[test]
fn an_interval_has_three_policies() {
    use MissedTickBehavior::{Burst, Delay, Skip};
    const PERIOD: Duration = Duration::from_millis(10);
    for policy in [Burst, Delay, Skip] {
        run(async {
            let mut ticks = interval(PERIOD);
            ticks.set_missed_tick_behavior(policy);
            let start = ticks.tick().await;
            std::thread::sleep(PERIOD * 5 / 2);
            let late = Instant::now();
            ticks.tick().await;
            let next = ticks.tick().await;
            let in_step = (next - start).as_nanos().is_multiple_of(PERIOD.as_nanos());
            match policy {
                Burst => assert_eq!(next - start, 2 * PERIOD),
                Delay => assert!(next >= late + PERIOD && !in_step),
                Skip => assert!(next > late && in_step),
            }
        });
    }
}

// claim("10", "You spawn it in a destructor, and hope that the runtime lives long enough")
#[test]
fn what_was_spawned_ends_with_its_runtime() {
    let cleanup = Arc::new(());
    run(async {
        tokio::spawn(waits(&cleanup));
        yield_now().await;
        assert_eq!(living(&cleanup), 1);
    });
    assert_eq!(living(&cleanup), 0);
}

// claim("11", "Its `select!` polls the arms in random order, unless you write `biased`")
// claim("19", "tries them in random order, unless `biased;`")
#[test]
fn select_takes_either_unless_it_is_biased() {
    run(async {
        let (mut at_random, mut biased) = (0, 0);
        for _ in 0..100 {
            at_random += tokio::select! { n = ready(0) => n, n = ready(1) => n };
            biased += tokio::select! { biased; n = ready(0) => n, n = ready(1) => n };
        }
        assert!(0 < at_random && at_random < 100 && biased == 0, "{at_random} {biased}");
    });
}

// claim("11", "Its `JoinSet` is for tasks: it aborts them when it is dropped, but does not wait for them")
// claim("19", "| `try_join!` drops them; tasks go on |")
// claim("19", "goes on: the runtime owns it")
#[test]
fn the_owner_decides_which_tasks_go_on() {
    run(async {
        let (futures, tasks, set) = (Arc::new(()), Arc::new(()), Arc::new(()));
        drop(tokio::spawn(waits(&tasks)));
        let task = tokio::spawn(waits(&tasks));
        let mut group = JoinSet::new();
        group.spawn(waits(&set));
        yield_now().await;
        let first = async { Ok(waits(&futures).await) };
        let failed = tokio::try_join!(first, async { Ok(task.await) }, ready(Err::<(), _>("no")));
        assert_eq!((failed.unwrap_err(), living(&futures)), ("no", 0));
        drop(group);
        assert_eq!(living(&set), 1, "it does not wait");
        yield_now().await;
        assert_eq!((living(&set), living(&tasks)), (0, 2));
    });
}

// claim("11", "A panic in a task is in its `JoinHandle`")
// claim("19", "| *Mutex*, its holder panics | released | released, and not poisoned | released, and not poisoned |")
#[test]
fn a_panic_is_in_the_handle_and_poisons_no_mutex() {
    run(async {
        let mutex = Arc::new(Mutex::new(7));
        let theirs = Arc::clone(&mutex);
        let task = tokio::spawn(async move {
            let _guard = theirs.lock().await;
            panic!("the holder panics, as it is told to");
        });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(*mutex.lock().await, 7);
    });
}

// claim("12", "hands permits over, as we do")
// claim("12", "A `Notified` that is dropped after it was called passes the call on")
#[test]
fn permits_and_calls_are_handed_over() {
    run(async {
        let (semaphore, notify) = (Semaphore::new(1), Notify::new());
        let held = semaphore.try_acquire().unwrap();
        let (mut first, mut second) = (Box::pin(semaphore.acquire()), Box::pin(semaphore.acquire()));
        assert!(poll_once(&mut first).await.is_none() && poll_once(&mut second).await.is_none());
        drop(held);
        assert!(semaphore.try_acquire().is_err(), "it is the first one's, who has not run yet");
        assert!(poll_once(&mut second).await.is_none());
        drop(first);
        assert!(poll_once(&mut second).await.is_some());
        let (mut called, mut next) = (Box::pin(notify.notified()), Box::pin(notify.notified()));
        assert!(poll_once(&mut called).await.is_none() && poll_once(&mut next).await.is_none());
        notify.notify_one();
        drop(called);
        assert!(poll_once(&mut next).await.is_some());
    });
}

// claim("09", "has `spawn_blocking`, with up to 512 threads")
#[test]
fn the_pool_has_at_most_512_threads() {
    let limits = format!("{:?}", Builder::new_current_thread());
    assert!(limits.contains("max_blocking_threads: 512,"), "{limits}");
}

// claim("13", "`write_all` waits, as it does here")
#[test]
fn a_write_waits_for_its_reader_and_a_sender_for_its_receiver() {
    run(async {
        let ((mut near, _far), (sender, _receiver)) = (UnixStream::pair().unwrap(), mpsc::channel(1));
        assert!(timeout(MILLISECOND, near.write_all(&[0; 10_000_000])).await.is_err());
        sender.send(1).await.unwrap();
        assert!(timeout(MILLISECOND, sender.send(2)).await.is_err());
    });
}

// claim("19", "| *timeout* | waits for the cleanup, however long | drops the future at the deadline | drops the future at the deadline |")
#[test]
fn a_timeout_drops_the_future() {
    let alive = Arc::new(());
    run(async {
        assert!(timeout(MILLISECOND, waits(&alive)).await.is_err());
        assert_eq!(living(&alive), 0);
    });
}

// claim("19", "`yield_now`: not at once, no promise of order")
#[test]
fn a_task_that_yields_waits_for_more_than_the_ready_ones() {
    run(async {
        let polls = spawn_busy();
        let yields = tokio::spawn(async move {
            yield_now().await;
            polls.load(SeqCst)
        });
        assert!(yields.await.unwrap() > 2, "it was 1, and 2 when all who were ready had run");
    });
}
