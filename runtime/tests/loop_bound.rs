//! `LoopBound`: `Send` and `Sync` whatever is in it, usable on its own thread only, dropped on its own thread always.

#![forbid(unsafe_code)]

mod common;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};

use futures_core::Stream;
use roundel::{LoopBound, Runtime, channel, spawn, yield_now};
#[allow(unused_imports)] // With `diagnostics`, a builder has its methods itself.
use testkit::Unwatched;

/// The threads on which values were dropped.
type Drops = Arc<Mutex<Vec<ThreadId>>>;

/// Not `Send`, and notes where it is dropped.
struct Noted {
    drops: Drops,
    _here: Rc<()>,
}

impl Noted {
    fn new(drops: &Drops) -> Noted {
        Noted { drops: drops.clone(), _here: Rc::new(()) }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.drops.lock().unwrap().push(thread::current().id());
    }
}

fn seen(drops: &Drops) -> Vec<ThreadId> {
    drops.lock().unwrap().clone()
}

/// Runs `f` on a thread of this name, to its end.
fn elsewhere<R: Send>(name: &str, f: impl FnOnce() -> R + Send) -> thread::Result<R> {
    thread::scope(|scope| thread::Builder::new().name(name.into()).spawn_scoped(scope, f).unwrap().join())
}

/// The words of a panic.
fn words(panic: Box<dyn std::any::Any + Send>) -> String {
    *panic
        .downcast::<String>()
        .unwrap_or_else(|panic| Box::new((*panic.downcast::<&str>().expect("a panic with words")).to_owned()))
}

fn may_travel<T: Send + Sync + Unpin + 'static>(_: &T) {}

#[test]
fn it_may_cross_threads_whatever_is_in_it() {
    may_travel(&LoopBound::new(Rc::new(Cell::new(1))));
    may_travel(&LoopBound::new(async {
        let counted = Rc::new(());
        pending::<()>().await;
        drop(counted);
    }));
}

#[test]
fn a_value_is_reached_on_its_own_thread() {
    let bound = LoopBound::new(Rc::new(Cell::new(1)));
    let bound = elsewhere("carrier", move || bound).unwrap();
    bound.with(|value| value.set(value.get() + 1));
    let other = bound.clone();
    other.get().set(7);
    assert_eq!(bound.get().get(), 7, "a clone of an `Rc` leads to the same value");
    assert_eq!(format!("{bound:?}"), "LoopBound(Cell { value: 7 })");
    drop(other);
    assert_eq!(Rc::strong_count(&bound.into_inner()), 1);
}

#[test]
fn uses_that_only_read_may_be_nested() {
    let bound = LoopBound::new(5);
    assert_eq!(bound.with(|outer| outer + bound.with(|inner| *inner)), 10);
}

#[test]
fn every_use_on_another_thread_panics_with_a_sentence() {
    type Use = fn(LoopBound<i32>);
    let uses: [(&str, Use); 4] = [
        ("with", |bound| bound.with(|_| ())),
        ("get", |bound| assert_eq!(bound.get(), 1)),
        ("into_inner", |bound| assert_eq!(bound.into_inner(), 1)),
        ("clone", |bound| drop(bound.clone())),
    ];
    elsewhere("home", || {
        for (name, using) in uses {
            let bound = LoopBound::new(1);
            let panic = elsewhere("away", move || {
                // Its own value has the same place there.
                let _own = LoopBound::new(1);
                assert!(!bound.is_here());
                assert_eq!(format!("{bound:?}"), "LoopBound(<of another thread>)");
                using(bound);
            });
            assert_eq!(
                words(panic.unwrap_err()),
                "a LoopBound of the thread `home` was used on the thread `away`: use it on its own thread, which others reach through a `Remote`",
                "{name}"
            );
        }
        let future = LoopBound::new(ready(()));
        let panic = elsewhere("away", move || {
            let _ = Box::pin(future).as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        assert!(words(panic.unwrap_err()).starts_with("a LoopBound of the thread `home` was used"));
    })
    .unwrap();
}

#[test]
fn a_future_and_a_stream_are_polled_in_place() {
    struct Down(Rc<Cell<u32>>);
    impl Stream for Down {
        type Item = u32;
        fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
            if self.0.get() % 2 == 1 {
                self.0.set(self.0.get() - 1);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let left = self.0.get().checked_sub(1);
            left.iter().for_each(|left| self.0.set(*left));
            Poll::Ready(left)
        }
    }
    roundel::run(async {
        let value = Rc::new(7);
        let future = LoopBound::new(async move {
            yield_now().await;
            *value
        });
        assert_eq!(future.await, 7);
        let mut stream = LoopBound::new(Down(Rc::new(Cell::new(4))));
        let mut got = Vec::new();
        while let Some(item) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
            got.push(item);
        }
        assert_eq!(got, [3, 1]);
    });
}

#[test]
fn a_bound_future_is_dropped_with_its_owner() {
    let drops = Drops::default();
    drop(LoopBound::new(Noted::new(&drops)));
    assert_eq!(seen(&drops), [thread::current().id()]);
}

#[test]
fn a_value_dropped_on_another_thread_is_dropped_here_when_the_loop_turns() {
    let _watchdog = common::watchdog();
    let (drops, here) = (Drops::default(), thread::current().id());
    roundel::run(async {
        let bound = LoopBound::new(Noted::new(&drops));
        elsewhere("away", move || drop(bound)).unwrap();
        assert_eq!(seen(&drops), [], "not on the other thread, and not before the loop turns");
        while seen(&drops).is_empty() {
            yield_now().await;
        }
        assert_eq!(seen(&drops), [here]);
    });
}

/// The loop sleeps with nothing to do: only the errand can wake it.
#[test]
fn a_drop_on_another_thread_wakes_the_loop() {
    let _watchdog = common::watchdog();
    for detect in [false, true] {
        let runtime = Runtime::builder().detect_deadlocks(detect).build().unwrap();
        runtime.block_on(async {
            let (sender, receiver) = channel::bounded::<()>(1);
            let bound = LoopBound::new(sender);
            let thread = thread::spawn(move || {
                thread::yield_now();
                drop(bound);
            });
            assert!(receiver.recv().await.is_err(), "the sender was dropped, and the receiver was woken");
            thread.join().unwrap();
        });
    }
}

/// The other thread still has it, and could drop it: this is no deadlock, although nothing else could wake the task.
#[test]
fn a_bound_value_elsewhere_is_a_way_out_of_a_deadlock() {
    let _watchdog = common::watchdog();
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let (sender, receiver) = channel::bounded::<()>(1);
        let bound = LoopBound::new(sender);
        let thread = thread::spawn(move || {
            thread::sleep(std::time::Duration::from_millis(20));
            drop(bound);
        });
        assert!(receiver.recv().await.is_err());
        thread.join().unwrap();
    });
}

#[test]
fn without_a_loop_a_value_dropped_elsewhere_waits_for_the_next_one() {
    let drops = Drops::default();
    let bound = LoopBound::new(Noted::new(&drops));
    elsewhere("away", move || drop(bound)).unwrap();
    assert_eq!(seen(&drops), []);
    let next = LoopBound::new(());
    assert_eq!(seen(&drops), [thread::current().id()]);
    next.with(|()| ());
}

#[test]
fn the_values_of_a_loop_that_is_over_wait_for_the_next_one() {
    let drops = Drops::default();
    let bound = roundel::run(async { LoopBound::new(Noted::new(&drops)) });
    elsewhere("away", move || drop(bound)).unwrap();
    assert_eq!(seen(&drops), []);
    drop(LoopBound::new(()));
    assert_eq!(seen(&drops), [thread::current().id()]);
}

#[test]
fn what_is_left_when_the_thread_ends_is_dropped_there() {
    struct Bomb(#[allow(dead_code)] Noted);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("expected: a bomb");
        }
    }
    let drops = Drops::default();
    let (kept, id) = thread::spawn({
        let drops = drops.clone();
        move || {
            let first = LoopBound::new(Noted::new(&drops));
            let bomb = LoopBound::new(Bomb(Noted::new(&drops)));
            // A value that is itself the owner of another one.
            let nested = LoopBound::new(LoopBound::new(Noted::new(&drops)));
            let given_back = LoopBound::new(Noted::new(&drops));
            elsewhere("away", move || drop(given_back)).unwrap();
            ((first, bomb, nested), thread::current().id())
        }
    })
    .join()
    .unwrap();
    assert_eq!(seen(&drops), [id; 4], "each once, whatever the others do");
    assert!(!kept.0.is_here());
    drop(kept);
    assert_eq!(seen(&drops).len(), 4);
}

/// A destructor that runs after the table of the thread is gone.
#[test]
fn a_thread_local_that_owns_one_ends_quietly() {
    struct Last(RefCell<Option<LoopBound<Noted>>>);
    impl Drop for Last {
        fn drop(&mut self) {
            let bound = self.0.take().unwrap();
            let panic = catch_unwind(AssertUnwindSafe(|| bound.with(|_| ()))).err().map(words);
            // Whichever of the two is dropped first, this neither aborts nor drops elsewhere.
            let ends =
                "a LoopBound was used while its thread ends: the thread's values have been dropped by then";
            assert!(panic.is_none_or(|panic| panic == ends));
        }
    }
    thread_local!(static LAST: Last = const { Last(RefCell::new(None)) });
    let drops = Drops::default();
    for local_first in [false, true] {
        let theirs = drops.clone();
        let id = thread::spawn(move || {
            if local_first {
                LAST.with(|_| ());
            }
            let bound = LoopBound::new(Noted::new(&theirs));
            LAST.with(|last| last.0.replace(Some(bound)));
            thread::current().id()
        });
        let id = id.join().unwrap();
        assert_eq!(std::mem::take(&mut *drops.lock().unwrap()), [id]);
    }
}

/// A destructor that makes, uses and drops others, and one that panics: none of it disturbs the table.
#[test]
fn destructors_may_use_the_table() {
    struct Meddles(LoopBound<i32>);
    impl Drop for Meddles {
        fn drop(&mut self) {
            let others: Vec<_> = (0..100).map(LoopBound::new).collect();
            assert_eq!(others.iter().map(|other| other.with(|value| *value)).sum::<i32>(), 4950);
            assert_eq!(self.0.get(), 7);
        }
    }
    let bound = LoopBound::new(Meddles(LoopBound::new(7)));
    drop(bound);
    let bound = LoopBound::new(Meddles(LoopBound::new(7)));
    elsewhere("away", move || drop(bound)).unwrap();
    assert!(LoopBound::new(()).is_here());
}

/// An oracle: values are made, carried around, used, cloned and dropped on two threads in some order. In the end each value
/// has been dropped once, at home, and each `LoopBound` has always led to its own value.
#[test]
fn nothing_is_lost_doubled_or_mixed_up() {
    struct Numbered(u64, Noted);
    let mut random = 7u64;
    let mut next = move |n: u64| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) % n
    };
    let (drops, here) = (Drops::default(), thread::current().id());
    let (send, receive) = mpsc::channel::<LoopBound<Numbered>>();
    let thread = thread::spawn(move || receive.into_iter().for_each(drop));
    let rounds = if cfg!(miri) { 200 } else { 20_000 };
    let (mut made, mut kept) = (0, VecDeque::new());
    roundel::run(async {
        for _ in 0..rounds {
            match next(4) {
                0 | 1 => {
                    kept.push_back((made, LoopBound::new(Numbered(made, Noted::new(&drops)))));
                    made += 1;
                }
                2 => drop(kept.pop_front()),
                _ => kept.pop_back().into_iter().for_each(|(_, bound)| send.send(bound).unwrap()),
            }
            if let Some((number, bound)) = kept.get(next(kept.len().max(1) as u64) as usize) {
                assert_eq!(bound.with(|value| value.0), *number);
            }
            if next(10) == 0 {
                yield_now().await;
            }
        }
        for (number, bound) in kept {
            let Numbered(found, noted) = bound.into_inner();
            assert_eq!(found, number);
            drop(noted);
        }
        drop(send);
        thread.join().unwrap();
    });
    drop(LoopBound::new(()));
    assert_eq!(seen(&drops), vec![here; made as usize]);
}

#[test]
fn a_spawned_task_may_be_one() {
    let drops = Drops::default();
    roundel::run(async {
        let noted = Noted::new(&drops);
        let task = spawn(LoopBound::new(async move {
            pending::<()>().await;
            drop(noted);
        }));
        yield_now().await;
        task.cancel();
        assert_eq!(seen(&drops).len(), 1, "cancelling the task drops the future at once");
    });
}

#[cfg(feature = "io")]
mod bytes {
    use futures_io::{AsyncRead, AsyncWrite};
    use std::io::{self, IoSlice, IoSliceMut};

    /// Notes which of its methods were called.
    #[derive(Default)]
    struct Wire(Rc<RefCell<Vec<&'static str>>>);
    impl Wire {
        fn note(&self, name: &'static str, count: usize) -> Poll<io::Result<usize>> {
            self.0.borrow_mut().push(name);
            Poll::Ready(Ok(count))
        }
    }
    impl AsyncRead for Wire {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            self.note("read", 1)
        }
        fn poll_read_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut [IoSliceMut<'_>],
        ) -> Poll<io::Result<usize>> {
            self.note("read_vectored", 2)
        }
    }
    impl AsyncWrite for Wire {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            self.note("write", 3)
        }
        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.note("write_vectored", 4)
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.note("flush", 0).map_ok(drop)
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.note("close", 0).map_ok(drop)
        }
    }

    use super::*;

    #[test]
    fn a_stream_of_bytes_is_read_and_written_through_it() {
        let calls = Rc::<RefCell<Vec<_>>>::default();
        let mut wire = LoopBound::new(Wire(calls.clone()));
        let cx = &mut Context::from_waker(Waker::noop());
        let ready = |poll: Poll<io::Result<usize>>| match poll {
            Poll::Ready(Ok(count)) => count,
            _ => unreachable!(),
        };
        assert_eq!(ready(Pin::new(&mut wire).poll_read(cx, &mut [0])), 1);
        assert_eq!(ready(Pin::new(&mut wire).poll_read_vectored(cx, &mut [])), 2);
        assert_eq!(ready(Pin::new(&mut wire).poll_write(cx, b"x")), 3);
        assert_eq!(ready(Pin::new(&mut wire).poll_write_vectored(cx, &[])), 4);
        assert!(Pin::new(&mut wire).poll_flush(cx).is_ready());
        assert!(Pin::new(&mut wire).poll_close(cx).is_ready());
        assert_eq!(*calls.borrow(), ["read", "read_vectored", "write", "write_vectored", "flush", "close"]);
    }
}
