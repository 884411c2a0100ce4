//! From scratch, 5 of 12: the loop knows when it will be needed.
//!
//! Run it with `cargo run --release --example from_scratch_5`. It needs nothing but `std`.
//!
//! What rung 4 got wrong. Each sleep was a thread, also a sleep that was given up long ago.
//!
//! Facts. A thread that sleeps for a task does nothing that the loop could not do itself: the loop sleeps anyway. It
//! only has to know the next deadline. Most deadlines are given up before they come.
//!
//! What follows. Deadlines lie in an ordered map, each with the waker that it is to use. The loop waits until the first
//! one at most, and then wakes everything that is due. To fire a timer is to wake, and nothing else: the task looks at
//! the clock itself. A sleep that is dropped takes its deadline with it. So a *timeout* is two futures, of which the
//! first to finish counts, and the other is dropped.
//!
//! What is wrong with this loop. It can wait for time and for threads, but not for a byte. A read that blocks stops all
//! tasks, and a read that is tried in every turn is rung 1 again.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the main function proves only what is new; the tests use the rest")]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use examples::{args, println};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The number of a task. It is never given again.
type TaskId = usize;

/// What belongs to the loop of a thread.
struct Loop {
    /// Each task at its number, until it is done.
    tasks: RefCell<Vec<Option<Task>>>,
    /// The tasks that can make progress.
    ready: mpsc::Receiver<TaskId>,
    inbox: Arc<Inbox>,
    timers: Rc<Timers>,
}

/// For what needs a number that nothing else has.
static NUMBERS: AtomicUsize = AtomicUsize::new(0);

/// The deadlines, each with its waker. A number distinguishes those that are equal.
type Timers = RefCell<BTreeMap<(Instant, usize), Waker>>;

thread_local!(static HERE: Rc<Loop> = Rc::new(Loop::new()));

/// The loop of this thread.
fn here() -> Rc<Loop> {
    HERE.with(Rc::clone)
}

/// What other threads touch of a loop.
struct Inbox {
    ready: mpsc::Sender<TaskId>,
    /// The numbers in the queue. A wake puts a number in, and the loop takes it out right before the poll.
    marks: Mutex<HashSet<TaskId>>,
}

struct TaskWaker {
    id: TaskId,
    inbox: Arc<Inbox>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if self.inbox.marks.lock().unwrap().insert(self.id) {
            // If the loop is gone, there is nothing to wake.
            let _ = self.inbox.ready.send(self.id);
        }
    }
}

impl Loop {
    fn new() -> Loop {
        let (sender, ready) = mpsc::channel();
        let inbox = Arc::new(Inbox { ready: sender, marks: Mutex::default() });
        Loop { tasks: RefCell::default(), ready, inbox, timers: Rc::default() }
    }

    fn waker(&self, id: TaskId) -> Waker {
        Waker::from(Arc::new(TaskWaker { id, inbox: Arc::clone(&self.inbox) }))
    }

    /// A number for a task, which is queued at once.
    fn open(&self, task: Option<Task>) -> TaskId {
        let id = self.tasks.borrow().len();
        self.tasks.borrow_mut().push(task);
        self.waker(id).wake();
        id
    }

    /// How long nothing is due. An hour is the most, and then the loop looks again.
    fn how_long(&self) -> Duration {
        let first = self.timers.borrow().first_key_value().map(|((deadline, _), _)| *deadline);
        first.map_or(Duration::from_secs(3600), |first| first.saturating_duration_since(Instant::now()))
    }

    /// Wakes what is due. The borrow ends before each wake, because a waker may be foreign, and drop a sleep.
    fn fire_timers(&self) {
        let now = Instant::now();
        let next = || {
            let mut timers = self.timers.borrow_mut();
            Some(timers.first_entry().filter(|first| first.key().0 <= now)?.remove())
        };
        std::iter::from_fn(next).for_each(Waker::wake);
    }

    /// The task is taken out for the poll. It may spawn others, and then the table must not be borrowed.
    fn poll(&self, id: TaskId) {
        let Some(mut task) = self.tasks.borrow_mut().get_mut(id).and_then(Option::take) else { return };
        if task.as_mut().poll(&mut Context::from_waker(&self.waker(id))).is_pending() {
            self.tasks.borrow_mut()[id] = Some(task);
        }
    }
}

/// Polls `main` and the tasks until `main` is done. Do not call it inside a task: the outer loop would lose wakes.
pub(crate) fn block_on<F: Future>(main: F) -> F::Output {
    let (mut main, here) = (pin!(main), here());
    // The main future is not in the table, because its memory belongs to the caller.
    let root = here.open(None);
    let waker = here.waker(root);
    loop {
        here.fire_timers();
        let Ok(id) = here.ready.recv_timeout(here.how_long()) else { continue };
        // From here on a wake queues it again.
        here.inbox.marks.lock().unwrap().remove(&id);
        if id != root {
            here.poll(id);
        } else if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
    }
}

/// A new task, which this thread's loop polls in its turn.
pub(crate) fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    let joined = Rc::new(RefCell::new(Joined { output: None, waiter: None }));
    let handle = JoinHandle(Rc::clone(&joined));
    let task = async move {
        let output = future.await;
        joined.borrow_mut().output = Some(output);
        let waiter = joined.borrow_mut().waiter.take();
        waiter.into_iter().for_each(Waker::wake);
    };
    here().open(Some(Box::pin(task)));
    handle
}

/// Where a task leaves its output, and the waker of the task that waits for it.
struct Joined<T> {
    output: Option<T>,
    waiter: Option<Waker>,
}

/// Yields the output of a task. If the handle is dropped, the task goes on.
pub(crate) struct JoinHandle<T>(Rc<RefCell<Joined<T>>>);

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut waiter = Some(cx.waker().clone());
        let mut joined = self.0.borrow_mut();
        // The waker of the last poll moves out, and is dropped after the end of the borrow.
        std::mem::swap(&mut joined.waiter, &mut waiter);
        joined.output.take().map_or(Poll::Pending, Poll::Ready)
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

/// Done when its deadline has passed. Until then, the deadline is among the timers.
pub(crate) struct Sleep {
    place: (Instant, usize),
    timers: Rc<Timers>,
}

pub(crate) fn sleep(duration: Duration) -> Sleep {
    let place = (Instant::now() + duration, NUMBERS.fetch_add(1, Relaxed));
    Sleep { place, timers: Rc::clone(&here().timers) }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.place.0 {
            return Poll::Ready(());
        }
        // Foreign code runs when a waker is cloned or dropped, so the timers are borrowed for neither.
        let waker = cx.waker().clone();
        let old = self.timers.borrow_mut().insert(self.place, waker);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let old = self.timers.borrow_mut().remove(&self.place);
        drop(old);
    }
}

/// The output, or nothing if the time is over first.
pub(crate) async fn timeout<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut sleep) = (pin!(future), pin!(sleep(duration)));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
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

/// How many deadlines the loop still knows.
pub(crate) fn deadlines() -> usize {
    here().timers.borrow().len()
}

fn main() {
    args::none();
    let tasks: Vec<_> = (0..10_000).map(|_| spawn(polls(sleep(Duration::from_millis(500))))).collect();
    let polls: u64 = tasks.into_iter().map(block_on).sum();
    println!("10000 sleeps on one thread: {polls} polls");
    let late = block_on(timeout(Duration::from_millis(10), sleep(Duration::from_secs(3600))));
    println!("a timeout around an hour: {late:?}; deadlines that the loop knows: {}", deadlines());
}
