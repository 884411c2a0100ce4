//! From scratch, 5 of 6: the loop waits in the kernel, for everything at once.
//!
//! Run it with `cargo run --release --example from_scratch_5`. It needs `std` and `mio`, which is a safe interface to
//! epoll or kqueue.
//!
//! What rung 4 got wrong. It parked where only a thread can wake it. The kernel does not unpark threads.
//!
//! Facts. One call waits in the kernel for any number of sockets, and for a deadline. It reports an *edge*: that a
//! socket has become readable, once, and not that it still is.
//!
//! What follows. Parking means asking the kernel, with the next deadline as the limit. A source tries its operation
//! first. Only if the kernel says `WouldBlock` does it leave a waker with the *reactor*; so every edge finds a waker,
//! or is not needed. A reader that waits for an edge before it has read everything waits for ever. The program shows
//! that, and cuts it off.
//!
//! What is wrong with this loop. It waits for ever for a silent peer; and while it waits, it does not hear other
//! threads.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use examples::{args, println};
use mio::net::UnixStream;
use mio::{Events, Interest, Token, event};

type Task = Pin<Box<dyn Future<Output = ()>>>;

struct Loop {
    tasks: RefCell<HashMap<u64, Task>>,
    next_number: Cell<u64>,
    queue: Arc<Queue>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    kernel: RefCell<mio::Poll>,
    /// The waker for each source.
    reactor: RefCell<HashMap<Token, Waker>>,
}

thread_local!(static HERE: Loop = Loop::new().expect("the kernel has a place where we can wait"));

type Queue = Mutex<VecDeque<u64>>;

struct TaskWaker {
    number: u64,
    queue: Arc<Queue>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        // The waker runs on the loop's own thread, so the loop is awake and looks at the queue before it waits.
        self.queue.lock().unwrap().push_back(self.number);
    }
}

impl Loop {
    fn new() -> io::Result<Loop> {
        let kernel = RefCell::new(mio::Poll::new()?);
        let (tasks, next_number, queue, timers, reactor) = Default::default();
        Ok(Loop { tasks, next_number, queue, timers, kernel, reactor })
    }

    fn new_number(&self) -> u64 {
        self.next_number.replace(self.next_number.get() + 1)
    }

    fn poll_batch(&self) {
        let batch = std::mem::take(&mut *self.queue.lock().unwrap());
        batch.into_iter().for_each(|number| self.poll(number));
    }

    fn poll(&self, number: u64) {
        let Some(mut task) = self.tasks.borrow_mut().remove(&number) else { return };
        let waker = Waker::from(Arc::new(TaskWaker { number, queue: Arc::clone(&self.queue) }));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.tasks.borrow_mut().insert(number, task);
        }
    }

    /// How long the kernel may keep us: not at all, until the next deadline, or without a limit.
    fn how_long(&self) -> Option<Duration> {
        if !self.queue.lock().unwrap().is_empty() {
            return Some(Duration::ZERO);
        }
        let next = self.timers.borrow().first_key_value().map(|((deadline, _), _)| *deadline);
        next.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Asks the kernel, and wakes every task whose source it reports.
    fn look(&self) {
        let mut events = Events::with_capacity(64);
        match self.kernel.borrow_mut().poll(&mut events, self.how_long()) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            result => result.expect("the kernel lets us wait"),
        }
        for event in &events {
            let waiter = self.reactor.borrow_mut().remove(&event.token());
            waiter.into_iter().for_each(Waker::wake);
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
    let output = spawn(main);
    loop {
        HERE.with(Loop::poll_batch);
        if let Some(output) = output.take() {
            return output;
        }
        HERE.with(Loop::look);
        HERE.with(Loop::fire_timers);
    }
}

/// The output will be in the cell.
fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Rc<Cell<Option<T>>> {
    let output = Rc::new(Cell::new(None));
    let place = Rc::clone(&output);
    HERE.with(|here| {
        let number = here.new_number();
        here.tasks.borrow_mut().insert(number, Box::pin(async move { place.set(Some(future.await)) }));
        here.queue.lock().unwrap().push_back(number);
    });
    output
}

/// No task here gives up early, so nothing has to be removed; rung 6 does that.
async fn sleep(duration: Duration) {
    let place = (Instant::now() + duration, HERE.with(Loop::new_number));
    poll_fn(|cx| {
        if Instant::now() >= place.0 {
            return Poll::Ready(());
        }
        HERE.with(|here| here.timers.borrow_mut().insert(place, cx.waker().clone()));
        Poll::Pending
    })
    .await;
}

/// Something that the kernel watches for us; here only whether it can be read. One task at a time waits for it.
struct Source<S: event::Source> {
    inner: S,
    token: Token,
}

impl<S: event::Source> Source<S> {
    fn new(mut inner: S) -> io::Result<Source<S>> {
        HERE.with(|here| {
            let token = Token(here.new_number() as usize);
            here.kernel.borrow().registry().register(&mut inner, token, Interest::READABLE)?;
            Ok(Source { inner, token })
        })
    }

    /// Tries the operation. If the kernel would make us wait, tries again after the next edge.
    async fn io<T>(&self, mut operation: impl FnMut(&S) -> io::Result<T>) -> io::Result<T> {
        poll_fn(|cx| match operation(&self.inner) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                HERE.with(|here| here.reactor.borrow_mut().insert(self.token, cx.waker().clone()));
                Poll::Pending
            }
            result => Poll::Ready(result),
        })
        .await
    }
}

fn pair() -> (Source<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    (Source::new(ours).expect("a new source"), theirs)
}

/// The read of rung 4, whose answer comes from another task.
async fn hello() {
    let ((source, mut peer), ticks) = (pair(), Rc::new(Cell::new(0)));
    let counted = Rc::clone(&ticks);
    spawn(async move {
        for _ in 0..5 {
            sleep(Duration::from_millis(10)).await;
            counted.set(counted.get() + 1);
        }
        peer.write_all(b"hello").expect("the other end is open");
    });
    let mut tries = 0;
    let read = |mut stream: &UnixStream| {
        tries += 1;
        stream.read(&mut [0; 5])
    };
    let count = source.io(read).await.expect("the other end is open");
    println!("a read that waits in the kernel: {} ticks, then {count} bytes, {tries} tries", ticks.get());
}

/// Eight bytes arrive at once and are read four at a time. Waiting for an edge before each read is wrong, and shown
/// here.
async fn eight_bytes(waits_first: bool) {
    let ((source, mut peer), bytes) = (pair(), Rc::new(Cell::new(0)));
    let counted = Rc::clone(&bytes);
    spawn(async move {
        for _ in 0..2 {
            let mut waits = waits_first;
            let read = |mut stream: &UnixStream| match std::mem::take(&mut waits) {
                true => Err(ErrorKind::WouldBlock.into()),
                false => stream.read(&mut [0; 4]),
            };
            counted.set(counted.get() + source.io(read).await.expect("an open socket"));
        }
    });
    sleep(Duration::from_millis(10)).await;
    peer.write_all(b"12345678").expect("the other end is open");
    sleep(Duration::from_millis(300)).await;
    let how = if waits_first { "wait, read, wait, read" } else { "read until it would block" };
    println!("{how}: {} of 8 bytes after 300 ms", bytes.get());
}

fn main() {
    args::none();
    block_on(hello());
    block_on(eight_bytes(false));
    block_on(eight_bytes(true));
}
