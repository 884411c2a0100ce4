//! From scratch, 2 of 6: a loop that sleeps until it is woken.
//!
//! Run it with `cargo run --release --example from_scratch_2`. Its loop needs nothing but `std`.
//!
//! What rung 1 got wrong. It polled all the time, because nothing told it when to poll.
//!
//! Facts. That is what the waker is for: a future that answers `Pending` keeps it, and uses it when something has
//! changed. A wake may come from any thread and at any moment, even during the poll, before the thread sleeps.
//!
//! What follows. The loop parks its thread, and the waker unparks it. `unpark` leaves a note if the thread is not
//! parked yet, and the next `park` finds the note. A bell without such a note loses the wake, and the loop sleeps for
//! ever. A future that keeps no waker ends the same way: to answer `Pending` is to promise a wake. The program shows
//! both mistakes, and cuts them off.
//!
//! What is wrong with this loop. It waits for one future. The next one does not even begin.

#![forbid(unsafe_code)]

use std::fs;
use std::future::poll_fn;
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

/// Polls, and from then on polls only after a wake. Returns the output, and how many polls that took.
fn block_on<F: Future>(future: F) -> (F::Output, u32) {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut polls = 0;
    loop {
        polls += 1;
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (output, polls);
        }
        thread::park();
    }
}

/// Wrong: a thread that is not waiting at this moment does not hear the bell, and nothing remembers that it rang.
#[derive(Default)]
struct Bell {
    door: Mutex<()>,
    rung: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.notify_all();
    }
}

fn block_on_with_a_bell<F: Future>(future: F) -> (F::Output, u32) {
    let mut future = pin!(future);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut polls = 0;
    loop {
        polls += 1;
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (output, polls);
        }
        drop(bell.rung.wait(bell.door.lock().unwrap()));
    }
}

/// Done when its own thread has slept for so long.
struct Sleep {
    duration: Duration,
    alarm: Option<Arc<Mutex<Alarm>>>,
}

/// What a sleep and its thread share.
struct Alarm {
    over: bool,
    waker: Waker,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(alarm) = &self.alarm else {
            let alarm = Arc::new(Mutex::new(Alarm { over: false, waker: cx.waker().clone() }));
            let (duration, theirs) = (self.duration, Arc::clone(&alarm));
            thread::spawn(move || ring_after(duration, &theirs));
            self.alarm = Some(alarm);
            return Poll::Pending;
        };
        let mut alarm = alarm.lock().unwrap();
        // The last waker counts, because the future may have moved to another loop.
        alarm.waker.clone_from(cx.waker());
        if alarm.over { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn ring_after(duration: Duration, alarm: &Mutex<Alarm>) {
    thread::sleep(duration);
    let mut alarm = alarm.lock().unwrap();
    alarm.over = true;
    alarm.waker.wake_by_ref();
}

fn sleep(duration: Duration) -> Sleep {
    Sleep { duration, alarm: None }
}

/// Wrong: rung 1's sleep. It keeps no waker, so nothing wakes the loop.
async fn sleep_that_keeps_no_waker(duration: Duration) {
    let deadline = Instant::now() + duration;
    poll_fn(|_| if Instant::now() < deadline { Poll::Pending } else { Poll::Ready(()) }).await;
}

/// Asks to be polled once more: the wake comes during the poll.
async fn give_way() {
    let mut first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut first) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// How it ends; or that it does not, which the program finds out by giving up after a while.
fn outcome(run: impl FnOnce() -> u32 + Send + 'static) -> String {
    let (tell, hear) = mpsc::channel();
    thread::spawn(move || tell.send(run()));
    match hear.recv_timeout(Duration::from_millis(300)) {
        Ok(polls) => format!("done after {polls} polls"),
        Err(_) => "hangs (given up after 300 ms)".to_owned(),
    }
}

/// How long this thread has had a processor so far. Only Linux says that.
fn processor_time() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn main() {
    args::none();
    const TENTH: Duration = Duration::from_millis(100);
    let before = processor_time();
    let ((), polls) = block_on(sleep(TENTH));
    println!("a sleep of 100 ms: done after {polls} polls");
    if let (Some(before), Some(after)) = (before, processor_time()) {
        println!("spent {} ms of processor time on waiting", (after - before).as_millis());
    }
    println!("a yield, and a bell: {}", outcome(|| block_on_with_a_bell(give_way()).1));
    println!("a yield, and park: {}", outcome(|| block_on(give_way()).1));
    println!("a sleep that keeps no waker: {}", outcome(|| block_on(sleep_that_keeps_no_waker(TENTH)).1));
    let start = Instant::now();
    block_on(async {
        sleep(TENTH).await;
        sleep(TENTH).await;
    });
    println!("two sleeps of 100 ms: {} ms, one after the other", start.elapsed().as_millis());
}
