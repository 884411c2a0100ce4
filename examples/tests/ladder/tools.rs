//! What the behaviours need: a thread's answer, wakers that are foreign code, and the processor time of a thread.

use std::alloc::System;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// What a thread will answer, and the waker that waits for it.
type Answer<T> = Arc<Mutex<(Option<T>, Option<Waker>)>>;

/// The answer of a thread, to which the job is given at once.
pub(crate) fn answer_of<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let ours: Answer<T> = Arc::default();
    let theirs = Arc::clone(&ours);
    thread::spawn(move || {
        let answer = Some(job());
        let waker = {
            let mut place = theirs.lock().unwrap();
            place.0 = answer;
            place.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    });
    poll_fn(move |cx| {
        let mut place = ours.lock().unwrap();
        place.1 = Some(cx.waker().clone());
        place.0.take().map_or(Poll::Pending, Poll::Ready)
    })
}

/// The waker of the future that awaits this.
pub(crate) async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// Polls once, with this waker.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

thread_local!(static DEEDS: RefCell<Vec<Box<dyn FnOnce()>>> = RefCell::default());

/// Something that the next waker of [`meddler`] does when it is woken or dropped on this thread.
pub(crate) fn on_next_use(deed: impl FnOnce() + 'static) {
    DEEDS.with(|deeds| deeds.borrow_mut().push(Box::new(deed)));
}

/// Whether all deeds have been done.
pub(crate) fn all_is_done() -> bool {
    DEEDS.with(|deeds| deeds.borrow().is_empty())
}

/// A waker that does something when it is woken, and when the last of its clones is dropped. (A safe waker cannot do
/// something when it is cloned.)
pub(crate) fn meddler() -> Waker {
    Waker::from(Arc::new(Meddler))
}

struct Meddler;

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        meddle();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        meddle();
    }
}

fn meddle() {
    // Only this thread's deeds. At the end of a thread there may be none any more.
    let deed = DEEDS.try_with(|deeds| deeds.borrow_mut().pop());
    if let Ok(Some(deed)) = deed {
        deed();
    }
}

/// What a handle yields. From rung 10 on it may be an error.
pub(crate) trait Outcome<T> {
    fn output(self) -> T;
}

impl<T> Outcome<T> for T {
    fn output(self) -> T {
        self
    }
}

impl<T> Outcome<T> for thread::Result<T> {
    fn output(self) -> T {
        self.unwrap_or_else(|_| panic!("a task has not returned"))
    }
}

/// How many milliseconds this thread has had a processor so far. Only Linux says that.
pub(crate) fn processor_time() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse::<u64>().ok().map(|nanoseconds| nanoseconds / 1_000_000)
}

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often this process has allocated memory. It means something only in a test that runs alone.
pub(crate) fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}
