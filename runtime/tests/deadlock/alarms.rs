//! What looks like a deadlock and is none: nothing may be told.

use super::*;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use roundel::group::ScopedHandle;
use roundel::probe;

/// Runs a program on virtual time. Nothing may be told, and it has to end.
fn says_nothing(name: &str, main: impl Future) {
    let (builder, told) = noting(Runtime::builder().virtual_time(true));
    builder.build().unwrap().block_on(main);
    assert!(told.borrow().is_empty(), "{name}: {}", told.borrow()[0]);
}

/// Goes on for ever, so that the loop as a whole is never blocked.
fn tick() {
    spawn(async {
        loop {
            time::sleep(SECOND).await;
        }
    })
    .detach();
}

/// A place for a waker that other code keeps, and whether it was woken.
#[derive(Clone, Default)]
struct Kept(Arc<(AtomicBool, Lock<Option<Waker>>)>);

impl Kept {
    async fn wait(&self) {
        poll_fn(|cx| {
            if self.0.0.load(SeqCst) {
                return Poll::Ready(());
            }
            *self.0.1.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn wake(&self) {
        self.0.0.store(true, SeqCst);
        let waker = self.0.1.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// Polls a future once.
async fn poll_once(mut future: impl Future + Unpin) {
    assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx).is_pending())).await);
}

/// A future that one task has polled, and that goes on in another one.
async fn moved(future: impl Future<Output = ()> + 'static) -> Main {
    let place = Rc::new(RefCell::new(Box::pin(future) as Main));
    let theirs = place.clone();
    let first = poll_fn(move |cx| Poll::Ready(theirs.borrow_mut().as_mut().poll(cx).is_pending()));
    assert!(spawn(first).await.unwrap());
    Rc::into_inner(place).unwrap().into_inner()
}

/// A thread wakes a task while the loop looks whether anything could. That takes long, because there are many tasks.
#[test]
fn a_wake_while_the_loop_looks() {
    let _watchdog = common::watchdog();
    const ROUNDS: u32 = if cfg!(miri) { 1 } else { 150 };
    says_nothing("a wake while the loop looks", async {
        let all: Vec<_> = (0..3_000).map(|_| spawn(pending::<()>())).collect();
        for round in 0..ROUNDS {
            let (kept, waits) = (Kept::default(), Arc::new(AtomicBool::new(false)));
            let (theirs, begins) = (kept.clone(), Arc::clone(&waits));
            let thread = std::thread::spawn(move || {
                while !begins.load(SeqCst) {
                    std::hint::spin_loop();
                }
                (0..round * 9_700 % 150_000).for_each(|_| std::hint::spin_loop());
                theirs.wake();
            });
            join_by_hand(kept.wait(), || waits.store(true, SeqCst)).await;
            thread.join().unwrap();
        }
        drop(all);
    });
}

/// Awaits a future with the task's own waker, and does something after each poll.
async fn join_by_hand(future: impl Future<Output = ()>, after: impl Fn()) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let poll = future.as_mut().poll(cx);
        after();
        poll
    })
    .await;
}

#[test]
fn a_group_that_has_moved_to_another_task_is_woken_by_a_thread() {
    let _watchdog = common::watchdog();
    says_nothing("a group that has moved", async {
        let kept = Kept::default();
        let theirs = kept.clone();
        let group = moved(async move { drop(gather([async move { kept.wait().await }]).await) }).await;
        later(move || theirs.wake());
        group.await;
    });
}

/// The lock for which a child of the group waits is noted for the task that has polled the child. When the child has it, our
/// lock is free, and the other task goes on.
#[test]
fn a_group_that_has_moved_to_another_task_gets_a_lock() {
    says_nothing("a group that has moved", async {
        tick();
        let (a, b) = two_locks();
        let other = locked_for(SECOND * 10).await;
        let group = moved(async move { drop(gather([async move { drop(other.lock().await) }]).await) }).await;
        let ours = a.lock().await;
        spawn(both(b.clone(), a.clone())).detach();
        yield_now().await;
        join!(
            async {
                group.await;
                drop(ours);
            },
            async { drop(b.lock().await) },
        );
    });
}

/// A task holds this lock for a while.
async fn locked_for(time: Duration) -> Rc<Mutex<()>> {
    let lock = Rc::new(Mutex::new(()));
    let theirs = lock.clone();
    spawn(async move {
        let _guard = theirs.lock().await;
        time::sleep(time).await;
    })
    .detach();
    yield_now().await;
    lock
}

/// It is queued before it begins to wait, so the loop has not heard of any wait of it by then.
#[test]
fn a_task_that_was_woken_in_its_first_poll() {
    says_nothing("a task that is queued", async {
        tick();
        let busy = || (0..5_000).for_each(|_| spawn(async { yield_now().await }).detach());
        let (a, b) = two_locks();
        let _a = a.lock().await;
        let (theirs, other) = (a.clone(), b.clone());
        busy();
        spawn(async move {
            let _b = other.lock().await;
            select! {
                () = yield_now() => {}
                _ = theirs.lock() => {}
            }
        })
        .detach();
        busy();
        yield_now().await;
        drop(b.lock().await);
    });
}

/// Other code may wake a task of the circle, which then goes on without the lock.
#[test]
fn a_task_whose_waker_is_kept() {
    says_nothing("a task whose waker is kept", async {
        let kept = Kept::default();
        let theirs = kept.clone();
        spawn(async move {
            for _ in 0..10 {
                time::sleep(SECOND).await;
            }
            theirs.wake();
        })
        .detach();
        gives_up_when_woken(kept).await;
    });
}

/// A circle with a task that gives up when it is woken.
async fn gives_up_when_woken(kept: Kept) {
    let (a, b) = two_locks();
    let _a = a.lock().await;
    let (theirs, other) = (a.clone(), b.clone());
    spawn(async move {
        let _b = other.lock().await;
        // No group: the waker that is kept is the task's own.
        let (mut lock, mut wait) = (pin!(theirs.lock()), pin!(kept.wait()));
        poll_fn(|cx| match wait.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => lock.as_mut().poll(cx).map(drop),
        })
        .await;
    })
    .detach();
    yield_now().await;
    drop(b.lock().await);
}

/// A thread has woken a task, which is still in the inbox when the loop looks.
#[test]
fn a_task_whose_wake_is_in_the_inbox() {
    let kept = Kept::default();
    let theirs = kept.clone();
    let (builder, told) = noting(Runtime::builder().virtual_time(true));
    let builder = builder.probe(move |event| {
        if let probe::Event::TimerFired { .. } = event {
            let theirs = theirs.clone();
            std::thread::spawn(move || theirs.wake()).join().unwrap();
        }
    });
    builder.build().unwrap().block_on(async {
        spawn(time::sleep(SECOND)).detach();
        gives_up_when_woken(kept).await;
    });
    assert!(told.borrow().is_empty(), "{}", told.borrow()[0]);
}

type Shared<T> = Rc<RefCell<Option<T>>>;

/// One task awaits the handle, and another one may cancel by it.
#[test]
fn a_handle_that_tasks_share() {
    says_nothing("a handle that tasks share", async {
        tick();
        let lock = Rc::new(Mutex::new(()));
        let _guard = lock.lock().await;
        let theirs = lock.clone();
        let shared = Rc::new(RefCell::new(spawn(async move { drop(theirs.lock().await) })));
        let handle = shared.clone();
        spawn(async move {
            time::sleep(SECOND * 10).await;
            handle.borrow().cancel();
        })
        .detach();
        let ended = poll_fn(|cx| Pin::new(&mut *shared.borrow_mut()).poll(cx)).await;
        assert!(ended.unwrap_err().is_cancelled());
    });
}

/// It was awaited, and then given away.
#[test]
fn a_handle_that_was_handed_over() {
    says_nothing("a handle that was handed over", async {
        tick();
        let (a, b) = two_locks();
        let _a = a.lock().await;
        let mut handle = spawn(both(b.clone(), a.clone()));
        poll_once(&mut handle).await;
        spawn(async move {
            time::sleep(SECOND * 10).await;
            handle.cancel();
        })
        .detach();
        yield_now().await;
        drop(b.lock().await);
    });
}

/// Its owner may cancel the child, which waits for a lock of a circle.
#[test]
fn a_handle_that_has_left_its_scope() {
    says_nothing("a handle that has left its scope", async {
        tick();
        let (a, b) = two_locks();
        let out: Shared<ScopedHandle<()>> = Rc::default();
        let handle = out.clone();
        spawn(async move {
            time::sleep(SECOND * 10).await;
            handle.borrow_mut().take().unwrap().cancel();
        })
        .detach();
        spawn(both(b.clone(), a.clone())).detach();
        let guard = a.lock().await;
        yield_now().await;
        scope(async |s| {
            *out.borrow_mut() = Some(s.spawn(async { drop(b.lock().await) }));
        })
        .await;
        drop(guard);
    });
}
