//! How tasks communicate: the programs for contenders that have channels and locks.
//!
//! Facts. Some contenders have everything, some have queues and locks, some have nothing.
//!
//! What follows. There is one macro for each kind, so that a module takes what it has: [`messages!`], [`locks!`],
//! [`jobs!`], [`signals!`], [`together!`]. Where names differ, a small macro in the module says what its own users
//! write (`recv!`, `acquire!`, …). tokio has no `gather` or `scope`; its `JoinSet` replaces both.

/// Queues with many ends: for contenders that have channels.
macro_rules! messages {
    () => {
        /// `n` messages from one task to another through a channel of this capacity.
        pub fn bounded_messages(capacity: usize, n: u64) -> Duration {
            in_task!(async move {
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

        /// The same without a limit: sending never waits, so it needs no future.
        pub fn unbounded_messages(n: u64) -> Duration {
            in_task!(async move {
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
            in_task!(async move {
                let start = Instant::now();
                let (sender, mut receiver) = bounded(1_000);
                for _ in 0..5 {
                    let sender = sender.clone();
                    detach(spawn(async move {
                        for i in 0..n {
                            sender.send(i).await.unwrap();
                        }
                    }));
                }
                let mut sum = 0;
                for _ in 0..5 * n {
                    sum += recv!(receiver);
                }
                assert_eq!(sum, 5 * (n * n.saturating_sub(1) / 2));
                start.elapsed()
            })
        }

        /// A ring of `tasks` tasks, each with a channel to the next; a number goes round `rounds` times.
        pub fn ring(tasks: usize, rounds: u64) -> Duration {
            in_task!(async move {
                let start = Instant::now();
                let (first, mut inlet) = bounded::<u64>(1);
                for _ in 1..tasks {
                    let (sender, outlet) = bounded(1);
                    let mut inlet = std::mem::replace(&mut inlet, outlet);
                    detach(spawn(async move {
                        for _ in 0..rounds {
                            let value: u64 = recv!(inlet);
                            sender.send(value + 1).await.unwrap();
                        }
                    }));
                }
                let mut value = 0;
                for _ in 0..rounds {
                    first.send(value + 1).await.unwrap();
                    value = recv!(inlet);
                }
                assert_eq!(value, tasks as u64 * rounds);
                start.elapsed()
            })
        }
    };
}

/// Locks.
macro_rules! locks {
    () => {
        pub fn mutex_uncontended(n: u64) -> Duration {
            in_task!(async move {
                let mutex = Mutex::new(0);
                let start = Instant::now();
                for _ in 0..n {
                    *mutex.lock().await += 1;
                }
                assert_eq!(*mutex.lock().await, n);
                start.elapsed()
            })
        }

        /// A hundred tasks that all want the lock, `n` times each, and yield while they hold it.
        pub fn mutex_of_100(n: u64) -> Duration {
            in_task!(async move {
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
            in_task!(async move {
                let semaphore = Semaphore::new(10);
                let start = Instant::now();
                for _ in 0..n {
                    drop(acquire!(semaphore));
                }
                start.elapsed()
            })
        }

        /// A hundred tasks, ten permits.
        pub fn semaphore_of_100(n: u64) -> Duration {
            in_task!(async move {
                let semaphore = Shared::new(Semaphore::new(10));
                let start = Instant::now();
                let tasks: Vec<_> = (0..100)
                    .map(|_| {
                        let semaphore = semaphore.clone();
                        spawn(async move {
                            for _ in 0..n {
                                let _permit = acquire!(semaphore);
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
    };
}

/// Jobs for other threads.
macro_rules! jobs {
    () => {
        /// An empty job to a worker thread and back.
        pub fn unblock_round_trip(n: u64) -> Duration {
            in_task!(async move {
                let start = Instant::now();
                for i in 0..n {
                    assert_eq!(unblock(move || i).await.unwrap(), i);
                }
                start.elapsed()
            })
        }
    };
}

/// Channels that carry one value, or one value to many.
macro_rules! signals {
    () => {
        /// A value from one end of a new channel to the other, where a task waits for it.
        pub fn oneshot_round_trip(n: u64) -> Duration {
            in_task!(async move {
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

        /// A server that answers each request through a channel of its own.
        pub fn request_reply(n: u64) -> Duration {
            in_task!(async move {
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

        /// This many tasks wait; all are woken, `n` times.
        pub fn notify(waiters: u64, n: u64) -> Duration {
            in_task!(async move {
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
                    // Until all of them wait again.
                    acquire_many!(shared.1, waiters).unwrap().forget();
                    notify_all!(shared.0);
                }
                for task in tasks {
                    join(task).await;
                }
                start.elapsed()
            })
        }

        /// Each of `n` values goes to ten receivers.
        pub fn broadcast_to_10(n: u64) -> Duration {
            in_task!(async move {
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

        /// `n` changes; ten receivers see each before the next.
        pub fn watch_by_10(n: u64) -> Duration {
            in_task!(async move {
                let (sender, first) = watch(0);
                let tasks: Vec<_> = (0..10)
                    .map(|_| {
                        let mut receiver = first.clone();
                        spawn(async move {
                            for i in 1..=n {
                                receiver.changed().await.unwrap();
                                assert_eq!(*receiver.borrow_and_update(), i);
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
    };
}

/// Many futures as one.
macro_rules! together {
    () => {
        /// A thousand futures that yield once, all at once, `n` times.
        pub fn gather_1000(n: u64) -> Duration {
            in_task!(async move {
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
            in_task!(async move {
                let start = Instant::now();
                for _ in 0..n {
                    scope_all(1_000).await;
                }
                start.elapsed()
            })
        }
    };
}

pub(crate) use {jobs, locks, messages, signals, together};
