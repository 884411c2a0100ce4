//! From scratch, 6 of 12: the loop waits in the kernel, for everything at once.
//!
//! Run it with `cargo run --release --example from_scratch_6`. From here on it needs `mio`.
//!
//! What rung 5 got wrong. It could wait for time and for threads, but not for a byte.
//!
//! Facts. The kernel can watch any number of sources, and a thread can wait there until one of them changes, or a time
//! is over. It reports an *edge*, once: that bytes have come, not that they still lie there.
//!
//! What follows. The loop waits in the kernel, which `mio` makes the same on all systems. A task tries its operation
//! first, and waits only if the kernel would make it wait: then everything before the next edge has been taken. A wake
//! has to end the loop's wait, so it rings a *bell*, which is a source like any other. That the bell has rung is a note
//! that the kernel keeps.
//!
//! What is wrong with this loop. It asks the kernel before each poll, and each wake rings, also if the loop is awake and
//! wakes its own task. Both are system calls.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the main function proves only what is new; the tests use the rest")]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use examples::{args, println};
use mio::{Events, Interest, Token, event, net::UnixStream};

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
    kernel: RefCell<mio::Poll>,
    /// The tasks that wait for each source. A task that asks again before the edge is in the list again.
    waiters: Rc<RefCell<HashMap<Token, Vec<Waker>>>>,
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
    /// Ends a wait in the kernel.
    bell: mio::Waker,
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
            let _ = self.inbox.bell.wake();
        }
    }
}

impl Loop {
    fn new() -> Loop {
        let kernel = mio::Poll::new().expect("the kernel has a place to wait in");
        let bell = mio::Waker::new(kernel.registry(), Token(usize::MAX)).expect("the kernel has a bell");
        let (sender, ready) = mpsc::channel();
        let inbox = Arc::new(Inbox { ready: sender, marks: Mutex::default(), bell });
        let (tasks, timers, waiters) = Default::default();
        Loop { tasks, ready, inbox, timers, kernel: RefCell::new(kernel), waiters }
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

    /// How long there is nothing to do. An hour is the most, and then the loop looks again.
    fn how_long(&self) -> Duration {
        if !self.inbox.marks.lock().unwrap().is_empty() {
            return Duration::ZERO;
        }
        let first = self.timers.borrow().first_key_value().map(|((deadline, _), _)| *deadline);
        first.map_or(Duration::from_secs(3600), |first| first.saturating_duration_since(Instant::now()))
    }

    /// Waits in the kernel until there is something to do, and wakes the tasks that wait for what has happened.
    fn ask_the_kernel(&self) {
        let mut events = Events::with_capacity(256);
        // This fails if a signal has ended it early.
        let _ = self.kernel.borrow_mut().poll(&mut events, Some(self.how_long()));
        for event in &events {
            let woken = self.waiters.borrow_mut().remove(&event.token());
            woken.into_iter().flatten().for_each(Waker::wake);
        }
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
        here.ask_the_kernel();
        here.fire_timers();
        let Ok(id) = here.ready.try_recv() else { continue };
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

/// Something that the kernel watches for this loop until it is closed, such as a socket that never blocks.
pub(crate) struct Source<S> {
    raw: S,
    token: Token,
    waiters: Rc<RefCell<HashMap<Token, Vec<Waker>>>>,
}

impl<S> Drop for Source<S> {
    fn drop(&mut self) {
        let _wakers = self.waiters.borrow_mut().remove(&self.token);
    }
}

impl<S: event::Source> Source<S> {
    pub(crate) fn new(mut raw: S) -> io::Result<Source<S>> {
        let (here, token) = (here(), Token(NUMBERS.fetch_add(1, Relaxed)));
        here.kernel.borrow().registry().register(&mut raw, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Source { raw, token, waiters: Rc::clone(&here.waiters) })
    }

    /// Tries the operation. If the kernel would make it wait, tries again after the next edge.
    pub(crate) async fn io<T>(&self, mut operation: impl FnMut(&S) -> io::Result<T>) -> io::Result<T> {
        poll_fn(|cx| match operation(&self.raw) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let waker = cx.waker().clone();
                self.waiters.borrow_mut().entry(self.token).or_default().push(waker);
                Poll::Pending
            }
            result => Poll::Ready(result),
        })
        .await
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

/// How many deadlines the loop still knows.
pub(crate) fn deadlines() -> usize {
    here().timers.borrow().len()
}

fn main() {
    args::none();
    let (ours, mut theirs) = UnixStream::pair().expect("two sockets");
    let source = Source::new(ours).expect("the kernel watches a socket");
    let read = async move || source.io(|mut stream| stream.read(&mut [0; 4])).await;
    let reading = spawn(async move { [read().await, read().await] });
    block_on(sleep(Duration::from_millis(100)));
    theirs.write_all(b"12345678").expect("room for eight bytes");
    println!("8 bytes, 4 by 4: {:?}; {} ms of processor time in all", block_on(reading), processor_time());
}
