//! The programs that every contender runs, written once.
//!
//! Facts. A workload that is written five times is five workloads. With most contenders, the future of `block_on` is
//! not a task: with tokio, smol and compio, waking it costs a look at the system; with monoio, its turn comes before
//! that of all tasks. The documentation of `#[tokio::main]` says: "Awaiting on other futures from the function provided
//! here will not perform as fast as those spawned as workers."
//!
//! What follows. [`programs!`] is compiled in the module of each contender, with the few names that the module gives
//! it: `block_on`, `spawn`, `join`, `detach`, `yield_now`, `sleep`, `timeout`, `Baton`, `Boxed`. The measured part runs
//! in a task, as nearly everything in a server does ([`in_task!`]); `block_on` only waits for that task.
//!
//! Invariant. Each program gets an amount of work, returns how long its part took, and checks its own result. A program
//! that does less than it should panics, and is an error in the report instead of a winner.

/// Runs this in a task, and returns what it returns. It is a macro because some contenders need tasks that are `Send`
/// and others do not.
macro_rules! in_task {
    ($main:expr) => {
        block_on(async move { join(spawn($main)).await })
    };
}

/// The programs. Each returns how long its part took, and has checked its own result.
macro_rules! programs {
    () => {
        /// Spawn one empty task and await it, `n` times.
        pub fn spawn_one(n: u64) -> Duration {
            in_task!(async move {
                let start = Instant::now();
                for _ in 0..n {
                    join(spawn(async {})).await;
                }
                start.elapsed()
            })
        }

        /// Spawn `batch` tasks, await them all, `n` times.
        pub fn spawn_many(batch: usize, n: u64) -> Duration {
            in_task!(async move {
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

        /// A chain: each task spawns the next one, `n` times.
        pub fn chained_spawn(n: u64) -> Duration {
            fn link(left: u64, done: Baton) {
                match left {
                    0 => done.pass(1),
                    _ => detach(spawn(async move { link(left - 1, done) })),
                }
            }
            in_task!(async move {
                let done = Baton::default();
                let start = Instant::now();
                link(n, done.clone());
                done.take(1).await;
                start.elapsed()
            })
        }

        /// Each task spawns one that is one level less deep, and awaits it.
        pub fn recursive_spawn(depth: u64) -> Duration {
            fn level(depth: u64) -> Boxed {
                Box::pin(async move {
                    match depth {
                        0 => 0,
                        _ => 1 + join(spawn(level(depth - 1))).await,
                    }
                })
            }
            in_task!(async move {
                let start = Instant::now();
                assert_eq!(join(spawn(level(depth))).await, depth);
                start.elapsed()
            })
        }

        /// What a wake costs the thread from which it comes, when wakes come as fast as they can.
        pub fn foreign_wakes(n: u64) -> Duration {
            in_task!(crate::parts::foreign_wakes(n))
        }

        /// `tasks` tasks that wake themselves `times` times each.
        pub fn self_wake(tasks: usize, times: usize) -> Duration {
            in_task!(async move {
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
            in_task!(async move {
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
            in_task!(async move {
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
            in_task!(async move {
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
            in_task!(async move {
                let start = Instant::now();
                for _ in 0..n {
                    assert!(timeout(Duration::from_secs(5), SelfWake::new()).await.is_ok());
                }
                start.elapsed()
            })
        }

        /// A crowd of `pending` sleeps that have begun, each with its length.
        async fn crowd(pending: u64) -> Vec<(Duration, Pin<Box<impl Future<Output = ()>>>)> {
            let mut crowd = Vec::with_capacity(pending as usize);
            for i in 0..pending {
                let mut sleep = Box::pin(sleep(long_nap(i)));
                poll_once(&mut sleep).await;
                crowd.push((long_nap(i), sleep));
                // Some contenders let a task begin only about a hundred sleeps in one turn.
                if i % 64 == 0 {
                    SelfWake::new().await;
                }
            }
            crowd
        }

        /// A timeout around a single yield, beside `pending` sleeps; `lasts` is the length of the timeout.
        pub fn timeout_in_crowd(pending: u64, lasts: fn(u64) -> Duration, n: u64) -> Duration {
            in_task!(async move {
                let _crowd = crowd(pending).await;
                let start = Instant::now();
                for i in 0..n {
                    assert!(timeout(lasts(pending + i), SelfWake::new()).await.is_ok());
                }
                start.elapsed()
            })
        }

        /// Beside `pending` sleeps: drop the one that would end first, begin another, yield. Returns how long each of
        /// `n` such steps took.
        pub fn steps_in_crowd(pending: u64, n: u64) -> Vec<Duration> {
            in_task!(async move {
                let mut crowd = crowd(pending).await;
                crowd.sort_unstable_by_key(|(lasts, _)| std::cmp::Reverse(*lasts));
                let (mut took, mut others) = (Vec::new(), Vec::new());
                took.reserve(n as usize);
                others.reserve(n as usize);
                // The sort has held up the loop, which now looks at whatever has come meanwhile.
                SelfWake::new().await;
                for i in 0..n {
                    let mut other = Box::pin(sleep(long_nap(pending + i)));
                    let start = Instant::now();
                    drop(crowd.pop());
                    poll_once(&mut other).await;
                    SelfWake::new().await;
                    took.push(start.elapsed());
                    others.push(other);
                }
                took
            })
        }

        /// `n` tasks that sleep between 100 and 200 ms: the time from the first spawn until the last has ended, without
        /// the 200 ms that no runtime can save.
        pub fn many_sleepers(n: u64) -> Duration {
            in_task!(async move {
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
            in_task!(async move {
                let mut late = Vec::new();
                for _ in 0..n {
                    let start = Instant::now();
                    sleep(Duration::from_millis(1)).await;
                    late.push(start.elapsed() - Duration::from_millis(1));
                }
                late
            })
        }

        /// The same beside this many hot tasks; `None` if a sleep does not end before the hot tasks give up.
        pub fn lateness_beside(hot: usize, n: u64, patience: Duration) -> Option<Vec<Duration>> {
            in_task!(async move {
                let fire = Fire::that_lasts(patience);
                let handles: Vec<_> = (0..hot).map(|_| spawn(fire.clone().burn())).collect();
                let mut late = Some(Vec::new());
                for _ in 0..n {
                    fire.stoke();
                    let start = Instant::now();
                    sleep(Duration::from_millis(1)).await;
                    let took = start.elapsed();
                    late = late.filter(|_| !fire.is_out());
                    late.iter_mut().for_each(|late| late.push(took - Duration::from_millis(1)));
                }
                fire.quench();
                for handle in handles {
                    join(handle).await;
                }
                late
            })
        }

        /// How long after a wake on another thread the task runs, `n` times.
        pub fn remote_wake(n: u64) -> Vec<Duration> {
            in_task!(crate::parts::remote_wakes(n))
        }

        /// Spawns `n` tasks that wait for ever, or, if `asleep`, for an hour; calls `before` and `after`. This is not
        /// in a task, because nothing is timed, and the closures need not be `Send`.
        pub fn hold_tasks(n: usize, asleep: bool, before: impl FnOnce(), after: impl FnOnce()) {
            block_on(async move {
                let mut handles = Vec::with_capacity(n);
                let last = Baton::default();
                let theirs = last.clone();
                before();
                if asleep {
                    let nap = || async {
                        polled();
                        sleep(Duration::from_secs(3600)).await;
                    };
                    handles.extend((0..n).map(|_| spawn(nap())));
                } else {
                    let wait = |_: &mut Context<'_>| {
                        polled();
                        Poll::<()>::Pending
                    };
                    handles.extend((0..n).map(|_| spawn(poll_fn(wait))));
                }
                // This task is the last in the queue: when it has run, each of the others has been polled.
                detach(spawn(async move { theirs.pass(1) }));
                last.take(1).await;
                assert_eq!(times_polled(), n as u64);
                after();
                drop(handles);
            });
        }
    };
}

pub(crate) use {in_task, programs};
