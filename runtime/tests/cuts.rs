//! The methods that are documented as cancel safe and that no other file tests. Each is dropped at each of its awaits,
//! before it is woken there and after, and must lose nothing.
//!
//! Each program says what could be lost.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use roundel::cancel::CancelToken;
use roundel::channel::{self, Queue};
use roundel::group::{as_completed, join, shield};
use roundel::sync::OnceCell;
use roundel::task::TaskSet;
use roundel::testing::{Sequencer, at_every_await, settle};
use roundel::{Runtime, spawn, time, yield_now};

fn virtually<T>(main: impl Future<Output = T>) -> T {
    Runtime::builder().virtual_time(true).build().unwrap().block_on(main)
}

const SECOND: Duration = Duration::from_secs(1);

/// Yields a few times, so that the other side has begun to wait.
async fn a_little_later() {
    for _ in 0..3 {
        yield_now().await;
    }
}

#[test]
fn a_oneshot_that_is_awaited_again_has_its_value() {
    virtually(async {
        let places = at_every_await(async |cut| {
            let (sender, mut receiver) = channel::oneshot();
            let (first, ()) = join!(cut.run(&mut receiver), async {
                a_little_later().await;
                sender.send(7).unwrap();
            });
            assert_eq!(if let Some(first) = first { first } else { receiver.await }, Ok(7));
        })
        .await;
        assert!(places >= 3, "{places}");
    });
}

#[test]
fn a_sender_that_waits_for_the_end_of_interest_can_still_send() {
    virtually(async {
        at_every_await(async |cut| {
            let (mut sender, receiver) = channel::oneshot();
            let cut_off = cut.run(sender.closed());
            let (closed, got) = join!(cut_off, async {
                a_little_later().await;
                time::timeout(SECOND, receiver).await
            });
            assert!(got.is_err());
            assert!(sender.send(7).is_err(), "{closed:?}");
        })
        .await;
    });
}

#[test]
fn an_interrupted_receiver_gets_the_whole_broadcast() {
    virtually(async {
        at_every_await(async |cut| {
            let (sender, mut receiver) = channel::broadcast(8);
            let heard = RefCell::new(Vec::new());
            join!(
                async {
                    for _ in 0..2 {
                        let value = cut.run(receiver.recv()).await;
                        heard.borrow_mut().extend(value);
                    }
                },
                async {
                    for i in 0..3 {
                        a_little_later().await;
                        sender.send(i).unwrap();
                    }
                }
            );
            while !receiver.is_empty() {
                let value = receiver.recv().await;
                heard.borrow_mut().push(value);
            }
            assert_eq!(heard.take(), [Ok(0), Ok(1), Ok(2)]);
        })
        .await;
    });
}

#[test]
fn a_change_that_was_not_returned_is_still_a_change() {
    virtually(async {
        at_every_await(async |cut| {
            let (sender, mut receiver) = channel::watch(0);
            let (changed, ()) = join!(cut.run(receiver.changed()), async {
                a_little_later().await;
                sender.send(1).unwrap();
            });
            assert_eq!(changed.is_none(), receiver.has_changed());
        })
        .await;
        at_every_await(async |cut| {
            let (sender, mut receiver) = channel::watch(0);
            let (_, ()) = join!(cut.run(receiver.wait_for(|value| *value == 2)), async {
                for value in 1..3 {
                    a_little_later().await;
                    sender.send(value).unwrap();
                }
            });
            assert_eq!(receiver.wait_for(|value| *value == 2).await.map(|value| *value), Ok(2));
        })
        .await;
        at_every_await(async |cut| {
            let (sender, receiver) = channel::watch(0);
            join!(cut.run(sender.closed()), async {
                a_little_later().await;
                drop(receiver);
            });
            sender.closed().await;
        })
        .await;
    });
}

#[test]
fn work_that_was_not_returned_is_still_in_the_queue() {
    virtually(async {
        for capacity in [0, 1, 3] {
            at_every_await(async |cut| {
                let queue = Queue::new(capacity);
                let done = RefCell::new(Vec::new());
                let works = async {
                    let first = cut.run(queue.get()).await;
                    done.borrow_mut().extend(first.map(|work| work.unwrap()));
                    while done.borrow().len() < 3 {
                        let work = queue.get().await.unwrap();
                        done.borrow_mut().push(work);
                    }
                    (0..3).for_each(|_| queue.task_done());
                };
                let puts = async {
                    for work in 0..3 {
                        queue.put(work).await.unwrap();
                    }
                };
                join!(works, puts);
                assert_eq!(done.take(), [0, 1, 2]);
                queue.join().await;
            })
            .await;
            at_every_await(async |cut| {
                let queue = Queue::new(capacity);
                join!(cut.run(queue.join()), async { queue.put(1).await.unwrap() }, async {
                    a_little_later().await;
                    queue.get().await.unwrap();
                    queue.task_done();
                });
                assert_eq!(queue.unfinished(), 0);
            })
            .await;
        }
    });
}

#[test]
fn a_cell_whose_initialiser_was_cut_is_filled_by_the_next() {
    virtually(async {
        at_every_await(async |cut| {
            let (cell, made) = (OnceCell::new(), Cell::new(0));
            let init = async || {
                made.set(made.get() + 1);
                yield_now().await;
                made.get()
            };
            join!(cut.run(cell.get_or_init(init)), cell.get_or_init(init));
            assert_eq!(cell.get(), Some(&made.get()));
            assert!(made.get() <= 2);
        })
        .await;
    });
}

#[test]
fn what_ended_stays_there_to_be_fetched() {
    virtually(async {
        at_every_await(async |cut| {
            let mut ends = as_completed((0..3).map(async |i| {
                time::sleep(SECOND * i).await;
                i
            }));
            let mut all = Vec::new();
            all.extend(cut.run(ends.next()).await.flatten());
            while let Some(end) = ends.next().await {
                all.push(end);
            }
            assert_eq!(all, [0, 1, 2]);
        })
        .await;
    });
}

#[test]
fn a_result_that_was_not_returned_stays_in_the_set() {
    virtually(async {
        let places = at_every_await(async |cut| {
            let mut set = TaskSet::new();
            for i in 0..3 {
                set.spawn(async move {
                    time::sleep(SECOND * i).await;
                    i
                });
            }
            let mut all = Vec::new();
            all.extend(cut.run(set.join_next()).await.flatten());
            while let Some(result) = set.join_next().await {
                all.push(result);
            }
            let all: Vec<u32> = all.into_iter().map(Result::unwrap).collect();
            assert_eq!(all, [0, 1, 2]);
        })
        .await;
        assert!(places >= 2, "{places}");
    });
}

#[test]
fn ticks_tokens_turns_and_handles() {
    virtually(async {
        at_every_await(async |cut| {
            let (start, mut interval) = (time::now(), time::interval(SECOND));
            interval.tick().await;
            let due = cut.run(interval.tick()).await;
            let due = if let Some(due) = due { due } else { interval.tick().await };
            assert_eq!(due - start, SECOND, "a tick that was not returned is the next to be returned");
        })
        .await;
        at_every_await(async |cut| {
            let token = CancelToken::new();
            join!(cut.run(token.cancelled()), async {
                a_little_later().await;
                token.cancel();
            });
            token.cancelled().await;
        })
        .await;
        at_every_await(async |cut| {
            let sequencer = Sequencer::new();
            join!(cut.run(sequencer.turn(1)), async {
                a_little_later().await;
                sequencer.turn(0).await;
            });
            sequencer.turn(1).await;
        })
        .await;
        at_every_await(async |cut| {
            let mut handle = spawn(async {
                a_little_later().await;
                7
            });
            let first = cut.run(&mut handle).await;
            let output = if let Some(first) = first { first } else { handle.await };
            assert_eq!(output.unwrap(), 7);
        })
        .await;
        at_every_await(async |cut| {
            let done = Rc::new(Cell::new(false));
            let flag = done.clone();
            let _ = cut
                .run(shield(async move {
                    a_little_later().await;
                    flag.set(true);
                }))
                .await;
            settle().await;
            assert!(done.get());
        })
        .await;
    });
}

#[test]
fn a_job_that_is_polled_no_more_and_polled_again() {
    virtually(async {
        at_every_await(async |cut| {
            let mut job = roundel::blocking::unblock(|| 7);
            let first = cut.run(&mut job).await;
            let result = if let Some(first) = first { first } else { job.await };
            assert_eq!(result.unwrap(), 7);
        })
        .await;
    });
}
