//! A task that is always ready, a source that is always ready, a timer of zero: none of them starves other tasks.
//!
//! The tests count turns and polls, which the probe reports. They do not measure time.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use roundel::{Runtime, spawn, time, yield_now};

/// Wakes itself for ever.
fn hot(each: Duration, polls: Rc<Cell<u32>>) -> impl Future<Output = ()> {
    poll_fn(move |cx| {
        let start = Instant::now();
        while start.elapsed() < each {
            std::hint::spin_loop();
        }
        polls.set(polls.get() + 1);
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[test]
fn hazard_12_hot_tasks_do_not_starve_a_timer() {
    for tasks in [1, 4, 16] {
        roundel::run(async {
            let polls: Rc<Cell<u32>> = Rc::default();
            for _ in 0..tasks {
                spawn(hot(Duration::from_micros(20), Rc::clone(&polls))).detach();
            }
            for _ in 0..10 {
                time::sleep(Duration::from_micros(100)).await;
            }
            assert!(polls.get() > 0);
        });
    }
}

#[test]
fn hazard_12_hot_tasks_do_not_starve_other_threads() {
    roundel::run(async {
        let polls: Rc<Cell<u32>> = Rc::default();
        spawn(hot(Duration::from_micros(20), polls)).detach();
        let remote = roundel::remote();
        let thread = std::thread::spawn(move || remote.spawn(|| async { 7 }).wait().unwrap());
        while !thread.is_finished() {
            yield_now().await;
        }
        assert_eq!(thread.join().unwrap(), 7);
    });
}

#[test]
fn hazard_12_virtual_time_stands_still_while_a_task_is_ready() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let start = time::now();
        let sleeper = spawn(time::sleep(Duration::from_secs(1)));
        for _ in 0..1_000 {
            yield_now().await;
        }
        assert_eq!(time::now(), start);
        sleeper.await.unwrap();
        assert_eq!(time::now(), start + Duration::from_secs(1));
    });
}

#[test]
fn hazard_14_spurious_wakes_change_nothing() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
    let everybodys = Rc::clone(&wakers);
    // Each future is polled through this, which keeps the waker. Another task uses these wakers all the time.
    let noted = move |future: std::pin::Pin<Box<dyn Future<Output = u64>>>| {
        let (mut future, wakers) = (future, Rc::clone(&everybodys));
        poll_fn(move |cx| {
            wakers.borrow_mut().push(cx.waker().clone());
            future.as_mut().poll(cx)
        })
    };
    runtime.block_on(async {
        let start = time::now();
        let pest = spawn(async move {
            for _ in 0..100 {
                let all = wakers.take();
                (0..10).for_each(|_| all.iter().for_each(Waker::wake_by_ref));
                yield_now().await;
            }
        });
        let slow = spawn(noted(Box::pin(async {
            time::sleep(Duration::from_secs(2)).await;
            2
        })));
        let joiner = spawn(noted(Box::pin(async { slow.await.unwrap() + 1 })));
        let impatient = spawn(noted(Box::pin(async {
            time::timeout(Duration::from_secs(1), std::future::pending::<()>()).await.unwrap_err();
            (time::now() - Duration::from_secs(1)).elapsed().as_secs()
        })));
        pest.await.unwrap();
        assert_eq!(joiner.await.unwrap(), 3);
        impatient.await.unwrap();
        assert_eq!(time::now() - start, Duration::from_secs(2));
    });
}

#[test]
fn hazard_27_a_timer_of_zero_gives_way_each_time() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let turns: Rc<Cell<u32>> = Rc::default();
        let theirs = Rc::clone(&turns);
        let busy = spawn(async move {
            let mut interval = time::interval(Duration::ZERO);
            loop {
                interval.tick().await;
                time::sleep(Duration::ZERO).await;
                theirs.set(theirs.get() + 1);
            }
        });
        // A zero timer ends in the next turn of the loop, and a turn has many polls.
        for _ in 0..10_000 {
            yield_now().await;
        }
        assert!(turns.get() > 0 && turns.get() <= 10_000, "{}", turns.get());
        busy.cancel();
    });
}
