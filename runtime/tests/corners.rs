//! Unusual uses of the vocabulary, each of which a strict reviewer has tried.

#![forbid(unsafe_code)]

mod common;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_core::Stream;
use roundel::cancel::{CancelToken, with_cleanup};
use roundel::channel::{self, Queue, TryRecvError};
use roundel::group::{self, Scope, scope, try_scope};
use roundel::retry::Backoff;
use roundel::sync::{Barrier, Mutex, OnceCell, RateLimiter, Semaphore};
use roundel::testing::{Cut, at_every_await};
use roundel::time::{sleep, timeout};
use roundel::{Runtime, spawn, yield_now};

fn virtually<T>(main: impl Future<Output = T>) -> T {
    Runtime::builder().virtual_time(true).build().unwrap().block_on(main)
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

fn poll_with<T>(future: &mut Boxed<T>, waker: &Waker) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

fn poll<T>(future: &mut Boxed<T>) -> Poll<T> {
    poll_with(future, Waker::noop())
}

thread_local!(static ON_WAKE: RefCell<HashMap<usize, Box<dyn FnOnce()>>> = RefCell::default());

/// A waker that runs an action at its first wake.
struct Calls(usize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        let action = ON_WAKE.with(|actions| actions.borrow_mut().remove(&self.0));
        action.into_iter().for_each(|action| action());
    }
}

fn waker_that(action: impl FnOnce() + 'static) -> Waker {
    let number = ON_WAKE.with(|actions| {
        let mut actions = actions.borrow_mut();
        let number = actions.len();
        actions.insert(number, Box::new(action));
        number
    });
    Waker::from(Arc::new(Calls(number)))
}

/// Drops the content of a slot.
type Slot<T> = Rc<RefCell<Option<Boxed<T>>>>;

// Waiting.

#[test]
fn a_barrier_opens_for_the_tasks_that_had_come_and_for_none_that_comes_while_it_opens() {
    let barrier = Rc::new(Barrier::new(3));
    let wait = |barrier: &Rc<Barrier>| -> Boxed<bool> {
        let barrier = barrier.clone();
        Box::pin(async move { barrier.wait().await.is_leader() })
    };
    let (second, late): (Slot<bool>, Slot<bool>) = (Slot::default(), Slot::default());
    let mut first = wait(&barrier);
    let waker = waker_that({
        let (barrier, second, late) = (barrier.clone(), second.clone(), late.clone());
        move || {
            drop(second.take());
            let mut future = wait(&barrier);
            assert!(poll(&mut future).is_pending());
            late.replace(Some(future));
        }
    });
    assert!(poll_with(&mut first, &waker).is_pending());
    let mut future = wait(&barrier);
    assert!(poll(&mut future).is_pending());
    second.replace(Some(future));
    assert_eq!(poll(&mut wait(&barrier)), Poll::Ready(true));
    assert_eq!(poll(&mut first), Poll::Ready(false));
    let mut late = late.take().unwrap();
    assert!(poll(&mut late).is_pending(), "it came alone, after the barrier had opened");
}

#[test]
fn a_watch_does_not_say_closed_to_a_receiver_that_comes_while_others_are_woken() {
    let (sender, receiver) = channel::watch(0);
    let wait = |mut receiver: channel::WatchReceiver<i32>| -> Boxed<bool> {
        Box::pin(async move { receiver.changed().await.is_ok() })
    };
    let (second, late): (Slot<bool>, Slot<bool>) = (Slot::default(), Slot::default());
    let mut first = wait(receiver.clone());
    let sender = Rc::new(sender);
    let waker = waker_that({
        let (sender, second, late) = (sender.clone(), second.clone(), late.clone());
        move || {
            drop(second.take());
            let mut future = wait(sender.subscribe());
            assert!(poll(&mut future).is_pending());
            late.replace(Some(future));
        }
    });
    assert!(poll_with(&mut first, &waker).is_pending());
    let mut future = wait(receiver.clone());
    assert!(poll(&mut future).is_pending());
    second.replace(Some(future));
    sender.send(1).unwrap();
    assert_eq!(poll(&mut first), Poll::Ready(true));
    let mut late = late.take().unwrap();
    assert!(poll(&mut late).is_pending(), "the sender lives, and the value was seen");
}

#[test]
fn a_waiter_whose_waker_panics_when_it_is_dropped_still_lets_later_waiters_pass() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a waker that does not want to go");
        }
    }
    let semaphore = Rc::new(Semaphore::new(1));
    let take = |n| -> Boxed<()> {
        let semaphore = semaphore.clone();
        Box::pin(async move { semaphore.acquire_many(n).await.unwrap().forget() })
    };
    let mut many = take(2);
    {
        let waker = std::mem::ManuallyDrop::new(Waker::from(Arc::new(Bomb)));
        assert!(poll_with(&mut many, &waker).is_pending());
        // The waiter in the line has the last reference.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(std::mem::ManuallyDrop::into_inner(waker))));
    }
    let mut one = take(1);
    assert!(poll(&mut one).is_pending());
    let _ = catch_unwind(AssertUnwindSafe(|| drop(many)));
    assert!(poll(&mut one).is_ready(), "a permit is free and no waiter is before it");
}

// Channels.

#[test]
fn a_rendezvous_send_that_is_dropped_takes_its_value_back_also_after_a_close() {
    let (sender, receiver) = channel::bounded(0);
    let mut send: Boxed<_> = Box::pin({
        let sender = sender.clone();
        async move { sender.send(7).await }
    });
    assert!(poll(&mut send).is_pending());
    receiver.close();
    drop(send);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed), "the value went with its send");
}

#[test]
fn a_rendezvous_says_received_only_of_what_was_received() {
    let (sender, receiver) = channel::bounded(0);
    let send = |value: i32| -> Boxed<bool> {
        let sender = sender.clone();
        Box::pin(async move { sender.send(value).await.is_ok() })
    };
    // The first value goes in with a permit, and no send waits. The second send is polled at once, by its own waker.
    let mut permit: Boxed<_> = Box::pin({
        let sender = sender.clone();
        async move { sender.reserve().await.unwrap().send(1).unwrap() }
    });
    let second: Slot<bool> = Slot::default();
    let waker = waker_that({
        let second = second.clone();
        move || assert!(poll(second.borrow_mut().as_mut().unwrap()).is_pending())
    });
    assert!(poll(&mut permit).is_ready());
    let mut future = send(2);
    assert!(poll_with(&mut future, &waker).is_pending());
    second.replace(Some(future));
    assert_eq!(receiver.try_recv(), Ok(1));
    let mut second = second.take().unwrap();
    assert!(poll(&mut second).is_pending(), "2 has not been received");
    assert_eq!(receiver.try_recv(), Ok(2));
    assert_eq!(poll(&mut second), Poll::Ready(true));
}

#[test]
fn work_that_was_fetched_is_unfinished_although_its_put_was_dropped() {
    let queue = Queue::new(0);
    let mut get: Boxed<_> = Box::pin({
        let queue = queue.clone();
        async move { queue.get().await }
    });
    assert!(poll(&mut get).is_pending());
    let mut put: Boxed<_> = Box::pin({
        let queue = queue.clone();
        async move { queue.put(7).await }
    });
    assert!(poll(&mut put).is_pending());
    assert_eq!(poll(&mut get), Poll::Ready(Ok(7)));
    drop(put);
    assert_eq!(queue.unfinished(), 1, "a receiver has it in hand");
    queue.task_done();
    assert_eq!(queue.unfinished(), 0);
    // A value that is taken back is not counted.
    let mut put: Boxed<_> = Box::pin({
        let queue = queue.clone();
        async move { queue.put(8).await }
    });
    assert!(poll(&mut put).is_pending());
    assert_eq!(queue.unfinished(), 1);
    drop(put);
    assert_eq!(queue.unfinished(), 0);
    let mut put: Boxed<_> = Box::pin({
        let queue = queue.clone();
        async move { queue.put(9).await }
    });
    assert!(poll(&mut put).is_pending());
    queue.close();
    assert!(matches!(poll(&mut put), Poll::Ready(Err(_))));
    assert_eq!(queue.unfinished(), 0);
}

#[test]
fn a_put_that_is_dropped_after_one_task_done_too_many_does_not_underflow() {
    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    let mut put: Boxed<_> = Box::pin({
        let queue = queue.clone();
        async move { queue.put(2).await }
    });
    assert!(poll(&mut put).is_pending());
    queue.task_done();
    // This `task_done` is a mistake, but it is not noticed, because the waiting put is counted, too.
    let _ = catch_unwind(AssertUnwindSafe(|| queue.task_done()));
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(put)));
    assert!(dropped.is_ok(), "a destructor panicked for a mistake that was made elsewhere");
    assert!(queue.unfinished() <= 1);
}

#[test]
fn recv_gets_the_value_that_came_for_the_stream_of_the_same_receiver() {
    let (sender, mut receiver) = channel::bounded(1);
    let mut cx = Context::from_waker(Waker::noop());
    // The same state as after `timeout(…, stream.next())`.
    assert!(Pin::new(&mut receiver).poll_next(&mut cx).is_pending());
    sender.try_send(1).unwrap();
    assert_eq!(receiver.try_recv(), Ok(1), "it is our own claim");
    assert!(Pin::new(&mut receiver).poll_next(&mut cx).is_pending());
    sender.try_send(2).unwrap();
    let mut receive = Box::pin(receiver.recv());
    assert_eq!(receive.as_mut().poll(&mut cx), Poll::Ready(Ok(2)), "it is our own claim");
}

thread_local!(static MEDDLE: RefCell<Option<Box<dyn Fn()>>> = RefCell::default());

/// A value whose comparison also runs an action.
#[derive(Debug)]
struct Ranked(i32);

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> std::cmp::Ordering {
        let meddle = MEDDLE.with(|meddle| meddle.borrow_mut().take());
        meddle.into_iter().for_each(|meddle| meddle());
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.0 == other.0
    }
}

impl Eq for Ranked {}

#[test]
fn no_value_is_lost_if_a_receiver_asks_while_values_are_compared() {
    let (sender, receiver) = channel::priority(10);
    sender.try_send(Ranked(1)).unwrap();
    sender.try_send(Ranked(2)).unwrap();
    let other = receiver.clone();
    MEDDLE.set(Some(Box::new(move || assert!(other.try_recv().is_err()))));
    sender.try_send(Ranked(0)).unwrap();
    let got: Vec<i32> = std::iter::from_fn(|| receiver.try_recv().ok().map(|value| value.0)).collect();
    assert_eq!((got, receiver.len()), (vec![0, 1, 2], 0));
}

#[test]
fn a_comparison_that_panics_costs_neither_a_claim_nor_room() {
    let (sender, receiver) = channel::priority(2);
    sender.try_send(Ranked(1)).unwrap();
    MEDDLE.set(Some(Box::new(|| panic!("incomparable"))));
    assert!(catch_unwind(AssertUnwindSafe(|| sender.try_send(Ranked(0)))).is_err());
    let in_it = receiver.len();
    let got = std::iter::from_fn(|| receiver.try_recv().ok()).count();
    assert_eq!(got, in_it, "what is in can be received");
    for round in 0..4 {
        sender.try_send(Ranked(2)).unwrap();
        sender.try_send(Ranked(2)).unwrap_or_else(|error| panic!("round {round}: {error}"));
        // Taking the first of two values compares nothing, but merging may.
        while receiver.try_recv().is_ok() {}
    }
    let (sender, receiver) = channel::priority(3);
    for rank in [1, 2, 3] {
        sender.try_send(Ranked(rank)).unwrap();
    }
    MEDDLE.set(Some(Box::new(|| panic!("incomparable"))));
    assert!(catch_unwind(AssertUnwindSafe(|| receiver.try_recv())).is_err());
    MEDDLE.take();
    while receiver.try_recv().is_ok() {}
    assert_eq!(receiver.len(), 0);
    for _ in 0..3 {
        sender.try_send(Ranked(2)).expect("there is room for three");
    }
}

#[test]
fn to_print_what_prints_by_using_the_lock_or_channel_is_no_panic() {
    struct Prints(RefCell<Option<channel::WatchSender<Prints>>>);
    impl std::fmt::Debug for Prints {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            if let Some(sender) = self.0.take() {
                sender.replace(Prints(RefCell::default()));
            }
            f.write_str("Prints")
        }
    }
    let (sender, receiver) = channel::watch(Prints(RefCell::default()));
    receiver.borrow().0.replace(Some(sender.clone()));
    assert!(format!("{receiver:?}").contains("Prints"));

    #[derive(Default)]
    struct Locks(RefCell<Option<Rc<Mutex<Locks>>>>);
    impl std::fmt::Debug for Locks {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let mutex = self.0.borrow().clone();
            f.write_str(match mutex.is_some_and(|mutex| mutex.try_lock().is_some()) {
                true => "free",
                false => "locked",
            })
        }
    }
    let mutex = Rc::new(Mutex::new(Locks::default()));
    mutex.try_lock().unwrap().0.replace(Some(mutex.clone()));
    assert!(!format!("{mutex:?}").is_empty());
    mutex.try_lock().unwrap().0.take();
}

// Locks and the like.

#[test]
fn who_waits_for_a_once_cell_goes_on_when_it_is_set_by_hand() {
    virtually(async {
        let cell = Rc::new(OnceCell::new());
        let slow = spawn({
            let cell = cell.clone();
            async move { *cell.get_or_init(std::future::pending::<i32>).await }
        });
        yield_now().await;
        let waiter = spawn({
            let cell = cell.clone();
            async move { *cell.get_or_init(async || 1).await }
        });
        yield_now().await;
        cell.set(2).unwrap();
        let value = timeout(seconds(1), waiter).await;
        assert_eq!(value.expect("once the value is there, no task waits").unwrap(), 2);
        slow.cancel();
    });
}

#[test]
fn a_rate_too_slow_for_the_clock_is_still_a_limit() {
    virtually(async {
        let limiter = RateLimiter::new(1e-12, 2);
        assert!(limiter.try_acquire() && limiter.try_acquire());
        assert!(!limiter.try_acquire(), "a third in thirty thousand years");
        let limiter = RateLimiter::new(1e-6, 100_000);
        assert_eq!((0..200_000).filter(|_| limiter.try_acquire()).count(), 100_000);
    });
}

#[test]
fn too_many_permits_are_reported_at_the_callers_line() {
    let place = Rc::new(Cell::new(false));
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        let file = info.location().map(|location| location.file().to_owned());
        FILE.with(|place| *place.borrow_mut() = file);
    }));
    thread_local!(static FILE: RefCell<Option<String>> = RefCell::default());
    let semaphore = Semaphore::new(usize::MAX);
    let result = catch_unwind(AssertUnwindSafe(|| semaphore.add_permits(1)));
    std::panic::set_hook(before);
    assert!(result.is_err());
    place.set(FILE.with(|file| file.borrow().as_deref().is_some_and(|file| file.ends_with("corners.rs"))));
    assert!(place.get(), "reported at {:?}", FILE.with(|file| file.borrow().clone()));
}

#[test]
fn a_permit_that_comes_back_to_a_full_count_is_no_panic_in_a_destructor() {
    let semaphore = Semaphore::new(usize::MAX);
    let permit = semaphore.try_acquire().unwrap();
    semaphore.add_permits(1);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(permit))).is_ok());
    assert_eq!(semaphore.available(), usize::MAX);
}

// Groups.

#[test]
fn a_body_that_spawns_and_gives_way_lets_other_tasks_run() {
    virtually(async {
        let others = Rc::new(Cell::new(0));
        let other = spawn({
            let others = others.clone();
            async move {
                loop {
                    others.set(others.get() + 1);
                    yield_now().await;
                }
            }
        });
        scope(async |s: &Scope<'_>| {
            for _ in 0..1_000 {
                drop(s.spawn(async {}));
                yield_now().await;
            }
        })
        .await;
        assert!(others.get() > 500, "in a thousand turns another task ran {} times", others.get());
        other.cancel();
    });
}

#[test]
fn children_that_panic_when_dropped_before_they_were_polled_do_not_end_the_process() {
    struct Bomb(&'static str);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("{}", self.0);
        }
    }
    common::alone("children_that_panic_when_dropped_before_they_were_polled_do_not_end_the_process", || {
        virtually(async {
            let wait = |bomb: Bomb| async move {
                let _bomb = bomb;
                std::future::pending::<()>().await;
            };
            let task = spawn(async move {
                scope(async |s: &Scope<'_>| {
                    drop(s.spawn(wait(Bomb("one"))));
                    drop(s.spawn(wait(Bomb("two"))));
                    panic!("the cause");
                })
                .await;
            });
            assert!(task.await.unwrap_err().to_string().ends_with("panicked: the cause"));
            let task = spawn(async move {
                scope(async |s: &Scope<'_>| {
                    drop(s.spawn(wait(Bomb("one"))));
                    yield_now().await;
                    drop(s.spawn(wait(Bomb("two"))));
                    s.cancel();
                    std::future::pending::<()>().await;
                })
                .await;
            });
            assert!(task.await.unwrap_err().to_string().ends_with("panicked: one"));
        });
    });
}

#[test]
fn a_handle_of_a_child_that_failed_does_not_say_cancelled() {
    virtually(async {
        let notify = roundel::sync::Notify::new();
        let result = try_scope(async |s| {
            let child = s.spawn(async {
                group::join!(yield_now(), async { notify.notify_one() });
                Err::<(), _>("the disk is full")
            });
            let heard = async {
                notify.notified().await;
                std::future::pending::<()>().await;
            };
            group::select! {
                result = child => result.unwrap(),
                () = heard => {}
            }
            Ok(())
        })
        .await;
        assert_eq!(result.unwrap_err().errors(), ["the disk is full"]);
    });
}

#[test]
fn the_body_hears_of_a_cancel_that_took_children_which_had_not_been_polled() {
    let _watchdog = common::watchdog();
    virtually(async {
        let ended = scope(async |s: &Scope<'_>| {
            let before = s.spawn(std::future::pending::<()>());
            s.cancel();
            let after = s.spawn(async { 7 });
            (before.await.is_err(), after.await.is_err())
        })
        .await;
        assert_eq!(ended, (true, true));
    });
}

#[test]
fn an_outcome_is_also_a_panic_of_a_destructor() {
    struct Bomb(bool);
    impl Future for Bomb {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0, "in the drop");
        }
    }
    virtually(async {
        let outcomes = group::gather_outcomes([Bomb(true), Bomb(false)]).await;
        assert!(outcomes[0].as_ref().unwrap_err().is_panic() && outcomes[1].is_ok());
    });
}

// Cleanups.

type Log = Rc<RefCell<Vec<String>>>;

fn say(log: &Log, text: &'static str, after: Duration) -> impl FnOnce() -> Boxed<()> + use<> {
    let log = log.clone();
    move || {
        Box::pin(async move {
            sleep(after).await;
            log.borrow_mut().push(text.to_owned());
        })
    }
}

#[test]
fn a_cleanup_that_panicked_is_not_polled_again() {
    struct Once(Rc<Cell<u32>>);
    impl Future for Once {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.0.set(self.0.get() + 1);
            panic!("the cleanup panicked");
        }
    }
    virtually(async {
        let polls = Rc::new(Cell::new(0));
        let theirs = polls.clone();
        let task = spawn(with_cleanup(async {}, move || Once(theirs)));
        assert!(task.await.unwrap_err().is_panic());
        sleep(seconds(1)).await;
        assert_eq!(polls.get(), 1);
    });
}

#[test]
fn an_outer_cleanup_runs_although_the_inner_one_panicked() {
    virtually(async {
        let log = Log::default();
        let inner = with_cleanup(std::future::pending::<()>(), async || panic!("the inner cleanup"));
        let task = spawn(with_cleanup(inner, say(&log, "outer", seconds(1))));
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().to_string().ends_with("panicked: the inner cleanup"));
        assert_eq!(*log.borrow(), ["outer"]);
    });
}

#[test]
fn each_cleanup_has_its_own_grace_also_after_another() {
    virtually(async {
        let log = Log::default();
        let inner = with_cleanup(std::future::pending::<()>(), say(&log, "inner", seconds(4)));
        let task = spawn(with_cleanup(inner, say(&log, "outer", seconds(3))));
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(*log.borrow(), ["inner", "outer"], "five seconds each, if not set");
    });
}

#[test]
fn a_cleanup_that_has_begun_has_the_shutdown_timeout() {
    // The timeout also limits the real time of a shutdown, so it is long.
    let runtime = |timeout| Runtime::builder().virtual_time(true).shutdown_timeout(timeout).build().unwrap();
    // A cleanup of a task that was cancelled before the end …
    let log = Log::default();
    let long = runtime(seconds(60));
    long.block_on(async {
        let task = spawn(with_cleanup(std::future::pending::<()>(), say(&log, "cancelled", millis(300))));
        yield_now().await;
        task.cancel();
    });
    drop(long);
    assert_eq!(*log.borrow(), ["cancelled"]);
    // … of a future that was dropped while its task lived on …
    let log = Log::default();
    let long = runtime(seconds(60));
    long.block_on(async {
        let session = with_cleanup(std::future::pending::<()>(), say(&log, "timeout", millis(300)));
        assert!(timeout(millis(1), session).await.is_err());
    });
    drop(long);
    assert_eq!(*log.borrow(), ["timeout"]);
    // … and it has no more time than the timeout.
    let log = Log::default();
    let short = runtime(millis(100));
    short.block_on(async {
        let session = with_cleanup(std::future::pending::<()>(), say(&log, "too late", millis(300)));
        assert!(timeout(millis(1), session).await.is_err());
    });
    drop(short);
    assert!(log.borrow().is_empty());
}

#[test]
fn a_body_that_panics_when_dropped_on_top_of_a_panic_does_not_end_the_process() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a consequence");
        }
    }
    common::alone("a_body_that_panics_when_dropped_on_top_of_a_panic_does_not_end_the_process", || {
        virtually(async {
            let log = Log::default();
            let cleanup = say(&log, "clean", seconds(1));
            let task = spawn(async move {
                let bomb = Bomb;
                let body = async move {
                    let _bomb = bomb;
                    std::future::pending::<()>().await;
                };
                let mut session = Box::pin(with_cleanup(body, cleanup));
                assert!(session.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                panic!("the cause");
            });
            assert!(task.await.unwrap_err().to_string().ends_with("panicked: the cause"));
            sleep(seconds(2)).await;
            assert_eq!(*log.borrow(), ["clean"]);
        });
    });
}

#[test]
fn a_panic_that_left_a_cleanup_is_heard_of_although_the_cleanup_is_cut() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the body's guard");
        }
    }
    virtually(async {
        let bomb = Bomb;
        let body = async move {
            let _bomb = bomb;
            std::future::pending::<()>().await;
        };
        let task = spawn(with_cleanup(body, async || sleep(seconds(1)).await));
        yield_now().await;
        task.cancel();
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_panic());
    });
}

#[test]
fn cancelled_again_a_task_ends_also_if_its_cleanup_has_a_cleanup() {
    virtually(async {
        let log = Log::default();
        let nested = say(&log, "nested", seconds(1));
        let cleanup = move || async move {
            with_cleanup(std::future::pending::<()>(), nested).await;
        };
        let task = spawn(with_cleanup(std::future::pending::<()>(), cleanup));
        yield_now().await;
        task.cancel();
        yield_now().await;
        task.cancel();
        assert!(task.is_finished(), "a second cancel cuts the cleanup short");
    });
}

// The rest.

#[test]
fn who_is_woken_by_a_token_finds_all_below_it_cancelled() {
    let parent = CancelToken::new();
    let child = parent.child();
    let mut waiting: Boxed<()> = Box::pin({
        let parent = parent.clone();
        async move { parent.cancelled().await }
    });
    let seen = Rc::new(Cell::new(false));
    let waker = waker_that({
        let seen = seen.clone();
        move || seen.set(child.is_cancelled())
    });
    assert!(poll_with(&mut waiting, &waker).is_pending());
    parent.cancel();
    assert!(seen.get());
}

#[test]
fn no_delay_times_anything_is_no_delay() {
    let mut delays = Backoff::exponential(Duration::ZERO).attempts(2_000).delays();
    assert!(delays.all(|delay| delay.is_zero()));
}

#[test]
fn every_await_of_a_program_that_runs_two_things_through_its_cut_is_cut() {
    virtually(async {
        let (first, second) = (Cell::new(0), Cell::new(0));
        let places = at_every_await(async |cut: &Cut| {
            if cut.run(yield_now()).await.is_none() {
                first.set(first.get() + 1);
            } else if cut.run(yield_now()).await.is_none() {
                second.set(second.get() + 1);
            }
        })
        .await;
        assert_eq!((places, first.get(), second.get()), (6, 3, 3));
    });
}

roundel::task_local! { static NUMBER: u8; }

#[test]
fn a_scope_of_a_task_local_keeps_its_value_also_when_it_is_polled_outside_a_loop() {
    let mut scope: Boxed<Option<u8>> = Box::pin(NUMBER.scope(7, async {
        yield_now().await;
        NUMBER.get()
    }));
    assert!(poll(&mut scope).is_pending());
    assert_eq!(virtually(scope), Some(7));
}
