//! Several futures combined into one: order, counts of polls, failures, panics, borrows.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use roundel::channel::bounded;
use roundel::group::{
    Scope, as_completed, for_each_concurrent, gather, gather_outcomes, join, race, scope, select, shield,
    try_gather, try_scope,
};
use roundel::sync::{Event, Notify};
use roundel::testing::{at_every_await, settle};
use roundel::time::{sleep, timeout};
use roundel::{Runtime, spawn, time, yield_now};

fn virtually<T>(main: impl Future<Output = T>) -> T {
    Runtime::builder().virtual_time(true).build().unwrap().block_on(main)
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Counts the polls of the future that it wraps.
struct Polls<'a, F>(&'a Cell<usize>, Pin<Box<F>>);

impl<F: Future> Future for Polls<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.0.set(self.0.get() + 1);
        self.1.as_mut().poll(cx)
    }
}

fn counted<F: Future>(polls: &Cell<usize>, future: F) -> Polls<'_, F> {
    Polls(polls, Box::pin(future))
}

/// Logs its own drop.
struct Note(&'static str, Rc<RefCell<Vec<&'static str>>>);

impl Drop for Note {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

// Rows 28 to 31: one after the other, or together.

#[test]
fn row_28_30_one_after_the_other_takes_the_sum_and_together_the_longest() {
    let fetch = async |number: u64| {
        sleep(seconds(number)).await;
        number
    };
    virtually(async {
        let start = time::now();
        for number in [2, 1, 3] {
            fetch(number).await;
        }
        assert_eq!(time::now() - start, seconds(6));
        let (start, order) = (time::now(), RefCell::new(Vec::new()));
        let results = gather([2, 1, 3].map(async |number| {
            fetch(number).await;
            order.borrow_mut().push(number);
            number
        }))
        .await;
        assert_eq!(time::now() - start, seconds(3));
        assert_eq!((results, order.take()), (vec![2, 1, 3], vec![1, 2, 3]));
    });
}

// Rows 33 to 36: gather.

#[test]
fn row_36_gather_of_none_of_one_and_of_ten_thousand() {
    virtually(async {
        assert_eq!(gather(std::iter::empty::<std::future::Ready<u8>>()).await, []);
        assert_eq!(gather([async { 7 }]).await, [7]);
        let n = if cfg!(miri) { 40 } else { 10_000 };
        let many = gather((0..n).map(async |i| {
            sleep(millis(i * 7_919 % 1_000)).await;
            i
        }))
        .await;
        assert!(many.into_iter().eq(0..n));
        assert_eq!(try_gather(std::iter::empty::<std::future::Ready<Result<u8, ()>>>()).await, Ok(vec![]));
    });
}

#[test]
fn row_33_polls_are_as_many_as_wakes() {
    const N: usize = if cfg!(miri) { 15 } else { 10_000 };
    virtually(async {
        // Each child waits for three times, so it is polled once at first and once for each wake.
        let polls = Cell::new(0);
        let child = async |i: usize| {
            for k in 1..=3 {
                sleep(millis((i * 31 % 997 + k) as u64)).await;
            }
        };
        gather((0..N).map(|i| counted(&polls, child(i)))).await;
        assert_eq!(polls.take(), 4 * N);

        scope(async |s: &Scope<'_>| {
            for i in 0..N {
                drop(s.spawn(counted(&polls, child(i))));
            }
        })
        .await;
        assert_eq!(polls.take(), 4 * N);

        for_each_concurrent(50, 0..N, |i| counted(&polls, child(i))).await;
        assert_eq!(polls.take(), 4 * N);

        let mut all = as_completed((0..N).map(|i| counted(&polls, child(i))));
        while all.next().await.is_some() {}
        assert_eq!(polls.take(), 4 * N);

        let (one, two) = (Cell::new(0), Cell::new(0));
        join!(
            counted(&one, sleep(seconds(1))),
            counted(&two, async {
                for _ in 0..100 {
                    yield_now().await;
                }
            })
        );
        assert_eq!((one.get(), two.get()), (2, 101));
    });
}

#[test]
fn row_33_a_child_woken_many_times_is_polled_once_and_one_that_is_over_not_at_all() {
    let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
    let polls = Cell::new(0);
    let (kept, open) = (wakers.clone(), Rc::new(Cell::new(false)));
    let gate = open.clone();
    let first = counted(
        &polls,
        std::future::poll_fn(move |cx| {
            kept.borrow_mut().push(cx.waker().clone());
            if gate.get() { Poll::Ready(()) } else { Poll::Pending }
        }),
    );
    let other = Cell::new(0);
    let second = counted(&other, std::future::pending::<()>());
    let mut both = pin!(gather([first_of(first), first_of(second)]));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(both.as_mut().poll(&mut cx).is_pending());
    let waker = wakers.borrow()[0].clone();
    (0..10).for_each(|_| waker.wake_by_ref());
    assert!(both.as_mut().poll(&mut cx).is_pending());
    assert_eq!(polls.get(), 2);
    open.set(true);
    waker.wake_by_ref();
    for _ in 0..3 {
        assert!(both.as_mut().poll(&mut cx).is_pending());
        waker.wake_by_ref();
    }
    assert_eq!((polls.get(), other.get()), (3, 1));
}

/// Gives futures of different types a common type.
fn first_of<'a>(future: impl Future<Output = ()> + 'a) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
    Box::pin(future)
}

#[test]
fn hazard_13_a_crowd_that_is_always_ready_does_not_hold_the_loop() {
    virtually(async {
        let stop = Rc::new(Cell::new(false));
        let ask = stop.clone();
        let n = if cfg!(miri) { 300 } else { 10_000 };
        let crowd = spawn(gather((0..n).map(move |_| {
            let stop = ask.clone();
            async move {
                while !stop.get() {
                    yield_now().await;
                }
            }
        })));
        // At 128 per poll, there are 79 polls, and other tasks may run between them.
        for _ in 0..n / 100 {
            yield_now().await;
        }
        assert!(!crowd.is_finished());
        stop.set(true);
        crowd.await.unwrap();
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 200 }, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn row_33_whatever_the_delays_the_order_is_the_arguments(delays in prop::collection::vec(0..20_u64, 0..50)) {
        let numbered: Vec<(usize, u64)> = delays.iter().copied().enumerate().collect();
        let (gathered, mut completed) = virtually(async {
            let run = async |(number, delay): (usize, u64)| {
                sleep(millis(delay)).await;
                (number, delay)
            };
            let gathered = gather(numbered.iter().copied().map(run)).await;
            let mut ends = as_completed(numbered.iter().copied().map(run));
            let mut completed = Vec::new();
            while let Some(end) = ends.next().await {
                completed.push(end);
            }
            (gathered, completed)
        });
        prop_assert_eq!(&gathered, &numbered);
        prop_assert!(completed.is_sorted_by_key(|(_, delay)| *delay));
        completed.sort();
        prop_assert_eq!(completed, numbered);
    }
}

#[test]
fn row_34_the_first_error_returns_at_once_and_what_becomes_of_the_others() {
    let log: Rc<RefCell<Vec<u64>>> = Rc::default();
    let job = |number: u64| {
        let log = log.clone();
        async move {
            sleep(millis(50 * number)).await;
            if number == 2 {
                return Err("two");
            }
            log.borrow_mut().push(number);
            Ok(number)
        }
    };
    // Dropped.
    virtually(async {
        let start = time::now();
        assert_eq!(try_gather([1, 2, 3].map(job)).await, Err("two"));
        assert_eq!(time::now() - start, millis(100));
        sleep(seconds(1)).await;
    });
    assert_eq!(log.take(), [1]);
    // As in asyncio: the error is reported, and the others run on.
    virtually(async {
        let start = time::now();
        let tasks = [1, 2, 3].map(|number| {
            let task = spawn(job(number));
            async move { task.await.unwrap() }
        });
        assert_eq!(try_gather(tasks).await, Err("two"));
        assert_eq!(time::now() - start, millis(100));
        sleep(seconds(1)).await;
    });
    assert_eq!(log.take(), [1, 3]);
}

#[test]
fn row_35_80_outcomes_stand_side_by_side() {
    virtually(async {
        let results = gather([1, 2, 3].map(async |n| if n == 2 { Err(n) } else { Ok(n) })).await;
        assert_eq!(results, [Ok(1), Err(2), Ok(3)]);
        let outcomes = gather_outcomes([1, 2, 3].map(async |n| {
            assert!(n != 2, "task 2 has failed");
            n
        }))
        .await;
        let texts: Vec<String> = outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Ok(n) => n.to_string(),
                Err(error) => error.to_string(),
            })
            .collect();
        assert_eq!(texts, ["1", "the job panicked: task 2 has failed", "3"]);
    });
}

#[test]
#[should_panic(expected = "in the middle")]
fn a_panic_in_a_child_is_a_panic_of_the_whole() {
    virtually(gather([1, 2].map(async |n| assert!(n == 2, "in the middle"))));
}

#[test]
fn a_race_has_one_winner_and_the_losers_are_gone_when_it_ends() {
    virtually(async {
        let log: Rc<RefCell<Vec<_>>> = Rc::default();
        let winner = race([(3, "slow"), (1, "quick")].map(|(delay, name)| {
            let note = Note(name, log.clone());
            async move {
                let note = note;
                sleep(seconds(delay)).await;
                note.0
            }
        }))
        .await;
        assert_eq!(winner, "quick");
        assert_eq!(*log.borrow(), ["quick", "slow"]);
    });
}

#[test]
#[should_panic(expected = "a race without runners has no winner")]
fn a_race_without_futures_is_a_mistake() {
    drop(race(std::iter::empty::<std::future::Ready<()>>()));
}

#[test]
fn row_59_a_limit_is_kept_and_items_are_taken_when_there_is_room() {
    virtually(async {
        let (live, most, taken) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let start = time::now();
        let items = (0..100).inspect(|_| taken.set(taken.get() + 1));
        for_each_concurrent(5, items, async |_| {
            live.set(live.get() + 1);
            most.set(most.get().max(live.get()));
            sleep(seconds(1)).await;
            live.set(live.get() - 1);
            let seconds = (time::now() - start).as_secs();
            assert!(taken.get() < 5 * (seconds + 1), "{} taken after {seconds} s", taken.get());
        })
        .await;
        assert_eq!((most.get(), taken.get()), (5, 100));
        for_each_concurrent(3, 0..0, async |_| unreachable!()).await;
        // More futures that are ready at once than fit into one poll.
        let count = Cell::new(0);
        let n = if cfg!(miri) { 300 } else { 1_000 };
        for_each_concurrent(1, 0..n, async |_| count.set(count.get() + 1)).await;
        assert_eq!(count.get(), n);
    });
}

/// Although there is room for all of them, only some begin before other tasks run.
#[test]
fn hazard_13_many_that_begin_at_once_give_way() {
    let n: usize = if cfg!(miri) { 1_000 } else { 20_000 };
    virtually(async {
        let (begun, most, turns) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let bystander = spawn({
            let (begun, most, turns) = (Rc::clone(&begun), Rc::clone(&most), Rc::clone(&turns));
            async move {
                let mut before = 0;
                while begun.get() < n {
                    most.set(most.get().max(begun.get() - before));
                    before = begun.get();
                    turns.set(turns.get() + 1);
                    yield_now().await;
                }
            }
        });
        let live = Cell::new(0);
        for_each_concurrent(usize::MAX, 0..n, |_| {
            begun.set(begun.get() + 1);
            live.set(live.get() + 1);
            sleep(seconds(1))
        })
        .await;
        bystander.await.unwrap();
        assert_eq!((begun.get(), live.get()), (n, n));
        assert!(most.get() <= 128, "{} have begun in one turn", most.get());
        assert!(turns.get() >= n / 128, "{} turns for others", turns.get());
    });
}

// select!

#[test]
fn select_is_biased_and_its_futures_are_gone_before_the_expression_runs() {
    virtually(async {
        let first = select! {
            value = async { 1 } => value,
            value = async { 2 } => value,
        };
        assert_eq!(first, 1);
        // The expression can use what the losing futures had borrowed.
        let (sender, receiver) = bounded(1);
        let mut log = vec![0];
        let mut add = async || {
            sleep(seconds(1)).await;
            log.push(9);
        };
        select! {
            () = add() => unreachable!(),
            sent = sender.send(1) => {
                sent.unwrap();
                add().await;
            }
        }
        assert_eq!((log, receiver.try_recv()), (vec![0, 9], Ok(1)));
    });
}

#[test]
fn select_in_a_loop_breaks_continues_and_returns() {
    async fn sum(receiver: roundel::channel::Receiver<i32>, stop: Rc<Event>) -> Result<i32, &'static str> {
        let mut sum = 0;
        loop {
            select! {
                () = stop.wait() => break,
                value = receiver.recv(), if sum < 100 => match value {
                    Ok(value) if value < 0 => return Err("negative"),
                    Ok(0) => continue,
                    Ok(value) => sum += value,
                    Err(_) => break,
                },
                else => return Ok(-1),
            }
        }
        Ok(sum)
    }
    virtually(async {
        let stop = Rc::new(Event::new());
        let (sender, receiver) = bounded(10);
        let task = spawn(sum(receiver.clone(), stop.clone()));
        for value in [1, 0, 2] {
            sender.send(value).await.unwrap();
        }
        settle().await;
        stop.set();
        assert_eq!(task.await.unwrap(), Ok(3));
        stop.clear();
        let task = spawn(sum(receiver, stop));
        sender.send(-1).await.unwrap();
        assert_eq!(task.await.unwrap(), Err("negative"));
    });
}

#[test]
fn select_with_every_arm_off_goes_to_else() {
    virtually(async {
        let off = false;
        let result = select! {
            _ = async { 1 }, if off => "one",
            _ = async { 2 }, if off => { "two" }
            else => "none"
        };
        assert_eq!(result, "none");
    });
}

#[test]
fn up_to_twelve() {
    virtually(async {
        let all = join!(
            async { 1 },
            async { 2 },
            async { 3 },
            async { 4 },
            async { 5 },
            async { 6 },
            async { 7 },
            async { 8 },
            async { 9 },
            async { 10 },
            async { 11 },
            async { "twelve" },
        );
        assert_eq!((all.0, all.11), (1, "twelve"));
        let never = || std::future::pending::<()>();
        let last = select! {
            () = never() => 1, () = never() => 2, () = never() => 3, () = never() => 4, () = never() => 5,
            () = never() => 6, () = never() => 7, () = never() => 8, () = never() => 9, () = never() => 10,
            () = never() => 11, twelve = async { 12 } => twelve,
        };
        assert_eq!(last, 12);
    });
}

// Rows 38 and 39: scopes.

#[test]
fn row_38_children_borrow_and_are_over_when_the_scope_is() {
    virtually(async {
        let words = vec![String::from("one"), String::from("three")];
        let total = Cell::new(0);
        let mut counter = 0;
        let borrowed = &mut counter;
        let result = scope(async |s: &Scope<'_>| {
            for word in &words {
                let total = &total;
                drop(s.spawn(async move {
                    sleep(seconds(word.len() as u64)).await;
                    total.set(total.get() + word.len());
                }));
            }
            drop(s.spawn(async move {
                sleep(seconds(9)).await;
                *borrowed += 1;
            }));
            "body"
        })
        .await;
        assert_eq!((result, total.get(), counter), ("body", 8, 1));
    });
}

#[test]
fn row_38_children_may_spawn_siblings_and_scopes() {
    virtually(async {
        let log = RefCell::new(Vec::new());
        scope(async |s: &Scope<'_>| {
            let (nested, log) = (s.clone(), &log);
            drop(s.spawn(async move {
                drop(nested.spawn(async move {
                    sleep(seconds(1)).await;
                    log.borrow_mut().push("grandchild");
                }));
                scope(async |inner: &Scope<'_>| {
                    let _ = inner.spawn(async { log.borrow_mut().push("in the inner scope") }).await;
                })
                .await;
                log.borrow_mut().push("child");
            }));
        })
        .await;
        assert_eq!(*log.borrow(), ["in the inner scope", "child", "grandchild"]);
    });
}

#[test]
fn row_38_the_first_panic_cancels_the_rest_and_comes_out() {
    let log: Rc<RefCell<Vec<&'static str>>> = Rc::default();
    let (one, two, three) = (Note("one", log.clone()), Note("two", log.clone()), Note("body", log.clone()));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        virtually(scope(async |s: &Scope<'_>| {
            let _body = three;
            drop(s.spawn(async move {
                let _one = one;
                std::future::pending::<()>().await;
            }));
            drop(s.spawn(async move {
                let _two = two;
                std::future::pending::<()>().await;
            }));
            drop(s.spawn(async {
                sleep(seconds(1)).await;
                panic!("of a child");
            }));
            std::future::pending::<()>().await;
        }));
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"of a child"));
    assert_eq!(*log.borrow(), ["body", "one", "two"], "the body first, then the children in their order");
}

#[test]
fn row_38_dropped_it_drops_in_the_same_order() {
    let log: Rc<RefCell<Vec<&'static str>>> = Rc::default();
    let (one, two, three) = (Note("one", log.clone()), Note("two", log.clone()), Note("body", log.clone()));
    virtually(async {
        let whole = scope(async |s: &Scope<'_>| {
            let _body = three;
            for note in [one, two] {
                drop(s.spawn(async move {
                    let _note = note;
                    std::future::pending::<()>().await;
                }));
            }
            std::future::pending::<()>().await;
        });
        assert!(timeout(seconds(1), whole).await.is_err());
    });
    assert_eq!(*log.borrow(), ["body", "one", "two"]);
}

#[test]
fn row_38_forgotten_it_runs_no_child() {
    let runs = Cell::new(0);
    let mut whole = Box::pin(scope(async |s: &Scope<'_>| {
        drop(s.spawn(async {
            loop {
                runs.set(runs.get() + 1);
                yield_now().await;
            }
        }));
        std::future::pending::<()>().await;
    }));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(whole.as_mut().poll(&mut cx).is_pending());
    }
    let before = runs.get();
    std::mem::forget(whole);
    virtually(async { settle().await });
    assert_eq!((before, runs.get()), (2, 2));
}

#[test]
fn row_38_the_first_error_cancels_the_body_and_the_siblings() {
    virtually(async {
        let start = time::now();
        let log: Rc<RefCell<Vec<&'static str>>> = Rc::default();
        let sibling = Note("sibling", log.clone());
        let result: Result<(), _> = try_scope(async |s| {
            drop(s.spawn(async {
                sleep(seconds(1)).await;
                Err::<(), _>("child")
            }));
            drop(s.spawn(async move {
                let _sibling = sibling;
                std::future::pending::<Result<(), _>>().await
            }));
            std::future::pending().await
        })
        .await;
        assert_eq!(result.unwrap_err().errors(), ["child"]);
        assert_eq!(time::now() - start, seconds(1));
        assert_eq!(*log.borrow(), ["sibling"]);

        let result = try_scope(async |s| {
            drop(s.spawn(std::future::pending::<Result<(), &str>>()));
            Err::<(), _>("body")
        })
        .await;
        assert_eq!(*result.unwrap_err().first(), "body");
        let fine = try_scope(async |s| {
            let child = s.spawn(async { Ok::<_, ()>(20) });
            Ok(child.await.unwrap() + 1)
        });
        assert_eq!(fine.await, Ok(21));
    });
}

#[test]
fn row_39_two_that_fail_in_one_tick_are_both_reported() {
    // Also if more children are woken at that time than one poll can run.
    for others in [0, if cfg!(miri) { 150 } else { 500 }] {
        virtually(async {
            let result: Result<(), _> = try_scope(async |s| {
                drop(s.spawn(async {
                    sleep(seconds(1)).await;
                    Err::<(), _>(1)
                }));
                for _ in 0..others {
                    drop(s.spawn(async {
                        sleep(seconds(1)).await;
                        std::future::pending::<Result<(), _>>().await
                    }));
                }
                drop(s.spawn(async {
                    sleep(seconds(1)).await;
                    Err::<(), _>(2)
                }));
                drop(s.spawn(async {
                    sleep(seconds(2)).await;
                    Err::<(), _>(3)
                }));
                std::future::pending().await
            })
            .await;
            let error = result.unwrap_err();
            assert_eq!((error.first(), error.errors()), (&1, &[1, 2][..]));
            assert_eq!(error.to_string(), "1 (and one more error)");
            assert_eq!(error.split(|error| *error == 2), (vec![2], vec![1]));
        });
    }
}

#[test]
fn row_38_a_child_or_all_children_can_be_cancelled() {
    virtually(async {
        let log: Rc<RefCell<Vec<&'static str>>> = Rc::default();
        scope(async |s: &Scope<'_>| {
            let child = |name| {
                let note = Note(name, log.clone());
                s.spawn(async move {
                    let _note = note;
                    std::future::pending::<()>().await;
                })
            };
            let (one, two, three) = (child("one"), child("two"), child("three"));
            yield_now().await;
            two.cancel();
            assert!(two.await.unwrap_err().is_cancelled());
            assert_eq!(*log.borrow(), ["two"]);
            assert!(!one.is_finished());
            s.cancel();
            let never_polled = child("four");
            assert!(one.await.is_err() && three.await.is_err() && never_polled.await.is_err());
            // The scope itself goes on.
            assert_eq!(s.spawn(async { 5 }).await.unwrap(), 5);
        })
        .await;
        assert_eq!(log.borrow().len(), 4);
        // A child takes the body's place, and then all are cancelled.
        scope(async |s: &Scope<'_>| {
            let later = s.clone();
            drop(s.spawn(async move {
                yield_now().await;
                let inner = later.clone();
                drop(later.spawn(std::future::pending::<()>()));
                drop(later.spawn(async move {
                    yield_now().await;
                    inner.cancel();
                    std::future::pending::<()>().await;
                }));
            }));
        })
        .await;
    });
}

#[test]
fn row_38_a_child_says_that_it_is_ready() {
    virtually(async {
        let start = time::now();
        scope(async |s: &Scope<'_>| {
            let port = s
                .start(async |ready| {
                    sleep(seconds(1)).await;
                    ready.set(7_000);
                    sleep(seconds(9)).await;
                })
                .await;
            assert_eq!((port, time::now() - start), (Ok(7_000), seconds(1)));
            let never = s.start(async |ready: roundel::group::Ready<()>| drop(ready)).await;
            assert!(never.is_err());
        })
        .await;
        assert_eq!(time::now() - start, seconds(10));
    });
}

#[test]
fn hazard_10_children_that_panic_when_dropped_end_nothing_but_themselves() {
    struct Bomb(&'static str);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("{}", self.0);
        }
    }
    let wait = |bomb: Bomb| async move {
        let _bomb = bomb;
        std::future::pending::<()>().await;
    };
    // While everything is dropped …
    virtually(async {
        let task = spawn(async move {
            scope(async |s: &Scope<'_>| {
                drop(s.spawn(wait(Bomb("one"))));
                drop(s.spawn(wait(Bomb("two"))));
                std::future::pending::<()>().await;
            })
            .await;
        });
        settle().await;
        task.cancel();
        let error = task.await.unwrap_err();
        assert!(error.to_string().ends_with("panicked: one"), "{error}");
        // … and on top of another panic.
        let task = spawn(async move {
            scope(async |s: &Scope<'_>| {
                drop(s.spawn(wait(Bomb("one"))));
                drop(s.spawn(async { panic!("the cause") }));
            })
            .await;
        });
        assert!(task.await.unwrap_err().to_string().ends_with("panicked: the cause"));
        let gathered = spawn(gather([0, 1].map(|i| async move {
            let bomb = (i == 0).then(|| Bomb("a consequence"));
            assert!(bomb.is_some(), "the cause");
            std::future::pending::<()>().await;
        })));
        assert!(gathered.await.unwrap_err().is_panic());
    });
}

#[test]
fn cut_at_every_await_a_scope_leaves_no_child_running() {
    virtually(async {
        let places = at_every_await(async |cut| {
            let live = Cell::new(0);
            struct Live<'a>(&'a Cell<i32>);
            impl Drop for Live<'_> {
                fn drop(&mut self) {
                    self.0.set(self.0.get() - 1);
                }
            }
            let enter = || {
                live.set(live.get() + 1);
                Live(&live)
            };
            let _ = cut
                .run(scope(async |s: &Scope<'_>| {
                    let _body = enter();
                    for delay in 1..4 {
                        drop(s.spawn(async move {
                            let _child = enter();
                            sleep(seconds(delay)).await;
                        }));
                    }
                    sleep(seconds(2)).await;
                }))
                .await;
            assert_eq!(live.get(), 0);
        })
        .await;
        assert!(places >= 6, "{places}");
    });
}

// Row 52: shield.

#[test]
fn row_52_a_shielded_future_goes_on_and_its_panic_reaches_the_task_that_waits() {
    virtually(async {
        let saved = Rc::new(Cell::new(0));
        let count = saved.clone();
        let save = move |after: u64| {
            let saved = count.clone();
            async move {
                sleep(seconds(after)).await;
                saved.set(saved.get() + 1);
                "saved"
            }
        };
        assert_eq!(shield(save(1)).await, "saved");
        let owner = spawn({
            let saving = save(2);
            async move { shield(saving).await }
        });
        sleep(seconds(1)).await;
        owner.cancel();
        assert!(owner.await.unwrap_err().is_cancelled());
        assert_eq!(saved.get(), 1);
        sleep(seconds(2)).await;
        assert_eq!(saved.get(), 2);
        let panics = spawn(async { shield(async { panic!("inside") }).await });
        assert!(panics.await.unwrap_err().to_string().ends_with("panicked: inside"));
    });
}

#[test]
fn hazard_7_wakes_may_come_from_anywhere() {
    // Four threads wake the children of one gather; each wake is followed by a poll.
    let results = roundel::run(gather((0..4).map(|i| {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let mut thread = None;
        let mut sender = Some(sender);
        let mut wakes = 0;
        std::future::poll_fn(move |cx| {
            let waker = cx.waker().clone();
            if let Some(sender) = sender.take() {
                thread = Some(std::thread::spawn(move || {
                    for _ in 0..100 {
                        waker.wake_by_ref();
                        std::thread::yield_now();
                    }
                    drop(sender);
                    waker.wake();
                }));
            }
            wakes += 1;
            match receiver.try_recv() {
                Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                    thread.take().unwrap().join().unwrap();
                    Poll::Ready((i, wakes > 1))
                }
                _ => Poll::Pending,
            }
        })
    })));
    assert_eq!(results, [(0, true), (1, true), (2, true), (3, true)]);
}

#[test]
fn notify_as_a_child_is_not_lost() {
    virtually(async {
        let notify = Notify::new();
        let (a, b, ()) =
            join!(timeout(seconds(1), notify.notified()), timeout(seconds(1), notify.notified()), async {
                yield_now().await;
                notify.notify_one();
                notify.notify_one();
            },);
        assert!(a.is_ok() && b.is_ok());
    });
}
