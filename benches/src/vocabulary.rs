//! What tasks say to one another: the same programs over roundel's channels, locks and groups and over tokio's, both on one
//! thread.
//!
//! Fairness. Each program is written once. Where the two have different names, a line in the contender's module says what
//! its own users would write: tokio has no `gather` or `scope`, so its `JoinSet` stands for both.

use std::time::{Duration, Instant};

use crate::SelfWake;

macro_rules! vocabulary {
    () => {
        /// A value from one end of a fresh channel to the other, which waits for it.
        pub fn oneshot_round_trip(n: u64) -> Duration {
            block_on(async move {
                let start = Instant::now();
                for i in 0..n {
                    let (sender, mut receiver) = oneshot();
                    poll_once(&mut receiver).await;
                    sender.send(i).unwrap();
                    assert_eq!(receiver.await.unwrap(), i);
                }
                start.elapsed()
            })
        }

        /// `n` messages from one task to another through a channel of this capacity.
        pub fn bounded_messages(capacity: usize, n: u64) -> Duration {
            block_on(async move {
                let start = Instant::now();
                let (sender, mut receiver) = bounded(capacity);
                let producer = spawn(async move {
                    for i in 0..n {
                        sender.send(i).await.unwrap();
                    }
                });
                let mut sum = 0;
                for _ in 0..n {
                    sum += recv!(receiver);
                }
                assert_eq!(sum, n * n.saturating_sub(1) / 2);
                join(producer).await;
                start.elapsed()
            })
        }

        /// The same without a limit.
        pub fn unbounded_messages(n: u64) -> Duration {
            block_on(async move {
                let start = Instant::now();
                let (sender, mut receiver) = unbounded();
                let producer = spawn(async move {
                    for i in 0..n {
                        send_unbounded!(sender, i);
                        if i % 100 == 99 {
                            SelfWake::new().await;
                        }
                    }
                });
                let mut sum = 0;
                for _ in 0..n {
                    sum += recv!(receiver);
                }
                assert_eq!(sum, n * n.saturating_sub(1) / 2);
                join(producer).await;
                start.elapsed()
            })
        }

        /// Five producers, one consumer.
        pub fn five_producers(n: u64) -> Duration {
            block_on(async move {
                let start = Instant::now();
                let (sender, mut receiver) = bounded(1_000);
                for _ in 0..5 {
                    let sender = sender.clone();
                    drop(spawn(async move {
                        for i in 0..n {
                            sender.send(i).await.unwrap();
                        }
                    }));
                }
                for _ in 0..5 * n {
                    recv!(receiver);
                }
                start.elapsed()
            })
        }

        pub fn mutex_uncontended(n: u64) -> Duration {
            block_on(async move {
                let mutex = Mutex::new(0);
                let start = Instant::now();
                for _ in 0..n {
                    *mutex.lock().await += 1;
                }
                assert_eq!(*mutex.lock().await, n);
                start.elapsed()
            })
        }

        /// A hundred tasks that all want the lock, `n` times each, and give way while they have it.
        pub fn mutex_of_100(n: u64) -> Duration {
            block_on(async move {
                let mutex = Shared::new(Mutex::new(0));
                let start = Instant::now();
                let tasks: Vec<_> = (0..100)
                    .map(|_| {
                        let mutex = mutex.clone();
                        spawn(async move {
                            for _ in 0..n {
                                let mut guard = mutex.lock().await;
                                SelfWake::new().await;
                                *guard += 1;
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    join(task).await;
                }
                assert_eq!(*mutex.lock().await, 100 * n);
                start.elapsed()
            })
        }

        pub fn semaphore_uncontended(n: u64) -> Duration {
            block_on(async move {
                let semaphore = Semaphore::new(10);
                let start = Instant::now();
                for _ in 0..n {
                    drop(semaphore.acquire().await.unwrap());
                }
                start.elapsed()
            })
        }

        /// A hundred tasks, ten permits.
        pub fn semaphore_of_100(n: u64) -> Duration {
            block_on(async move {
                let semaphore = Shared::new(Semaphore::new(10));
                let start = Instant::now();
                let tasks: Vec<_> = (0..100)
                    .map(|_| {
                        let semaphore = semaphore.clone();
                        spawn(async move {
                            for _ in 0..n {
                                let _permit = semaphore.acquire().await.unwrap();
                                SelfWake::new().await;
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    join(task).await;
                }
                start.elapsed()
            })
        }

        /// So many wait; all are woken, `n` times.
        pub fn notify(waiters: u64, n: u64) -> Duration {
            block_on(async move {
                let shared = Shared::new((Notify::new(), Semaphore::new(0)));
                let tasks: Vec<_> = (0..waiters)
                    .map(|_| {
                        let shared = shared.clone();
                        spawn(async move {
                            for _ in 0..n {
                                let notified = shared.0.notified();
                                shared.1.add_permits(1);
                                notified.await;
                            }
                        })
                    })
                    .collect();
                let start = Instant::now();
                for _ in 0..n {
                    // Until all stand there again.
                    acquire_many!(shared.1, waiters).unwrap().forget();
                    notify_all!(shared.0);
                }
                for task in tasks {
                    join(task).await;
                }
                start.elapsed()
            })
        }

        /// Each of `n` values to ten receivers.
        pub fn broadcast_to_10(n: u64) -> Duration {
            block_on(async move {
                let (sender, first) = broadcast(128);
                drop(first);
                let tasks: Vec<_> = (0..10)
                    .map(|_| {
                        let mut receiver = sender.subscribe();
                        spawn(async move {
                            let mut sum = 0;
                            for _ in 0..n {
                                sum += receiver.recv().await.unwrap();
                            }
                            sum
                        })
                    })
                    .collect();
                let start = Instant::now();
                for i in 0..n {
                    sender.send(i).unwrap();
                    if i % 64 == 63 {
                        SelfWake::new().await;
                    }
                }
                for task in tasks {
                    assert_eq!(join(task).await, n * n.saturating_sub(1) / 2);
                }
                start.elapsed()
            })
        }

        /// `n` changes, each seen by ten before the next.
        pub fn watch_by_10(n: u64) -> Duration {
            block_on(async move {
                let (sender, first) = watch(0);
                let tasks: Vec<_> = (0..10)
                    .map(|_| {
                        let mut receiver = first.clone();
                        spawn(async move {
                            let mut seen = 0;
                            while seen < n {
                                receiver.changed().await.unwrap();
                                seen = *receiver.borrow_and_update();
                            }
                        })
                    })
                    .collect();
                let start = Instant::now();
                SelfWake::new().await;
                for i in 1..=n {
                    sender.send(i).unwrap();
                    SelfWake::new().await;
                }
                for task in tasks {
                    join(task).await;
                }
                start.elapsed()
            })
        }

        /// A server that answers each request through a channel of its own.
        pub fn request_reply(n: u64) -> Duration {
            block_on(async move {
                let (sender, mut receiver) = bounded::<(u64, ReplyTo)>(16);
                let server = spawn(async move {
                    for _ in 0..n {
                        let (request, reply) = recv!(receiver);
                        reply.send(request + 1).unwrap();
                    }
                });
                let start = Instant::now();
                for i in 0..n {
                    let (reply, answer) = oneshot();
                    sender.send((i, reply)).await.ok().unwrap();
                    assert_eq!(answer.await.unwrap(), i + 1);
                }
                join(server).await;
                start.elapsed()
            })
        }

        /// A thousand futures that give way once, all at once, `n` times.
        pub fn gather_1000(n: u64) -> Duration {
            block_on(async move {
                let start = Instant::now();
                for _ in 0..n {
                    let results = gather_all((0..1_000_u64).map(|i| async move {
                        SelfWake::new().await;
                        i
                    }))
                    .await;
                    assert_eq!(results, 499_500);
                }
                start.elapsed()
            })
        }

        /// The same as children that are spawned one by one.
        pub fn scope_1000(n: u64) -> Duration {
            block_on(async move {
                let start = Instant::now();
                for _ in 0..n {
                    scope_all(1_000).await;
                }
                start.elapsed()
            })
        }

        /// An empty job to a worker thread and back.
        pub fn unblock_round_trip(n: u64) -> Duration {
            block_on(async move {
                let start = Instant::now();
                for i in 0..n {
                    assert_eq!(unblock(move || i).await.unwrap(), i);
                }
                start.elapsed()
            })
        }
    };
}

/// Polls a future once, in the task that runs.
async fn poll_once<F: Future + Unpin>(future: &mut F) {
    std::future::poll_fn(|cx| {
        assert!(std::pin::Pin::new(&mut *future).poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
}

pub mod roundel {
    use super::*;
    use ::roundel::blocking::unblock;
    use ::roundel::channel::{bounded, broadcast, oneshot, unbounded, watch};
    use ::roundel::group::{Scope, gather, scope};
    use ::roundel::spawn;
    use ::roundel::sync::{Mutex, Notify, Semaphore};
    use std::rc::Rc as Shared;

    type ReplyTo = ::roundel::channel::OneshotSender<u64>;

    fn block_on<F: Future>(main: F) -> F::Output {
        ::roundel::run(main)
    }

    async fn join<T: 'static>(handle: ::roundel::JoinHandle<T>) -> T {
        handle.await.unwrap()
    }

    async fn gather_all<F: Future<Output = u64>>(futures: impl Iterator<Item = F>) -> u64 {
        gather(futures).await.into_iter().sum()
    }

    async fn scope_all(n: usize) {
        let done = std::cell::Cell::new(0);
        scope(async |s: &Scope<'_>| {
            for _ in 0..n {
                drop(s.spawn(async {
                    SelfWake::new().await;
                    done.set(done.get() + 1);
                }));
            }
        })
        .await;
        assert_eq!(done.get(), n);
    }

    macro_rules! recv {
        ($receiver:ident) => {{
            let receiver = &mut $receiver;
            receiver.recv().await.unwrap()
        }};
    }
    macro_rules! send_unbounded {
        ($sender:ident, $value:expr) => {
            $sender.send($value).await.unwrap()
        };
    }
    macro_rules! acquire_many {
        ($semaphore:expr, $n:expr) => {
            $semaphore.acquire_many($n as usize).await
        };
    }
    macro_rules! notify_all {
        ($notify:expr) => {
            $notify.notify_all()
        };
    }

    vocabulary!();
}

/// tokio's primitives on its current_thread runtime.
pub mod tokio {
    use super::*;
    use ::tokio::spawn;
    use ::tokio::sync::broadcast::channel as broadcast;
    use ::tokio::sync::mpsc::{channel as bounded, unbounded_channel as unbounded};
    use ::tokio::sync::oneshot::channel as oneshot;
    use ::tokio::sync::watch::channel as watch;
    use ::tokio::sync::{Mutex, Notify, Semaphore};
    use ::tokio::task::{JoinHandle, JoinSet, spawn_blocking as unblock};
    use std::sync::Arc as Shared;

    type ReplyTo = ::tokio::sync::oneshot::Sender<u64>;

    fn block_on<F: Future>(main: F) -> F::Output {
        ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(main)
    }

    async fn join<T>(handle: JoinHandle<T>) -> T {
        handle.await.unwrap()
    }

    async fn gather_all<F>(futures: impl Iterator<Item = F>) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let mut set: JoinSet<u64> = futures.collect();
        let mut sum = 0;
        while let Some(value) = set.join_next().await {
            sum += value.unwrap();
        }
        sum
    }

    async fn scope_all(n: usize) {
        let done = Shared::new(std::sync::atomic::AtomicUsize::new(0));
        let mut set = JoinSet::new();
        for _ in 0..n {
            let done = done.clone();
            set.spawn(async move {
                SelfWake::new().await;
                done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            });
        }
        while set.join_next().await.is_some() {}
        assert_eq!(done.load(std::sync::atomic::Ordering::Relaxed), n);
    }

    macro_rules! recv {
        ($receiver:ident) => {
            $receiver.recv().await.unwrap()
        };
    }
    macro_rules! send_unbounded {
        ($sender:ident, $value:expr) => {
            $sender.send($value).unwrap()
        };
    }
    macro_rules! acquire_many {
        ($semaphore:expr, $n:expr) => {
            $semaphore.acquire_many($n as u32).await
        };
    }
    macro_rules! notify_all {
        ($notify:expr) => {
            $notify.notify_waiters()
        };
    }

    vocabulary!();
}
