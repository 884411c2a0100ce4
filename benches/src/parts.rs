//! What the programs need and no contender has: a future that wakes itself, a baton that two tasks pass, a thread that
//! wakes a task from outside.
//!
//! Facts. A benchmark that uses a contender's own channel measures that channel. If it uses one channel for all
//! contenders, it measures that one, too.
//!
//! What follows. These parts do as little as possible, know no runtime, and are the same for every contender.

use std::cell::{Cell, RefCell};
pub use std::future::poll_fn;
pub use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
pub use std::task::Context;
pub use std::task::Poll;
use std::task::Waker;
pub use std::time::{Duration, Instant};

/// Wakes itself and returns `Pending` once: every scheduler understands that.
pub struct SelfWake(bool);

impl SelfWake {
    pub fn new() -> SelfWake {
        SelfWake(false)
    }
}

impl Default for SelfWake {
    fn default() -> SelfWake {
        SelfWake::new()
    }
}

impl Future for SelfWake {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Passes a turn to and fro between two tasks, without any contender's channel.
#[derive(Clone, Default)]
pub struct LocalBaton(Rc<(Cell<u64>, RefCell<Option<Waker>>)>);

impl LocalBaton {
    pub fn pass(&self, value: u64) {
        self.0.0.set(value);
        let waker = self.0.1.take();
        waker.into_iter().for_each(Waker::wake);
    }

    pub async fn take(&self, expected: u64) {
        poll_fn(|cx| {
            if self.0.0.get() == expected {
                return Poll::Ready(());
            }
            self.0.1.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// The same for a contender whose futures have to be `Send`.
#[derive(Clone, Default)]
pub struct SendBaton(Arc<Mutex<(u64, Option<Waker>)>>);

impl SendBaton {
    pub fn pass(&self, value: u64) {
        let mut state = self.0.lock().unwrap();
        state.0 = value;
        let waker = state.1.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    pub async fn take(&self, expected: u64) {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap();
            if state.0 == expected {
                return Poll::Ready(());
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A thread that wakes one task again and again; the task notes how long each wake took to arrive.
pub async fn remote_wakes(n: u64) -> Vec<Duration> {
    type Shared = Mutex<(Option<Waker>, Option<Instant>)>;
    let shared: Arc<Shared> = Arc::default();
    let theirs = Arc::clone(&shared);
    let thread = std::thread::spawn(move || {
        for _ in 0..n {
            let waker = loop {
                if let Some(waker) = theirs.lock().unwrap().0.take() {
                    break waker;
                }
                std::thread::sleep(Duration::from_micros(50));
            };
            // Long enough for the loop to have gone to sleep.
            std::thread::sleep(Duration::from_micros(200));
            theirs.lock().unwrap().1 = Some(Instant::now());
            waker.wake();
        }
    });
    let mut took = Vec::new();
    for _ in 0..n {
        poll_fn(|cx| {
            let mut state = shared.lock().unwrap();
            if let Some(woken) = state.1.take() {
                took.push(woken.elapsed());
                return Poll::Ready(());
            }
            state.0 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
    thread.join().unwrap();
    took
}

/// What a hot task does between two wakes of itself.
const BURN: Duration = Duration::from_micros(20);

/// Never stops: after each burn it is ready again at once.
pub async fn burn_and_wake() {
    loop {
        burn();
        SelfWake::new().await;
    }
}

fn burn() {
    let start = Instant::now();
    while start.elapsed() < BURN {
        std::hint::spin_loop();
    }
}

/// Keeps hot tasks burning as long as it is stoked. A program that never gets its turn back must end all the same.
#[derive(Clone)]
pub struct Fire {
    lit: Instant,
    lasts: Duration,
    /// In nanoseconds since it was lit.
    until: Arc<AtomicU64>,
}

impl Fire {
    /// Burns for this long each time it is stoked.
    pub fn that_lasts(lasts: Duration) -> Fire {
        let fire = Fire { lit: Instant::now(), lasts, until: Arc::default() };
        fire.stoke();
        fire
    }

    pub fn stoke(&self) {
        self.until.store((self.lit.elapsed() + self.lasts).as_nanos() as u64, SeqCst);
    }

    pub fn quench(&self) {
        self.until.store(0, SeqCst);
    }

    pub fn is_out(&self) -> bool {
        self.lit.elapsed().as_nanos() as u64 >= self.until.load(SeqCst)
    }

    /// A hot task.
    pub async fn burn(self) {
        while !self.is_out() {
            burn();
            SelfWake::new().await;
        }
    }
}

/// A thread that wakes one task `n` times as fast as it can, and then once more; the task runs as often as it has to.
pub async fn foreign_wakes(n: u64) -> Duration {
    let (waker, over) =
        (poll_fn(|cx| Poll::Ready(cx.waker().clone())).await, Arc::new(AtomicBool::new(false)));
    let theirs = Arc::clone(&over);
    let thread = std::thread::spawn(move || {
        let start = Instant::now();
        (0..n).for_each(|_| waker.wake_by_ref());
        let took = start.elapsed();
        theirs.store(true, SeqCst);
        waker.wake();
        took
    });
    poll_fn(|_| if over.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }).await;
    thread.join().unwrap()
}

thread_local!(static POLLED: Cell<u64> = const { Cell::new(0) });

/// Notes that a task of this thread has been polled; the note takes no space in the task.
pub fn polled() {
    POLLED.set(POLLED.get() + 1);
}

/// How often that was noted since the last call.
pub fn times_polled() -> u64 {
    POLLED.take()
}

/// Polls a future once, in the running task.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) {
    poll_fn(|cx| {
        assert!(Pin::new(&mut *future).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

const HOUR: Duration = Duration::from_secs(3_600);

/// How long sleep `i` of a crowd lasts: between one hour and two, in no order.
pub fn long_nap(i: u64) -> Duration {
    HOUR + Duration::from_nanos(i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % HOUR.as_nanos() as u64)
}

/// The length of a timeout that ends before every sleep of a crowd.
pub fn before_all(_: u64) -> Duration {
    HOUR / 2
}

/// The length of a timeout that ends after every sleep of a crowd.
pub fn after_all(_: u64) -> Duration {
    3 * HOUR
}
