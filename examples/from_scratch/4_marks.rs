//! From scratch, 4 of 12: woken once, polled once.
//!
//! Run it with `cargo run --release --example from_scratch_4`. It needs nothing but `std`.
//!
//! What rung 3 got wrong. Each wake was a poll, although the first poll sees everything that has changed. The main
//! future was polled after each task. No task could have the output of another one.
//!
//! Facts. A task that is in the queue is going to be polled. A second wake before that poll adds nothing. A wake
//! *during* the poll does, because the poll may have looked already.
//!
//! What follows. Each number has a *mark*: whether it is in the queue. A wake sets the mark, and only the wake that
//! finds it unset puts the number in. The loop clears the mark *before* it polls, so that a wake during the poll counts.
//! The queue and the marks lie in an *inbox*, which all wakers share. The main future gets a number and a mark like any
//! task; only its memory belongs to the caller. A task leaves its output with its handle, which any task may await.
//!
//! What is wrong with this loop. A sleep still costs a thread.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the main function proves only what is new; the tests use the rest")]

use std::cell::RefCell;
use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
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
}

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
        Loop { tasks: RefCell::default(), ready, inbox }
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
        let id = here.ready.recv().expect("this loop has one of the senders");
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

fn main() {
    args::none();
    let woken = async {
        let wake_three_times = |cx: &mut Context<'_>| (0..3).map(|_| cx.waker().wake_by_ref()).count();
        poll_fn(|cx| Poll::Ready(wake_three_times(cx))).await;
        sleep(Duration::from_millis(100)).await;
    };
    println!("a task that is woken 3 times, and then sleeps: {} polls", block_on(spawn(polls(woken))));
    let sleep = polls(sleep(Duration::from_millis(100)));
    println!("a sleep of the main future: {} polls", block_on(sleep));
}
