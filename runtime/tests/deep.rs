//! Chains a million links long, on a stack of 64 KiB: what one task does to the next must not nest (hazard 15).
//!
//! Each test runs on a separate thread with a small stack, so that even a recursion of a few hundred levels ends the
//! process.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use roundel::{JoinHandle, Runtime, spawn, yield_now};

const LINKS: usize = if cfg!(miri) { 300 } else { 1_000_000 };

fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let stack = if cfg!(miri) { 8 << 20 } else { 64 << 10 };
    std::thread::Builder::new().stack_size(stack).spawn(test).unwrap().join().unwrap();
}

/// Cancels the next task when it is dropped.
struct CancelsNext {
    next: Option<JoinHandle<()>>,
    drops: Rc<Cell<usize>>,
}

impl Drop for CancelsNext {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        if let Some(next) = &self.next {
            next.cancel();
        }
    }
}

/// A chain of waiting tasks, each of which cancels the next when it is dropped. Returns the first task.
fn cancel_chain(drops: &Rc<Cell<usize>>) -> JoinHandle<()> {
    let mut next = None;
    for _ in 0..LINKS {
        let link = CancelsNext { next, drops: Rc::clone(drops) };
        next = Some(spawn(async move {
            let _link = link;
            pending::<()>().await;
        }));
    }
    next.unwrap()
}

#[test]
fn hazard_15_each_cancels_the_next() {
    on_a_small_stack(|| {
        let drops: Rc<Cell<usize>> = Rc::default();
        roundel::run(async {
            cancel_chain(&drops).cancel();
            assert_eq!(drops.get(), LINKS, "all of them are gone when the first cancel returns");
            assert_eq!(roundel::task::count(), 1);
        });
    });
}

#[test]
fn hazard_15_each_cancels_the_next_in_a_shutdown() {
    on_a_small_stack(|| {
        let drops: Rc<Cell<usize>> = Rc::default();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async { cancel_chain(&drops).detach() });
        drop(runtime);
        assert_eq!(drops.get(), LINKS);
    });
}

/// An output that holds the handle of a task whose output holds the handle of a task…
struct Link(#[expect(dead_code, reason = "it is there to be dropped")] Option<JoinHandle<Link>>);

#[test]
fn hazard_15_outputs_that_hold_the_next_handle() {
    on_a_small_stack(|| {
        roundel::run(async {
            let mut first = None;
            for _ in 0..LINKS {
                let next = first;
                first = Some(spawn(async move { Link(next) }));
            }
            yield_now().await;
            drop(first);
        });
    });
}

#[test]
fn hazard_15_each_awaits_the_next() {
    on_a_small_stack(|| {
        let total = roundel::run(async {
            let mut first = spawn(async { 0_usize });
            for _ in 0..LINKS {
                let next = first;
                first = spawn(async move { next.await.unwrap() + 1 });
            }
            first.await.unwrap()
        });
        assert_eq!(total, LINKS);
    });
}

/// Wakes the next task when it is dropped.
struct WakesNext(Rc<RefCell<Vec<Waker>>>, usize);

impl Drop for WakesNext {
    fn drop(&mut self) {
        let next = self.0.borrow().get(self.1 + 1).cloned();
        next.into_iter().for_each(Waker::wake);
    }
}

#[test]
fn hazard_15_each_wakes_the_next_in_its_drop() {
    on_a_small_stack(|| {
        let finished: Rc<Cell<usize>> = Rc::default();
        roundel::run(async {
            let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
            for i in 0..LINKS {
                let (wakers, finished) = (Rc::clone(&wakers), Rc::clone(&finished));
                spawn(async move {
                    let mut polled = false;
                    let link = WakesNext(Rc::clone(&wakers), i);
                    poll_fn(|cx| {
                        if std::mem::replace(&mut polled, true) {
                            return Poll::Ready(());
                        }
                        wakers.borrow_mut().push(cx.waker().clone());
                        Poll::Pending
                    })
                    .await;
                    drop(link);
                    finished.set(finished.get() + 1);
                })
                .detach();
            }
            yield_now().await;
            let first = wakers.borrow()[0].clone();
            first.wake();
            while finished.get() < LINKS {
                yield_now().await;
            }
        });
    });
}

#[test]
fn hazard_15_a_large_future_costs_the_stack_little() {
    on_a_small_stack(|| {
        // The future is moved into its box once, and not from frame to frame. (Without optimisation, each move is a
        // copy.)
        const ROOM: usize = if cfg!(debug_assertions) { 1 << 10 } else { 16 << 10 };
        roundel::run(async {
            let large = async {
                let room = [1_u8; ROOM];
                yield_now().await;
                room.iter().map(|byte| usize::from(*byte)).sum::<usize>()
            };
            assert_eq!(spawn(large).await.unwrap(), ROOM);
        });
    });
}
