//! From scratch, 3 of 12: many tasks, and a queue of those that can make progress.
//!
//! Run it with `cargo run --release --example from_scratch_3`. It needs nothing but `std`.
//!
//! What rung 2 got wrong. It had one future, so a wake could only mean that one. With many futures, a wake has to say
//! *which*.
//!
//! Facts. A waker is all that a future gets, and any thread may use it. The tasks stay on their thread.
//!
//! What follows. Tasks have numbers. A waker knows a number and the *ready queue*, and a wake puts the number into the
//! queue. The loop takes the numbers out and polls those tasks, each in its turn. When the queue is empty, it waits
//! there. A wake that comes before it waits is in the queue, so none is lost. A number is never given twice, so a wake
//! that comes after the end of its task finds an empty place in the table.
//!
//! What is wrong with this loop. A task that is woken three times is polled three times, and the main future is polled
//! after each task. And no task can have the output of another one.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the main function proves only what is new; the tests use the rest")]

use std::cell::RefCell;
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
    /// The tasks that can make progress. Its first half is the only part of a loop that other threads touch.
    ready: (mpsc::Sender<TaskId>, mpsc::Receiver<TaskId>),
}

thread_local!(static HERE: Rc<Loop> = Rc::new(Loop::new()));

/// The loop of this thread.
fn here() -> Rc<Loop> {
    HERE.with(Rc::clone)
}

struct TaskWaker {
    id: TaskId,
    ready: mpsc::Sender<TaskId>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        // If the loop is gone, there is nothing to wake.
        let _ = self.ready.send(self.id);
    }
}

impl Loop {
    fn new() -> Loop {
        Loop { tasks: RefCell::default(), ready: mpsc::channel() }
    }

    fn waker(&self, id: TaskId) -> Waker {
        Waker::from(Arc::new(TaskWaker { id, ready: self.ready.0.clone() }))
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
    // No task has this number. A wake of the main future ends the wait, and that is enough.
    let waker = here.waker(usize::MAX);
    loop {
        if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        here.poll(here.ready.1.recv().expect("this loop has one of the senders"));
    }
}

/// A new task, which this thread's loop polls in its turn.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    here().open(Some(Box::pin(future)));
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

/// Says how many polls a sleep takes.
async fn count(name: &str, milliseconds: u64) {
    let polls = polls(sleep(Duration::from_millis(milliseconds))).await;
    println!("a sleep of {name}: {polls} polls");
}

fn main() {
    args::none();
    block_on(async {
        spawn(count("a task", 50));
        spawn(count("a task beside it", 100));
        count("the main future", 200).await;
    });
}
