//! What a loop has whose tasks can wait for one another.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::rung::{Channel, Lock, block_on, sleep, spawn, timeout, yield_now};
use crate::tools::{all_is_done, meddler, on_next_use, poll_with};

#[test]
fn one_task_at_a_time_holds_a_lock_in_the_order_in_which_they_came() {
    let _watchdog = testkit::watchdog();
    let (lock, holders, order) =
        (Rc::new(Lock::default()), Rc::new(Cell::new(0)), Rc::new(RefCell::new(vec![])));
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let (lock, holders, order) = (Rc::clone(&lock), Rc::clone(&holders), Rc::clone(&order));
            spawn(async move {
                for _ in 0..3 {
                    let _held = lock.hold().await;
                    assert_eq!(holders.replace(1), 0);
                    order.borrow_mut().push(n);
                    yield_now().await;
                    holders.set(0);
                }
            })
        })
        .collect();
    for task in tasks {
        block_on(task).unwrap();
    }
    let expected: Vec<_> = (0..3).flat_map(|_| 0..100).collect();
    assert_eq!(order.take(), expected);
}

#[test]
fn values_arrive_once_and_in_order() {
    let _watchdog = testkit::watchdog();
    let (channel, seen) = (Rc::new(Channel::new()), Rc::new(RefCell::new(vec![])));
    for _ in 0..10 {
        let (channel, seen) = (Rc::clone(&channel), Rc::clone(&seen));
        spawn(async move {
            for _ in 0..100 {
                let value: u32 = channel.receive().await;
                seen.borrow_mut().push(value);
            }
        });
    }
    block_on(async {
        for value in 0..1000 {
            channel.send(value);
            if value % 7 == 0 {
                yield_now().await;
            }
        }
        while seen.borrow().len() < 1000 {
            yield_now().await;
        }
    });
    assert_eq!(seen.take(), (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_waiter_that_was_woken_and_is_dropped_passes_it_on() {
    let _watchdog = testkit::watchdog();
    let channel = Channel::new();
    let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(channel.receive())).collect();
    for waiter in &mut waiters {
        assert!(poll_with(waiter, Waker::noop()).is_pending());
    }
    channel.send(1);
    channel.send(2);
    // Two were called. The first is dropped, and the second and third get the values.
    drop(waiters.remove(0));
    let got = block_on(async { (waiters.remove(0).await, waiters.remove(0).await) });
    assert_eq!(got, (1, 2));
}

#[test]
fn a_waiter_that_gives_up_leaves_the_line() {
    let _watchdog = testkit::watchdog();
    let lock = Lock::default();
    block_on(async {
        let held = lock.hold().await;
        assert!(timeout(Duration::from_millis(5), lock.hold()).await.is_none());
        drop(held);
        assert!(timeout(Duration::from_secs(60), lock.hold()).await.is_some());
    });
}

/// A value that lies there while a waiter that was called has not taken its own.
#[test]
fn no_value_is_left_while_something_waits() {
    let _watchdog = testkit::watchdog();
    let channel = Channel::new();
    let (mut first, mut second) = (Box::pin(channel.receive()), Box::pin(channel.receive()));
    assert!(poll_with(&mut first, Waker::noop()).is_pending());
    channel.send(1);
    channel.send(2);
    assert!(poll_with(&mut second, Waker::noop()).is_pending());
    let got =
        block_on(async { timeout(Duration::from_secs(60), async { (first.await, second.await) }).await });
    assert_eq!(got, Some((1, 2)));
}

#[test]
fn a_waker_in_line_may_do_anything() {
    let _watchdog = testkit::watchdog();
    let channel = Rc::new(Channel::new());
    let receive = || {
        let channel = Rc::clone(&channel);
        Box::pin(async move { channel.receive().await })
    };
    let (mut first, mut second, mut third) = (receive(), receive(), receive());
    for waiter in [&mut first, &mut second, &mut third] {
        assert!(poll_with(waiter, &meddler()).is_pending());
    }
    // The first is woken, and drops the second, whose waker sends a value when it is dropped.
    let sender = Rc::clone(&channel);
    on_next_use(move || sender.send(2));
    on_next_use(move || drop(second));
    channel.send(1);
    assert!(all_is_done());
    block_on(sleep(Duration::from_millis(1)));
    assert_eq!(block_on(async { (first.await, third.await) }), (1, 2));
}
