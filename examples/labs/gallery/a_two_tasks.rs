//! Exhibit A: one task is woken, another is spawned, and the first is woken once more before either has run.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use roundel::{Runtime, spawn, time, yield_now};

fn main() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        let theirs = Rc::clone(&waker);
        let first = spawn(poll_fn(move |cx| match theirs.replace(Some(cx.waker().clone())) {
            None => Poll::Pending,
            Some(_) => Poll::Ready(()),
        }));
        yield_now().await;
        let waker = waker.borrow().clone().unwrap();
        waker.wake_by_ref();
        let second = spawn(async {});
        waker.wake_by_ref();
        let second = time::timeout(Duration::from_secs(60), second).await;
        println!("the second task has run: {}", second.is_ok());
        println!("the first task is over: {}", first.is_finished());
    });
}
