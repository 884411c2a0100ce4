//! From scratch, 1 of 6: the smallest loop. It asks, and asks, and asks.
//!
//! Run it with `cargo run --release --example from_scratch_1`. Its loop needs nothing but `std`.
//!
//! Facts. A future does nothing by itself. Somebody has to poll it; and when it answers `Pending`, somebody has to poll it
//! again.
//!
//! What follows. A loop around `poll` comes to the end of every future, and is all that `.await` needs. What is wrong with
//! it is its price: whatever the future waits for, the loop spends that time asking whether it still has to wait.

#![forbid(unsafe_code)]

use std::fs;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use examples::{args, println};

/// Polls until the future is done. Gives back its output, and how many polls that took.
fn block_on<F: Future>(future: F) -> (F::Output, u64) {
    let mut future = pin!(future);
    // Every future is told whom to wake. We are always awake, so nothing has to be done for it.
    let mut cx = Context::from_waker(Waker::noop());
    let mut polls = 0;
    loop {
        polls += 1;
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return (output, polls);
        }
    }
}

/// Done when its deadline has passed. It tells nobody; it answers when it is asked.
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

/// How long this thread has had a processor so far. Only Linux tells.
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
