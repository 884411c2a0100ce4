//! Foreign code that calls back into the loop from unexpected places: from a waker's clone, wake and drop, from the
//! destructor of a future or of an output, from a panic.
//!
//! The loop must not hold a borrow at that time (invariant 4). So each test has to end without a `BorrowMutError` and
//! without a deadlock, and everything has to be dropped once.

#![forbid(unsafe_code)]
#![allow(clippy::async_yields_async, reason = "handles are carried out of a `block_on`")]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use roundel::{JoinHandle, Runtime, spawn, time, yield_now};

/// Calls a closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A task that waits for ever, and calls `f` when its future is dropped.
fn spawn_with_last_word(f: impl FnMut() + 'static) -> JoinHandle<()> {
    spawn(async move {
        let _last = OnDrop(f);
        pending::<()>().await;
    })
}

/// A name whose conversion uses what the loop keeps beside its tasks.
struct Named;

impl From<Named> for std::borrow::Cow<'static, str> {
    fn from(_: Named) -> Self {
        roundel::spawn_named("inner", async {}).detach();
        "outer".into()
    }
}

#[test]
fn the_conversion_of_a_name_may_spawn_a_named_task() {
    roundel::run(async {
        let outer = roundel::spawn_named(Named, async {});
        assert_eq!(roundel::task::name(outer.id()).as_deref(), Some("outer"));
        outer.await.unwrap();
    });
}

#[test]
fn hazard_04_wake_never_polls_and_never_drops() {
    // The waking task holds a borrow that the woken task needs. If `wake` polled, this would panic.
    let shared = Rc::new(RefCell::new(0));
    roundel::run(async {
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        let (theirs, slot) = (Rc::clone(&shared), Rc::clone(&waker));
        let woken = spawn(async move {
            poll_fn(|cx| {
                if slot.replace(Some(cx.waker().clone())).is_some() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            *theirs.borrow_mut() += 1;
        });
        yield_now().await;
        let other = Rc::clone(&shared);
        let waking = spawn_with_last_word(move || {
            let borrowed = other.borrow_mut();
            let waker = waker.borrow().clone();
            waker.unwrap().wake();
            drop(borrowed);
        });
        yield_now().await;
        waking.cancel();
        woken.await.unwrap();
    });
    assert_eq!(*shared.borrow(), 1);
}

/// A waker that uses its own loop in every possible way whenever it is woken or dropped.
struct Meddler {
    calls: AtomicUsize,
}

impl Meddler {
    fn meddle(&self) {
        self.calls.fetch_add(1, Relaxed);
        let task = spawn(async { yield_now().await });
        task.cancel();
        drop(task);
        spawn(pending::<()>()).detach();
        // This changes the timers.
        let mut sleep = pin!(time::sleep(Duration::from_secs(1)));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        self.meddle();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        if roundel::task::current().is_some() {
            self.meddle();
        }
    }
}

/// Polls `future` once with a meddling waker. Afterwards only the future has a clone of that waker.
fn poll_with_meddler<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(Meddler { calls: AtomicUsize::new(0) }));
    std::pin::Pin::new(future).poll(&mut Context::from_waker(&waker))
}

#[test]
fn hazard_05_a_waker_that_calls_back_from_a_join_handle() {
    roundel::run(async {
        // The waker is woken by the end of the task.
        let mut handle = spawn(async {});
        assert!(poll_with_meddler(&mut handle).is_pending());
        yield_now().await;
        handle.await.unwrap();
        // The waker is replaced by another one, woken by a cancel, and dropped with the handle.
        let mut handle = spawn(pending::<()>());
        assert!(poll_with_meddler(&mut handle).is_pending());
        assert!(poll_with_meddler(&mut handle).is_pending());
        handle.cancel();
        let mut handle = spawn(pending::<()>());
        assert!(poll_with_meddler(&mut handle).is_pending());
        drop(handle);
    });
}

/// A waker that counts its wakes, and wakes nothing.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_handle_wakes_wakers_of_any_kind_and_only_the_last() {
    roundel::run(async {
        let counters = [Arc::new(Counter::default()), Arc::new(Counter::default())];
        let mut handle = spawn(yield_now());
        for counter in &counters {
            let waker = Waker::from(Arc::clone(counter));
            assert!(std::pin::Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        yield_now().await;
        yield_now().await;
        assert!(handle.is_finished());
        assert_eq!(counters.map(|counter| counter.0.load(Relaxed)), [0, 1]);
    });
}

#[test]
fn a_stale_waker_does_not_wake_the_slots_next_tenant() {
    roundel::run(async {
        let stale: Rc<RefCell<Option<Waker>>> = Rc::default();
        let theirs = Rc::clone(&stale);
        let first = spawn(poll_fn(move |cx| {
            theirs.replace(Some(cx.waker().clone()));
            Poll::Ready(())
        }));
        let slot = first.id().to_string();
        first.await.unwrap();
        let polls: Rc<Cell<u32>> = Rc::default();
        let count = Rc::clone(&polls);
        let second = spawn(poll_fn(move |_| {
            count.set(count.get() + 1);
            Poll::<()>::Pending
        }));
        let same_slot = second.id().to_string();
        assert_eq!(slot.split('.').next(), same_slot.split('.').next(), "the slot is used again");
        assert_ne!(slot, same_slot, "under another number");
        yield_now().await;
        stale.take().unwrap().wake();
        yield_now().await;
        assert_eq!(polls.get(), 1);
    });
}

#[test]
fn hazard_05_a_waker_that_calls_back_from_a_timer() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        // The waker is replaced, and then the timer fires.
        let mut sleep = time::sleep(Duration::from_millis(1));
        assert!(poll_with_meddler(&mut sleep).is_pending());
        assert!(poll_with_meddler(&mut sleep).is_pending());
        time::sleep(Duration::from_millis(2)).await;
        sleep.await;
        // The waker is dropped with the sleep.
        let mut sleep = time::sleep(Duration::from_millis(1));
        assert!(poll_with_meddler(&mut sleep).is_pending());
        drop(sleep);
    });
}

#[test]
fn hazard_05_a_waker_that_calls_back_from_a_remote_handle() {
    roundel::run(async {
        let mut handle = roundel::remote().spawn(|| async { 7 });
        assert!(poll_with_meddler(&mut handle).is_pending());
        assert!(poll_with_meddler(&mut handle).is_pending());
        assert_eq!(handle.await.unwrap(), 7);
        let mut handle = roundel::remote().spawn(pending::<()>);
        assert!(poll_with_meddler(&mut handle).is_pending());
        drop(handle);
    });
}

#[test]
fn hazard_05_a_waker_that_calls_back_from_a_shutdown() {
    let runtime = Runtime::new().unwrap();
    let (mut handle, mut sleep) =
        runtime.block_on(async { (spawn(pending::<()>()), time::sleep(Duration::from_secs(9))) });
    runtime.block_on(async {
        assert!(poll_with_meddler(&mut handle).is_pending());
        assert!(poll_with_meddler(&mut sleep).is_pending());
    });
    drop(runtime);
    assert!(handle.is_finished());
}

#[test]
fn hazard_06_destructors_that_wake_spawn_and_cancel_during_the_shutdown() {
    let drops: Rc<Cell<usize>> = Rc::default();
    // Virtual time, so that all tasks run before the time is up, however slow the machine is.
    let builder = Runtime::builder().virtual_time(true).shutdown_timeout(Duration::from_secs(60));
    let runtime = builder.build().unwrap();
    let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
    let handles: Rc<RefCell<Vec<JoinHandle<()>>>> = Rc::default();
    runtime.block_on(async {
        for i in 0..50 {
            let (drops, wakers, others) = (Rc::clone(&drops), Rc::clone(&wakers), Rc::clone(&handles));
            let count = Rc::clone(&drops);
            let mischief = move || {
                drops.set(drops.get() + 1);
                wakers.borrow().iter().for_each(Waker::wake_by_ref);
                let count = Rc::clone(&drops);
                spawn_with_last_word(move || count.set(count.get() + 1)).detach();
                others.borrow()[(i * 7) % 50].cancel();
            };
            handles.borrow_mut().push(spawn_with_last_word(mischief));
            drop(count);
        }
        spawn({
            let wakers = Rc::clone(&wakers);
            poll_fn(move |cx| {
                wakers.borrow_mut().push(cx.waker().clone());
                Poll::<()>::Pending
            })
        })
        .detach();
        yield_now().await;
        yield_now().await;
    });
    drop(runtime);
    assert_eq!(drops.get(), 100, "fifty tasks, and the fifty that their destructors spawned");
    assert!(handles.borrow().iter().all(JoinHandle::is_finished));
    // Wakers that outlive their runtime, here and on another thread.
    wakers.borrow().iter().for_each(Waker::wake_by_ref);
    let late = wakers.take();
    std::thread::spawn(move || late.into_iter().for_each(Waker::wake)).join().unwrap();
}

/// Spawns another task with such a value when it is dropped, `left` times in all.
struct Undead {
    drops: Rc<Cell<u32>>,
    left: u32,
}

impl Drop for Undead {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        if self.left > 0 {
            let next = Undead { drops: Rc::clone(&self.drops), left: self.left - 1 };
            spawn(async move {
                let _next = next;
                pending::<()>().await;
            })
            .detach();
        }
    }
}

/// How many values of a chain of [`Undead`] the shutdown drops.
fn bury_the_undead(generations: u32) -> u32 {
    let drops: Rc<Cell<u32>> = Rc::default();
    let runtime = Runtime::builder().shutdown_timeout(Duration::ZERO).build().unwrap();
    let first = Undead { drops: Rc::clone(&drops), left: generations };
    runtime.block_on(async {
        spawn(async move {
            let _first = first;
            pending::<()>().await;
        })
        .detach();
    });
    drop(runtime);
    drops.get()
}

#[test]
fn hazard_06_destructors_that_spawn_their_like() {
    let generations = if cfg!(miri) { 20 } else { 10_000 };
    assert_eq!(bury_the_undead(generations), generations + 1, "each is dropped, in the shutdown itself");
    if !cfg!(miri) {
        assert!(
            bury_the_undead(u32::MAX) < 1_000_000,
            "and if there is no end to them, the shutdown makes one"
        );
    }
}

#[test]
fn what_a_destructor_spawns_may_finish_within_the_shutdown_timeout() {
    let said: Rc<RefCell<Vec<&str>>> = Rc::default();
    // The timeout also limits the real time of a shutdown, so it is long.
    let runtime =
        Runtime::builder().virtual_time(true).shutdown_timeout(Duration::from_secs(50)).build().unwrap();
    runtime.block_on(async {
        let said = Rc::clone(&said);
        spawn_with_last_word(move || {
            for (seconds, word) in [(30, "in time"), (70, "too late")] {
                let said = Rc::clone(&said);
                spawn(async move {
                    time::sleep(Duration::from_secs(seconds)).await;
                    said.borrow_mut().push(word);
                })
                .detach();
            }
        })
        .detach();
        yield_now().await;
    });
    drop(runtime);
    assert_eq!(*said.borrow(), ["in time"]);
    assert_eq!(Rc::strong_count(&said), 1, "the one that came too late was dropped all the same");
}

#[test]
fn hazard_08_handles_in_a_circle_are_dropped_with_the_runtime() {
    let alive = Rc::new(());
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        // This task owns its own handle.
        let slot: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let (own, token) = (Rc::clone(&slot), Rc::clone(&alive));
        let handle = spawn(async move {
            let _hold = (own, token);
            pending::<()>().await;
        });
        slot.replace(Some(handle));
        // Two tasks that await each other.
        let slots: [Rc<RefCell<Option<JoinHandle<()>>>>; 2] = Default::default();
        for i in 0..2 {
            let (other, token) = (Rc::clone(&slots[1 - i]), Rc::clone(&alive));
            let handle = spawn(async move {
                let _token = token;
                yield_now().await;
                let handle = other.take().unwrap();
                handle.await.unwrap();
            });
            slots[i].replace(Some(handle));
        }
        for _ in 0..5 {
            yield_now().await;
        }
        assert_eq!(roundel::task::count(), 4);
    });
    drop(runtime);
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn a_task_cancelled_before_its_first_poll_releases_what_it_captured() {
    roundel::run(async {
        let captured = Rc::new(());
        let theirs = Rc::clone(&captured);
        let handle = spawn(async move {
            let _theirs = theirs;
            unreachable!("it is never polled");
        });
        handle.cancel();
        assert_eq!(Rc::strong_count(&captured), 1, "when cancel returns, all is released");
        assert!(handle.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_task_that_cancels_itself_ends_after_its_poll() {
    roundel::run(async {
        let slot: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let (own, steps) = (Rc::clone(&slot), Rc::new(Cell::new(0)));
        let theirs = Rc::clone(&steps);
        let handle = spawn(async move {
            own.borrow().as_ref().unwrap().cancel();
            theirs.set(1);
            yield_now().await;
            theirs.set(2);
        });
        slot.replace(Some(handle));
        yield_now().await;
        yield_now().await;
        let handle = slot.take().unwrap();
        assert!(handle.await.unwrap_err().is_cancelled());
        assert_eq!(steps.get(), 1, "to the end of the poll, and not further");
    });
}

#[test]
fn hazard_07_futures_and_outputs_die_on_the_loops_thread() {
    struct Here(std::thread::ThreadId);
    impl Drop for Here {
        fn drop(&mut self) {
            assert_eq!(std::thread::current().id(), self.0);
        }
    }
    let here = std::thread::current().id();
    let runtime = Runtime::new().unwrap();
    let slot: Arc<std::sync::Mutex<Option<Waker>>> = Arc::default();
    let theirs = Arc::clone(&slot);
    let handle = runtime.block_on(async {
        let handle = spawn(async move {
            let _here = Here(here);
            poll_fn(|cx| {
                theirs.lock().unwrap().replace(cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
            Here(here)
        });
        yield_now().await;
        handle
    });
    // The last waker is dropped on another thread. A future that another thread asks for is made and dropped on this
    // one.
    let remote = runtime.remote();
    let thread = std::thread::spawn(move || {
        slot.lock().unwrap().take().unwrap().wake();
        remote.spawn(move || async move {
            let _here = Here(here);
            pending::<()>().await;
        })
    });
    let remote_handle = thread.join().unwrap();
    runtime.block_on(yield_now());
    drop(runtime);
    assert!(handle.is_finished());
    assert!(remote_handle.wait().unwrap_err().is_cancelled());
}
