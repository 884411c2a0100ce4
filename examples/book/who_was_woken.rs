//! A thousand futures in one task: how many polls their thousand wakes cost.
//!
//! Run it with `cargo run --release --example who_was_woken`. Time is virtual, so it takes none.
//!
//! Facts. A task has one waker. If it contains a thousand futures and passes that waker to all of them, it does not
//! know which of them a wake was for.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use examples::{args, println};
use roundel::group::gather;
use roundel::{Runtime, time};

/// Counts the polls of a future.
async fn counted<F: Future>(polls: &Cell<u32>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(cx)
    })
    .await
}

/// Wrong at this size: every wake polls all futures that are not done.
async fn poll_all<F: Future<Output = ()>>(futures: impl IntoIterator<Item = F>) {
    let mut left: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|cx| {
        left.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if left.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn main() {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build().expect("a loop");
    for count in [10, 100, 1000] {
        let (all, woken) = (Cell::new(0), Cell::new(0));
        runtime.block_on(async {
            let one_by_one = || (1..=count).map(|ms| time::sleep(Duration::from_millis(ms)));
            poll_all(one_by_one().map(|sleep| counted(&all, sleep))).await;
            gather(one_by_one().map(|sleep| counted(&woken, sleep))).await;
        });
        println!("{count:4} sleeps: {:6} polls if all are polled, {:4} in a gather", all.get(), woken.get());
    }
}
