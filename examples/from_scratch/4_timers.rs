//! From scratch, 4 of 6: the loop knows when the next deadline is.
//!
//! Run it with `cargo run --release --example from_scratch_4`. Its loop needs nothing but `std`, on a Unix system.
//!
//! What rung 3 got wrong. A sleep cost a thread, and three wakes before a task's turn caused three polls.
//!
//! Facts. Of a thousand deadlines, one comes next. A thread that parks can be told when to come back.
//!
//! What follows. Deadlines are in an ordered map, each with the waker of its task, and the loop parks until the first
//! of them. (A heap would do; but from a map, a sleep that is dropped early can be removed.) A task keeps its waker,
//! and in it a flag: whether its number is in the queue. The loop takes one *batch* out of the queue at a time, and
//! looks at the clock in between, so that a task which always yields does not stop time for the others.
//!
//! What is wrong with this loop. It can wait for a time, and for nothing else. A read from a socket stops every task,
//! and a read that is tried again and again is rung 1 once more. The program shows both.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use examples::{args, println};

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Arc<TaskWaker>,
}

struct Loop {
    tasks: RefCell<HashMap<u64, Task>>,
    next_number: Cell<u64>,
    queue: Arc<Queue>,
    /// The waker for each deadline. The number distinguishes those with the same deadline.
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    polls: Cell<u32>,
    parks: Cell<u32>,
}

thread_local!(static HERE: Loop = Loop {
    tasks: RefCell::default(),
    next_number: Cell::default(),
    queue: Arc::new(Queue { ready: Mutex::default(), thread: thread::current() }),
    timers: RefCell::default(),
    polls: Cell::default(),
    parks: Cell::default(),
});

struct Queue {
    ready: Mutex<VecDeque<u64>>,
    thread: Thread,
}

struct TaskWaker {
    number: u64,
    is_queued: AtomicBool,
    queue: Arc<Queue>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.queue.ready.lock().unwrap().push_back(self.number);
            self.queue.thread.unpark();
        }
    }
}

impl Loop {
    fn new_number(&self) -> u64 {
        self.next_number.replace(self.next_number.get() + 1)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        let (number, queue) = (self.new_number(), Arc::clone(&self.queue));
        let waker = Arc::new(TaskWaker { number, is_queued: AtomicBool::new(false), queue });
        self.tasks.borrow_mut().insert(number, Task { future, waker: Arc::clone(&waker) });
        waker.wake();
    }

    fn poll_batch(&self) {
        let batch = std::mem::take(&mut *self.queue.ready.lock().unwrap());
        batch.into_iter().for_each(|number| self.poll(number));
    }

    fn poll(&self, number: u64) {
        let Some(mut task) = self.tasks.borrow_mut().remove(&number) else { return };
        self.polls.set(self.polls.get() + 1);
        // This comes before the poll, because a wake during the poll has to queue the task again.
        task.waker.is_queued.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(&task.waker));
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.tasks.borrow_mut().insert(number, task);
        }
    }

    /// Waits until a task can go on, or the next deadline has passed.
    fn park(&self) {
        if !self.queue.ready.lock().unwrap().is_empty() {
            return;
        }
        self.parks.set(self.parks.get() + 1);
        let next = self.timers.borrow().first_key_value().map(|((deadline, _), _)| *deadline);
        match next {
            Some(deadline) => thread::park_timeout(deadline.saturating_duration_since(Instant::now())),
            None => thread::park(),
        }
    }

    fn fire_timers(&self) {
        let now = Instant::now();
        while let Some(due) = self.timers.borrow_mut().first_entry().filter(|first| first.key().0 <= now) {
            due.remove().wake();
        }
    }
}

fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
    let output = spawn(main).0;
    loop {
        HERE.with(Loop::poll_batch);
        if let Some(output) = output.borrow_mut().0.take() {
            return output;
        }
        HERE.with(Loop::park);
        HERE.with(Loop::fire_timers);
    }
}

/// A task's output, and the waker of the task that waits for it.
struct JoinHandle<T>(Rc<RefCell<(Option<T>, Option<Waker>)>>);

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut joined = self.0.borrow_mut();
        joined.1 = Some(cx.waker().clone());
        joined.0.take().map_or(Poll::Pending, Poll::Ready)
    }
}

fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    let joined = Rc::new(RefCell::new((None, None::<Waker>)));
    let handle = JoinHandle(Rc::clone(&joined));
    let task = async move {
        let output = future.await;
        joined.borrow_mut().0 = Some(output);
        let waiter = joined.borrow_mut().1.take();
        waiter.into_iter().for_each(Waker::wake);
    };
    HERE.with(|here| here.spawn(Box::pin(task)));
    handle
}

struct Sleep {
    deadline: Instant,
    number: u64,
}

fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, number: HERE.with(Loop::new_number) }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let place = (self.deadline, self.number);
        HERE.with(|here| here.timers.borrow_mut().insert(place, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let _ = HERE.try_with(|here| here.timers.borrow_mut().remove(&(self.deadline, self.number)));
    }
}

/// Writes after five ticks.
async fn tick(mut peer: UnixStream, ticks: Rc<Cell<u32>>) {
    for _ in 0..5 {
        sleep_until(Instant::now() + Duration::from_millis(10)).await;
        ticks.set(ticks.get() + 1);
    }
    peer.write_all(b"hello").expect("the other end is open");
}

/// Wrong, and shown here: the answer has to come from a task that this read keeps from running.
fn blocking_read(mut stream: &UnixStream, ticks: &Cell<u32>) {
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("300 ms are a timeout");
    let read = stream.read(&mut [0; 5]).map_err(|error| error.kind());
    assert_eq!(read, Err(ErrorKind::WouldBlock), "a timeout says so by this error");
    println!("a read that blocks: {} ticks and not a byte (given up after 300 ms)", ticks.get());
}

/// Wrong, and shown here: it lets the others run, and burns all the time that they leave.
async fn busy_read(mut stream: &UnixStream, ticks: &Cell<u32>) {
    stream.set_nonblocking(true).expect("a socket can do that");
    let mut tries = 0;
    let try_again = |cx: &mut Context<'_>| {
        tries += 1;
        cx.waker().wake_by_ref();
        stream.read(&mut [0; 5]).map_or(Poll::Pending, Poll::Ready)
    };
    let count = poll_fn(try_again).await;
    println!(
        "a read that is tried again and again: {} ticks, then {count} bytes, {tries} tries",
        ticks.get()
    );
}

async fn ten_thousand_sleeps() {
    let start = Instant::now() + Duration::from_millis(500);
    let deadline = |n: u64| start + Duration::from_millis(10 * (n % 10));
    let sleeps: Vec<_> = (0..10_000).map(|n| spawn(sleep_until(deadline(n)))).collect();
    for sleep in sleeps {
        sleep.await;
    }
}

fn main() {
    args::none();
    block_on(ten_thousand_sleeps());
    let (polls, parks) = HERE.with(|here| (here.polls.get(), here.parks.get()));
    println!("10000 sleeps, one thread: {polls} polls, parked {parks} times");
    for blocks in [true, false] {
        block_on(async move {
            let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
            let ticks: Rc<Cell<u32>> = Rc::default();
            let ticking = spawn(tick(theirs, Rc::clone(&ticks)));
            if blocks {
                blocking_read(&ours, &ticks);
            } else {
                busy_read(&ours, &ticks).await;
            }
            ticking.await;
        });
    }
}
