//! What yields, and what does not.
//!
//! Run it with `cargo run --release --example turns`, and add `await` or `budget` to see only that part. It counts
//! polls, so its figures are exact.
//!
//! Facts. A task yields where it has to wait, and nowhere else. Awaiting something that is ready is no wait. A channel
//! with a thousand messages is ready a thousand times.
//!
//! What follows. `.await` is a place where a task *may* yield. A thousand messages must not keep the other tasks from
//! running, so an operation that never has to wait yields all the same when the budget of its poll is used up.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{poll_fn, ready};
use std::pin::pin;
use std::rc::Rc;

use examples::{args, println};
use roundel::{channel, spawn, yield_now};

/// Two futures that print their names and then await something, three times.
async fn story<F: Future>(what: fn() -> F) -> String {
    let story = RefCell::new(String::new());
    let write = async |name| {
        for _ in 0..3 {
            story.borrow_mut().push(name);
            what().await;
        }
    };
    roundel::group::join!(write('a'), write('b'));
    story.take()
}

/// How often a future was polled until it was done, and how often its neighbour ran meanwhile.
async fn polls(future: impl Future<Output = ()>) -> (u32, u32) {
    let (mut future, mut polls, others) = (pin!(future), 0, Rc::new(Cell::new(0)));
    let theirs = Rc::clone(&others);
    let neighbour = spawn(async move {
        loop {
            theirs.set(theirs.get() + 1);
            yield_now().await;
        }
    });
    poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    })
    .await;
    neighbour.cancel();
    (polls, others.get())
}

async fn thousand_messages() {
    let (sender, receiver) = channel::unbounded();
    (0..2000).for_each(|n| sender.try_send(n).expect("there is room"));
    let politely = async {
        for _ in 0..1000 {
            receiver.recv().await.expect("the sender is there");
        }
    };
    println!("1000 messages with `recv`: (polls, polls of a neighbour) = {:?}", polls(politely).await);
    let greedily = async { (0..1000).for_each(|n| assert_eq!(receiver.try_recv(), Ok(1000 + n))) };
    println!("1000 messages with `try_recv`: (polls, polls of a neighbour) = {:?}", polls(greedily).await);
}

fn main() {
    let wanted = args::part(&["await", "budget"]);
    let is_wanted = |part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
    roundel::run(async {
        if is_wanted("await") {
            println!("they await what is ready: {}", story(|| ready(())).await);
            println!("they await `yield_now`:   {}", story(yield_now).await);
        }
        if is_wanted("budget") {
            thousand_messages().await;
        }
    });
}
