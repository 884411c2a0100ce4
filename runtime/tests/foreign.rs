//! Locks, channels and groups under a foreign executor: a `block_on` of twenty lines that knows nothing of this crate.
//!
//! Its waker is an `Arc`, and it polls its futures on a plain thread. There is no loop and no context.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use roundel::cancel::CancelToken;
use roundel::channel::{Queue, bounded, broadcast, oneshot, priority, unbounded, watch};
use roundel::group::{
    Scope, as_completed, for_each_concurrent, gather, join, race, scope, select, try_gather, try_scope,
};
use roundel::sync::{Barrier, Condition, Event, Mutex, Notify, OnceCell, RwLock, Semaphore};
use roundel::testing::{Sequencer, at_every_await};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        thread::park();
    }
}

/// Yields once, with the waker that it is given.
async fn give_way() {
    let mut given = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn locks() {
    block_on(async {
        let (mutex, rwlock, semaphore) = (Mutex::new(0), RwLock::new(0), Semaphore::new(2));
        gather((0..50).map(async |i| {
            let mut guard = mutex.lock().await;
            give_way().await;
            *guard += i;
            drop(guard);
            let _permit = semaphore.acquire().await.unwrap();
            if i % 10 == 0 {
                *rwlock.write().await += 1;
            } else {
                assert!(*rwlock.read().await <= 5);
            }
        }))
        .await;
        assert_eq!((mutex.into_inner(), rwlock.into_inner(), semaphore.available()), (1_225, 5, 2));
    });
}

#[test]
fn events_and_the_like() {
    block_on(async {
        let (event, notify, barrier, token) =
            (Event::new(), Notify::new(), Barrier::new(2), CancelToken::new());
        let (lock, condition, cell) = (Mutex::new(false), Condition::new(), OnceCell::new());
        let waits = async {
            event.wait().await;
            notify.notified().await;
            barrier.wait().await;
            assert!(*condition.wait_while(lock.lock().await, |ready| !*ready).await);
            cell.get_or_init(async || 7).await;
            token.cancelled().await;
        };
        let gives = async {
            give_way().await;
            event.set();
            give_way().await;
            notify.notify_one();
            barrier.wait().await;
            *lock.lock().await = true;
            condition.notify_all();
            give_way().await;
            token.cancel();
        };
        join!(waits, gives);
        assert_eq!(cell.get(), Some(&7));
    });
}

#[test]
fn channels() {
    block_on(async {
        for capacity in [0, 1, 7] {
            let (sender, receiver) = bounded(capacity);
            let sends = async move {
                for i in 0..100 {
                    sender.send(i).await.unwrap();
                }
            };
            let receives = async {
                let mut sum = 0;
                while let Ok(i) = receiver.recv().await {
                    sum += i;
                }
                sum
            };
            assert_eq!(join!(sends, receives).1, 4_950);
        }
        let (sender, receiver) = unbounded();
        let (urgent, sorted) = priority(3);
        let (one, shot) = oneshot();
        let (radio, mut heard) = broadcast(2);
        let (board, mut seen) = watch(0);
        let queue = Queue::new(1);
        join!(
            async {
                assert_eq!((receiver.recv().await, sorted.recv().await, shot.await), (Ok(1), Ok(2), Ok(3)));
            },
            async { assert_eq!(heard.recv().await, Ok(4)) },
            async { assert_eq!((seen.changed().await, *seen.borrow()), (Ok(()), 5)) },
            async {
                while queue.get().await.is_ok() {
                    queue.task_done();
                }
            },
            async {
                give_way().await;
                sender.send(1).await.unwrap();
                urgent.send(2).await.unwrap();
                one.send(3).unwrap();
                radio.send(4).unwrap();
                board.send(5).unwrap();
                for i in 0..10 {
                    queue.put(i).await.unwrap();
                }
                queue.join().await;
                queue.close();
            },
        );
    });
}

#[test]
fn groups() {
    block_on(async {
        let work = async |i: u32| {
            for _ in 0..i % 5 {
                give_way().await;
            }
            i
        };
        assert!(gather((0..1_000).map(work)).await.into_iter().eq(0..1_000));
        assert_eq!(
            try_gather((0..5).map(async |i| if work(i).await == 3 { Err(i) } else { Ok(i) })).await,
            Err(3)
        );
        assert_eq!(race([4, 1, 3].map(work)).await, 1);
        let mut ends = as_completed((0..500).map(work));
        let mut sum = 0;
        while let Some(i) = ends.next().await {
            sum += i;
        }
        let total = Cell::new(0);
        for_each_concurrent(7, 0..500, async |i| {
            let i = work(i).await;
            total.set(total.get() + i);
        })
        .await;
        assert_eq!((sum, total.get()), (124_750, 124_750));
        let chosen = select! {
            i = work(3) => i,
            i = work(1) => i + 10,
        };
        assert_eq!(chosen, 11);
    });
}

#[test]
fn scopes() {
    block_on(async {
        let log = RefCell::new(Vec::new());
        let result = scope(async |s: &Scope<'_>| {
            let children = [3, 1, 2].map(|i| {
                let log = &log;
                s.spawn(async move {
                    for _ in 0..i {
                        give_way().await;
                    }
                    log.borrow_mut().push(i);
                    i
                })
            });
            let mut sum = 0;
            for child in children {
                sum += child.await.unwrap();
            }
            sum
        })
        .await;
        assert_eq!((result, log.into_inner()), (6, vec![1, 2, 3]));
        let failed: Result<(), _> = try_scope(async |s| {
            drop(s.spawn(async { Err::<(), _>("no") }));
            std::future::pending().await
        })
        .await;
        assert_eq!(*failed.unwrap_err().first(), "no");
    });
}

#[test]
fn tools_for_tests() {
    block_on(async {
        let sequencer = Rc::new(Sequencer::new());
        gather([2, 1, 0].map(|turn| {
            let sequencer = sequencer.clone();
            async move { sequencer.turn(turn).await }
        }))
        .await;
        assert!(
            at_every_await(async |cut| assert!(cut.run(give_way()).await != Some(()) || !cut.is_made()))
                .await
                >= 3
        );
    });
}

/// The wakers of groups may go to any thread, so here another thread wakes them.
#[test]
fn wakes_from_other_threads() {
    fn after_a_thread() -> Pin<Box<dyn Future<Output = ()>>> {
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mut begun = false;
        Box::pin(std::future::poll_fn(move |cx| {
            if done.load(std::sync::atomic::Ordering::SeqCst) {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut begun, true) {
                let (done, waker) = (done.clone(), cx.waker().clone());
                thread::spawn(move || {
                    done.store(true, std::sync::atomic::Ordering::SeqCst);
                    waker.wake();
                });
            }
            Poll::Pending
        }))
    }
    for _ in 0..if cfg!(miri) { 2 } else { 200 } {
        block_on(async {
            gather((0..4).map(|_| after_a_thread())).await;
            join!(after_a_thread(), after_a_thread());
        });
    }
}

/// A `block_on` inside one of our tasks is a bad idea, but it ends: the budget does not stop it for ever.
#[test]
fn inside_a_task_of_ours() {
    roundel::run(async {
        block_on(async {
            let (sender, receiver) = bounded(1);
            for i in 0..1_000 {
                sender.send(i).await.unwrap();
                assert_eq!(receiver.recv().await, Ok(i));
            }
        });
    });
}
