//! From scratch, 2 of 12: a loop that sleeps until it is woken.
//!
//! Run it with `cargo run --release --example from_scratch_2`. It needs nothing but `std`.
//!
//! What rung 1 got wrong. It polled all the time, because nothing told it when to poll.
//!
//! Facts. That is what the waker is for: a future that answers `Pending` keeps it, and uses it when something has
//! changed. A wake may come from any thread and at any moment, even during the poll, before the thread sleeps.
//!
//! What follows. The loop parks its thread, and the waker unparks it. `unpark` leaves a note if the thread is not
//! parked yet, and the next `park` finds the note. A bell without such a note loses the wake, and the loop sleeps for
//! ever. A future that keeps no waker ends the same way: to answer `Pending` is to promise a wake. The program shows
//! both mistakes, and gives up on them.
//!
//! What is wrong with this loop. It waits for one future. The next one does not even begin.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the main function proves only what is new; the tests use the rest")]

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use examples::{args, println};

/// Wakes the thread that waits in [`block_on`].
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Wrong: a thread that is not waiting at this moment does not hear the bell, and nothing remembers that it rang.
#[derive(Default)]
struct BrokenBell(Mutex<()>, Condvar);

impl Wake for BrokenBell {
    fn wake(self: Arc<Self>) {
        self.1.notify_all();
    }
}

/// Polls, and from then on polls only after a wake.
pub(crate) fn block_on<F: Future>(main: F) -> F::Output {
    block_on_with(main, Arc::new(Unpark(thread::current())).into(), thread::park)
}

fn block_on_with<F: Future>(main: F, waker: Waker, wait: impl Fn()) -> F::Output {
    let mut main = pin!(main);
    loop {
        if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        wait();
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

/// Done when its deadline has passed. A thread of its own waits for that, and wakes.
pub(crate) struct Sleep {
    deadline: Instant,
    /// The waker of the last poll, which the thread is to use.
    kept: Option<Arc<Mutex<Option<Waker>>>>,
}

pub(crate) fn sleep(duration: Duration) -> Sleep {
    Sleep { deadline: Instant::now() + duration, kept: None }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (deadline, waker) = (self.deadline, cx.waker().clone());
        let kept = self.kept.get_or_insert_with(|| wake_at(deadline));
        // Foreign code runs when a waker is cloned or dropped, so the lock is held for neither.
        let old = kept.lock().unwrap().replace(waker);
        drop(old);
        // The waker is kept before this look at the clock. Otherwise the thread could wake in between, and in vain.
        if Instant::now() >= deadline { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Starts a thread that uses the waker in the returned place at this time.
fn wake_at(deadline: Instant) -> Arc<Mutex<Option<Waker>>> {
    let kept: Arc<Mutex<Option<Waker>>> = Arc::default();
    let theirs = Arc::clone(&kept);
    thread::spawn(move || {
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
        let waker = theirs.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    });
    kept
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

/// Whether this ends; or that it does not, which the program finds out by giving up after a while.
fn outcome<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> &'static str {
    let (tell, hear) = mpsc::channel();
    thread::spawn(move || tell.send(run()));
    hear.recv_timeout(Duration::from_millis(300)).map_or("hangs (given up after 300 ms)", |_| "is done")
}

fn main() {
    args::none();
    let before = processor_time();
    let polls = block_on(polls(sleep(Duration::from_millis(100))));
    println!("a sleep of 100 ms: {polls} polls, {} ms of processor time", processor_time() - before);
    println!("a yield, and park: {}", outcome(|| block_on(yield_now())));
    let broken = outcome(|| {
        let bell = Arc::new(BrokenBell::default());
        block_on_with(yield_now(), bell.clone().into(), || drop(bell.1.wait(bell.0.lock().unwrap())));
    });
    println!("a yield, and the broken bell: {broken}");
    println!("a future that keeps no waker: {}", outcome(|| block_on(pending::<()>())));
}
