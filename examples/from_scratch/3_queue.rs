//! From scratch, 3 of 6: many tasks, and a queue of those that can go on.
//!
//! Run it with `cargo run --release --example from_scratch_3`. Its loop needs nothing but `std`.
//!
//! What rung 2 got wrong. It had one future, so a wake could only mean that one. With many futures, a wake has to say
//! *which*.
//!
//! Facts. A waker is all that a future gets, and any thread may use it; the tasks stay on their thread.
//!
//! What follows. Tasks have numbers. A waker knows a number and the *ready queue*, and a wake puts the number into the
//! queue. The loop takes numbers out and polls those tasks, each in its turn; when the queue is empty, it parks. A
//! number is never given twice, so a wake that comes after the end of its task finds nothing.
//!
//! What is wrong with this loop. A sleep still costs a thread. And a task that is woken three times is polled three
//! times.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use examples::{args, println};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What belongs to the loop of this thread.
struct Loop {
    tasks: RefCell<HashMap<u64, Task>>,
    next_number: Cell<u64>,
    queue: Arc<Queue>,
}

thread_local!(static HERE: Loop = Loop {
    tasks: RefCell::default(),
    next_number: Cell::default(),
    queue: Arc::new(Queue { ready: Mutex::default(), thread: thread::current() }),
});

/// The tasks that can go on. This is the only part of a loop that other threads touch.
struct Queue {
    ready: Mutex<VecDeque<u64>>,
    thread: Thread,
}

impl Queue {
    fn push(&self, number: u64) {
        self.ready.lock().unwrap().push_back(number);
        self.thread.unpark();
    }

    fn pop(&self) -> Option<u64> {
        self.ready.lock().unwrap().pop_front()
    }
}

struct TaskWaker {
    number: u64,
    queue: Arc<Queue>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.queue.push(self.number);
    }
}

impl Loop {
    fn spawn(&self, task: Task) {
        let number = self.next_number.replace(self.next_number.get() + 1);
        self.tasks.borrow_mut().insert(number, task);
        self.queue.push(number);
    }

    /// The task is taken out for the poll, because it may spawn others, and then the map has to be free.
    fn poll(&self, number: u64) {
        let Some(mut task) = self.tasks.borrow_mut().remove(&number) else { return };
        let waker = Waker::from(Arc::new(TaskWaker { number, queue: Arc::clone(&self.queue) }));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.tasks.borrow_mut().insert(number, task);
        }
    }
}

/// Runs until this future is done.
fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
    let main = spawn(main);
    HERE.with(|here| {
        loop {
            while let Some(number) = here.queue.pop() {
                here.poll(number);
            }
            if let Some(output) = main.0.borrow_mut().output.take() {
                return output;
            }
            thread::park();
        }
    })
}

/// Where a task leaves its output, and the waker of the task that waits for it.
struct Joined<T> {
    output: Option<T>,
    waiter: Option<Waker>,
}

struct JoinHandle<T>(Rc<RefCell<Joined<T>>>);

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut joined = self.0.borrow_mut();
        match joined.output.take() {
            Some(output) => Poll::Ready(output),
            None => {
                joined.waiter = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    let theirs = Rc::new(RefCell::new(Joined { output: None, waiter: None }));
    let handle = JoinHandle(Rc::clone(&theirs));
    let task = async move {
        let output = future.await;
        theirs.borrow_mut().output = Some(output);
        let waiter = theirs.borrow_mut().waiter.take();
        waiter.into_iter().for_each(Waker::wake);
    };
    HERE.with(|here| here.spawn(Box::pin(task)));
    handle
}

/// To the back of the queue.
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

/// How many threads sleeps have cost so far.
static THREADS: AtomicU32 = AtomicU32::new(0);

/// As in rung 2: a thread that sleeps, and then wakes.
async fn sleep(duration: Duration) {
    let alarm: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
    let theirs = Arc::clone(&alarm);
    THREADS.fetch_add(1, Ordering::Relaxed);
    thread::spawn(move || {
        thread::sleep(duration);
        let mut alarm = theirs.lock().unwrap();
        alarm.0 = true;
        alarm.1.take().into_iter().for_each(Waker::wake);
    });
    poll_fn(|cx| {
        let mut alarm = alarm.lock().unwrap();
        alarm.1 = Some(cx.waker().clone());
        if alarm.0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Two tasks, one thread.
async fn in_turns() {
    let said: Rc<RefCell<Vec<String>>> = Rc::default();
    let tasks = ["a", "b"].map(|name| {
        let said = Rc::clone(&said);
        spawn(async move {
            for round in 1..=3 {
                said.borrow_mut().push(format!("{name}{round}"));
                give_way().await;
            }
        })
    });
    for task in tasks {
        task.await;
    }
    println!("two tasks in turns: {}", said.borrow().join(" "));
}

async fn sleepers() {
    let ended: Rc<RefCell<Vec<String>>> = Rc::default();
    let tasks = [300, 200, 100].map(|length| {
        let ended = Rc::clone(&ended);
        spawn(async move {
            sleep(Duration::from_millis(length)).await;
            ended.borrow_mut().push(length.to_string());
        })
    });
    for task in tasks {
        task.await;
    }
    println!(
        "sleeps of 300, 200 and 100 ms at the same time end in this order: {}",
        ended.borrow().join(" ")
    );
}

/// Wrong, and shown here: each wake causes a poll, although the first would be enough.
async fn woken_three_times() {
    let (polls, kept): (Rc<Cell<u32>>, Rc<RefCell<Option<Waker>>>) = Default::default();
    let (counted, keep) = (Rc::clone(&polls), Rc::clone(&kept));
    drop(spawn(poll_fn(move |cx| {
        counted.set(counted.get() + 1);
        *keep.borrow_mut() = Some(cx.waker().clone());
        Poll::<()>::Pending
    })));
    give_way().await;
    let before = polls.get();
    let waker = kept.borrow().clone().expect("the task has been polled");
    (0..3).for_each(|_| waker.wake_by_ref());
    give_way().await;
    println!("a task that is woken 3 times before its turn: {} polls", polls.get() - before);
}

fn main() {
    args::none();
    block_on(in_turns());
    block_on(sleepers());
    block_on(woken_three_times());
    let before = THREADS.load(Ordering::Relaxed);
    block_on(async {
        let tasks: Vec<_> = (0..1000).map(|_| spawn(sleep(Duration::from_millis(10)))).collect();
        for task in tasks {
            task.await;
        }
    });
    println!("1000 sleeps: {} threads, one for each", THREADS.load(Ordering::Relaxed) - before);
}
