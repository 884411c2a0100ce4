//! From scratch, 1 of 6: the smallest loop. It polls, and polls, and polls.
//!
//! Run it with `cargo run --release --example from_scratch_1`. Its loop needs nothing but `std`.
//!
//! Facts. A future does nothing by itself. A loop has to poll it, and when the future answers `Pending`, to poll it
//! again.
//!
//! What follows. A loop around `poll` brings every future to its end, and `.await` needs no more than that. What is
//! wrong with this loop is its price: while the future waits, the loop spends all of the time asking whether it still
//! has to wait.

#![forbid(unsafe_code)]

use std::fs;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use examples::{args, println};

/// Polls until the future is done. Returns its output, and how many polls that took.
fn block_on<F: Future>(future: F) -> (F::Output, u64) {
    let mut future = pin!(future);
    // Every future is told what to wake. This loop is always awake, so its waker does nothing.
    let mut cx = Context::from_waker(Waker::noop());
    let mut polls = 0;
    loop {
        polls += 1;
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return (output, polls);
        }
    }
}

/// Done when its deadline has passed. It tells no one; it answers when it is polled.
struct Sleep {
    deadline: Instant,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() < self.deadline { Poll::Pending } else { Poll::Ready(()) }
    }
}

fn sleep(duration: Duration) -> Sleep {
    Sleep { deadline: Instant::now() + duration }
}

/// How long this thread has had a processor so far. Only Linux says that.
fn processor_time() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn main() {
    args::none();
    let before = processor_time();
    let (answer, polls) = block_on(async {
        sleep(Duration::from_millis(100)).await;
        6 * 7
    });
    println!("the answer after 100 ms: {answer}");
    println!("asked {polls} times whether the 100 ms are over");
    if let (Some(before), Some(after)) = (before, processor_time()) {
        println!("spent {} ms of processor time on waiting", (after - before).as_millis());
    }
}
