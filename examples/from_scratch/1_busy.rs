//! From scratch, 1 of 12: the smallest loop. It polls, and polls, and polls.
//!
//! Run it with `cargo run --release --example from_scratch_1`. It needs nothing but `std`.
//!
//! Facts. A future does nothing by itself. A loop has to poll it, and when the future answers `Pending`, to poll it
//! again.
//!
//! What follows. A loop around `poll` brings every future to its end, and `.await` needs no more than that.
//!
//! What is wrong with this loop is its price: while the future waits, the loop spends all of the time asking whether
//! it still has to wait.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the main function proves only what is new; the tests use the rest")]

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use examples::{args, println};

/// Polls until the future is done.
pub(crate) fn block_on<F: Future>(main: F) -> F::Output {
    let mut main = pin!(main);
    // Every future is told what to wake. This loop is always awake, so its waker does nothing.
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = main.as_mut().poll(&mut cx) {
            return output;
        }
    }
}

/// Answers `Pending` once. It uses the waker before that, because it can go on at once.
pub(crate) async fn yield_now() {
    let mut is_first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut is_first) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// Done when its deadline has passed. It wakes nothing; it answers when it is polled.
pub(crate) struct Sleep {
    deadline: Instant,
}

pub(crate) fn sleep(duration: Duration) -> Sleep {
    Sleep { deadline: Instant::now() + duration }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// How many polls it takes until the future is done.
pub(crate) async fn polls(future: impl Future) -> u64 {
    let (mut future, mut count) = (pin!(future), 0);
    poll_fn(|cx| {
        count += 1;
        future.as_mut().poll(cx)
    })
    .await;
    count
}

/// How many milliseconds this thread has had a processor so far. Only Linux says that; elsewhere it is zero.
fn processor_time() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0) / 1_000_000
}

fn main() {
    args::none();
    let before = processor_time();
    let polls = block_on(polls(sleep(Duration::from_millis(100))));
    println!("a sleep of 100 ms: {polls} polls, {} ms of processor time", processor_time() - before);
}
