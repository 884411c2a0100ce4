//! The contenders, each behind the same few names, and the programs that all of them run.
//!
//! Fairness. A workload is written once, in [`programs!`], and compiled for each contender, so nobody runs
//! another program than the others. What a contender's own users would write differently is in its module: how
//! it blocks, spawns, yields, sleeps. Every program returns a number that its caller checks.

#![forbid(unsafe_code)]
#![allow(missing_docs, missing_debug_implementations, reason = "a bench, read as source")]

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub mod echo;
pub mod faceoff;
pub mod vocabulary;

/// Wakes itself and returns `Pending` once: what everybody's scheduler understands, without help.
pub struct SelfWake(bool);

impl SelfWake {
    pub fn new() -> SelfWake {
        SelfWake(false)
    }
}

impl Default for SelfWake {
    fn default() -> SelfWake {
        SelfWake::new()
    }
}

impl Future for SelfWake {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Passes a turn to and fro between two tasks, with nothing of anybody's own channel in it.
#[derive(Clone, Default)]
pub struct LocalBaton(Rc<(Cell<u64>, RefCell<Option<Waker>>)>);

impl LocalBaton {
    pub fn pass(&self, value: u64) {
        self.0.0.set(value);
        let waker = self.0.1.take();
        waker.into_iter().for_each(Waker::wake);
    }

    pub async fn take(&self, expected: u64) {
        poll_fn(|cx| {
            if self.0.0.get() == expected {
                return Poll::Ready(());
            }
            self.0.1.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// The same for a contender whose futures have to be `Send`.
#[derive(Clone, Default)]
pub struct SendBaton(Arc<Mutex<(u64, Option<Waker>)>>);

impl SendBaton {
    pub fn pass(&self, value: u64) {
        let mut state = self.0.lock().unwrap();
        state.0 = value;
        let waker = state.1.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    pub async fn take(&self, expected: u64) {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap();
            if state.0 == expected {
                return Poll::Ready(());
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// The programs. Each returns how long its part took, and has checked its own result.
macro_rules! programs {
    () => {
        /// Spawn one empty task and await it, `n` times.
        pub fn spawn_one(n: u64) -> Duration {
            block_on(async move {
                let start = Instant::now();
                for _ in 0..n {
                    join(spawn(async {})).await;
                }
                start.elapsed()
            })
        }

        /// Spawn `batch` tasks, await them all, `n` times.
        pub fn spawn_many(batch: usize, n: u64) -> Duration {
            block_on(async move {
                let mut handles = Vec::with_capacity(batch);
                let mut took = Duration::ZERO;
                for _ in 0..n {
                    let start = Instant::now();
                    handles.extend((0..batch as u64).map(|i| spawn(async move { i })));
                    let mut sum = 0;
                    for handle in handles.drain(..) {
                        sum += join(handle).await;
                    }
                    took += start.elapsed();
                    assert_eq!(sum, (batch * (batch - 1) / 2) as u64);
                }
                took
            })
        }

        /// `tasks` tasks that wake themselves `times` times each.
        pub fn self_wake(tasks: usize, times: usize) -> Duration {
            block_on(async move {
                let start = Instant::now();
                let yields = || async move {
                    for _ in 0..times {
                        SelfWake::new().await;
                    }
                    times
                };
                let handles: Vec<_> = (0..tasks).map(|_| spawn(yields())).collect();
                let mut sum = 0;
                for handle in handles {
                    sum += join(handle).await;
                }
                assert_eq!(sum, tasks * times);
                start.elapsed()
            })
        }

        /// The contender's own `yield_now`, one task alone.
        pub fn lone_yield(n: u64) -> Duration {
            block_on(async move {
                let task = spawn(async move {
                    let start = Instant::now();
                    for _ in 0..n {
                        yield_now().await;
                    }
                    start.elapsed()
                });
                join(task).await
            })
        }

        /// Two tasks hand a number to and fro; `n` hops.
        pub fn ping_pong(n: u64) -> Duration {
            block_on(async move {
                let (there, back) = (Baton::default(), Baton::default());
                let (there2, back2) = (there.clone(), back.clone());
                let rounds = n.div_ceil(2);
                let start = Instant::now();
                let ponger = spawn(async move {
                    for round in 1..=rounds {
                        there2.take(round).await;
                        back2.pass(round);
                    }
                });
                let pinger = spawn(async move {
                    for round in 1..=rounds {
                        there.pass(round);
                        back.take(round).await;
                    }
                });
                join(ponger).await;
                join(pinger).await;
                start.elapsed()
            })
        }

        /// Create a sleep of five seconds, poll it once, drop it.
        pub fn sleep_churn(n: u64) -> Duration {
            block_on(async move {
                let start = Instant::now();
                for _ in 0..n {
                    let mut sleep = std::pin::pin!(sleep(Duration::from_secs(5)));
                    poll_fn(|cx| {
                        assert!(sleep.as_mut().poll(cx).is_pending());
                        Poll::Ready(())
                    })
                    .await;
                }
                start.elapsed()
            })
        }

        /// A timeout around a single yield.
        pub fn timeout_yield(n: u64) -> Duration {
            block_on(async move {
                let start = Instant::now();
                for _ in 0..n {
                    assert!(timeout(Duration::from_secs(5), SelfWake::new()).await.is_ok());
                }
                start.elapsed()
            })
        }

        /// `n` tasks that sleep between 100 and 200 ms: from the first spawn until the last has ended, less
        /// the 200 ms that nobody can save.
        pub fn many_sleepers(n: u64) -> Duration {
            block_on(async move {
                let start = Instant::now();
                let nap = |i: u64| Duration::from_nanos(100_000_000 + i * 7_919 % 100_000_000);
                let handles: Vec<_> = (0..n)
                    .map(|i| {
                        spawn(async move {
                            sleep(nap(i)).await;
                            1
                        })
                    })
                    .collect();
                let mut sum = 0;
                for handle in handles {
                    sum += join(handle).await;
                }
                assert_eq!(sum, n);
                start.elapsed().saturating_sub(Duration::from_millis(200))
            })
        }

        /// How late `n` sleeps of 1 ms end, each.
        pub fn lateness(n: u64) -> Vec<Duration> {
            block_on(async move {
                let mut late = Vec::new();
                for _ in 0..n {
                    let start = Instant::now();
                    sleep(Duration::from_millis(1)).await;
                    late.push(start.elapsed() - Duration::from_millis(1));
                }
                late
            })
        }

        /// How long after a wake on another thread the task runs, `n` times.
        pub fn remote_wake(n: u64) -> Vec<Duration> {
            block_on(crate::remote_wakes(n))
        }

        /// Spawns `n` tasks that wait for ever, or, `asleep`, for an hour; calls `before` and `after` it.
        pub fn hold_tasks(n: usize, asleep: bool, before: impl FnOnce(), after: impl FnOnce()) {
            block_on(async move {
                let mut handles = Vec::with_capacity(n);
                before();
                if asleep {
                    let nap = || async { sleep(Duration::from_secs(3600)).await };
                    handles.extend((0..n).map(|_| spawn(nap())));
                } else {
                    handles.extend((0..n).map(|_| spawn(std::future::pending::<()>())));
                }
                // Behind all of them in the queue: when this is over, each has been polled.
                SelfWake::new().await;
                SelfWake::new().await;
                after();
                drop(handles);
            });
        }
    };
}

/// A thread that wakes one task again and again; the task notes how long each wake took to arrive.
async fn remote_wakes(n: u64) -> Vec<Duration> {
    type Shared = Mutex<(Option<Waker>, Option<Instant>)>;
    let shared: Arc<Shared> = Arc::default();
    let theirs = Arc::clone(&shared);
    let thread = std::thread::spawn(move || {
        for _ in 0..n {
            let waker = loop {
                if let Some(waker) = theirs.lock().unwrap().0.take() {
                    break waker;
                }
                std::thread::sleep(Duration::from_micros(50));
            };
            // Long enough for the loop to have gone to sleep.
            std::thread::sleep(Duration::from_micros(200));
            theirs.lock().unwrap().1 = Some(Instant::now());
            waker.wake();
        }
    });
    let mut took = Vec::new();
    for _ in 0..n {
        poll_fn(|cx| {
            let mut state = shared.lock().unwrap();
            if let Some(woken) = state.1.take() {
                took.push(woken.elapsed());
                return Poll::Ready(());
            }
            state.0 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
    thread.join().unwrap();
    took
}

pub mod roundel {
    use super::*;
    pub use ::roundel::time::{sleep, timeout};
    pub use ::roundel::{spawn, yield_now};
    use LocalBaton as Baton;

    pub fn block_on<F: Future>(main: F) -> F::Output {
        ::roundel::run(main)
    }

    async fn join<T: 'static>(handle: ::roundel::JoinHandle<T>) -> T {
        handle.await.unwrap()
    }

    programs!();
}

/// tokio's current_thread runtime, through `spawn`.
pub mod tokio {
    use super::*;
    use ::tokio::task::JoinHandle;
    pub use ::tokio::task::yield_now;
    pub use ::tokio::time::{sleep, timeout};
    use SendBaton as Baton;

    pub use ::tokio::spawn;

    pub fn block_on<F: Future>(main: F) -> F::Output {
        ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(main)
    }

    async fn join<T>(handle: JoinHandle<T>) -> T {
        handle.await.unwrap()
    }

    programs!();
}

/// tokio's `LocalRuntime`, through `spawn_local`.
pub mod tokio_local {
    use super::*;
    use ::tokio::task::JoinHandle;
    pub use ::tokio::task::yield_now;
    pub use ::tokio::time::{sleep, timeout};
    use LocalBaton as Baton;

    pub use ::tokio::task::spawn_local as spawn;

    pub fn block_on<F: Future>(main: F) -> F::Output {
        ::tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(::tokio::runtime::LocalOptions::default())
            .unwrap()
            .block_on(main)
    }

    async fn join<T>(handle: JoinHandle<T>) -> T {
        handle.await.unwrap()
    }

    programs!();
}

/// smol's parts: async-executor's `LocalExecutor` and async-io's timers.
pub mod smol {
    use super::*;
    use ::async_executor::{LocalExecutor, Task};
    use LocalBaton as Baton;
    pub use futures_lite::future::yield_now;

    thread_local!(static EXECUTOR: &'static LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new())));

    pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
        EXECUTOR.with(|executor| executor.spawn(future))
    }

    pub async fn sleep(duration: Duration) {
        async_io::Timer::after(duration).await;
    }

    pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Result<T, ()> {
        futures_lite::future::or(async { Ok(future.await) }, async {
            async_io::Timer::after(duration).await;
            Err(())
        })
        .await
    }

    pub fn block_on<F: Future>(main: F) -> F::Output {
        let executor = EXECUTOR.with(|executor| *executor);
        async_io::block_on(executor.run(main))
    }

    async fn join<T>(task: Task<T>) -> T {
        task.await
    }

    programs!();
}

/// monoio on epoll.
pub mod monoio {
    use super::*;
    use ::monoio::task::JoinHandle;
    use ::monoio::{LegacyDriver, RuntimeBuilder};
    use LocalBaton as Baton;

    pub use ::monoio::spawn;
    pub use ::monoio::time::{sleep, timeout};

    /// It has none of its own; this is what its users write.
    pub fn yield_now() -> SelfWake {
        SelfWake::new()
    }

    pub fn block_on<F: Future>(main: F) -> F::Output {
        RuntimeBuilder::<LegacyDriver>::new().enable_timer().build().unwrap().block_on(main)
    }

    async fn join<T>(handle: JoinHandle<T>) -> T {
        handle.await
    }

    programs!();
}
