//! From scratch, 12 of 12: a server for strangers, on all of it.
//!
//! Run it with `cargo run --release --example from_scratch_12`: it is its own client, and ends. With `-- --addr HOST:PORT`
//! it goes on to serve until it is killed, and `load` can test it.
//!
//! What rung 11 lacked. It asked the kernel before each poll, and no stranger had tried it.
//!
//! Facts. Clients reset their connections, send nothing for ever, or do not read. Each is an error of one connection. To
//! accept can fail because the process has run out of descriptors, and then it fails until a connection ends.
//!
//! What follows. Each connection is a task with an end of its own, and a deadline for each wait. The loop polls a *batch*
//! of tasks between two looks at the kernel. If it cannot accept, it waits a little.
//!
//! The page of this rung in the book, `docs/ladder/12-echo.md`, says where in `roundel` each idea is.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the main function proves only what is new; the tests use the rest")]

use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use examples::{args, println};
use mio::{Events, Interest, Token, event, net::TcpListener, net::TcpStream};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The number of a task: its slot, and which tenant of the slot it is.
#[derive(Clone, Copy, PartialEq)]
struct TaskId {
    slot: usize,
    serial: u32,
}

struct Slot {
    /// Empty while the task is polled, and when it is over.
    task: Option<Task>,
    /// The waker of the tenant, with the tenant's number.
    waker: Arc<TaskWaker>,
    /// The mark. A wake sets it, and the loop clears it right before the poll. It stays set when the task is over, so that
    /// no wake queues the slot of a task that is gone.
    is_queued: bool,
    /// Set when the task is over. Cleared when the slot has its next tenant.
    is_over: bool,
    /// The next slot in the queue, or the next vacant one.
    next: usize,
}

/// The link of the last slot.
const NOWHERE: usize = usize::MAX;

/// What belongs to the loop of a thread.
struct Loop {
    slots: RefCell<Vec<Slot>>,
    /// The queue of the tasks that can make progress. While it is empty, `first` is `NOWHERE`, and `last` means nothing.
    first: Cell<usize>,
    last: Cell<usize>,
    /// The first of the vacant slots.
    vacant: Cell<usize>,
    /// The tasks that are to be dropped.
    drops: RefCell<Vec<Task>>,
    /// Set while tasks are dropped. A task that is dropped meanwhile goes to the list.
    is_dropping: Cell<bool>,
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
    owner: ThreadId,
    /// What other threads have woken.
    mail: Mutex<Vec<TaskId>>,
    /// Set when the loop decides to sleep. Cleared by the wake that rings, and when the loop is awake again.
    is_asleep: AtomicBool,
    /// Ends a wait in the kernel.
    bell: mio::Waker,
    /// How often it has rung.
    rings: AtomicUsize,
}

struct TaskWaker {
    id: TaskId,
    inbox: Arc<Inbox>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if thread::current().id() == self.inbox.owner {
            // If the loop is gone, there is nothing to wake.
            let _ = HERE.try_with(|here| here.wake(self.id));
            return;
        }
        let mut mail = self.inbox.mail.lock().unwrap();
        mail.push(self.id);
        let was_asleep = self.inbox.is_asleep.swap(false, Relaxed);
        drop(mail);
        if was_asleep {
            self.inbox.rings.fetch_add(1, Relaxed);
            let _ = self.inbox.bell.wake();
        }
    }
}

impl Loop {
    fn new() -> Loop {
        let kernel = mio::Poll::new().expect("the kernel has a place to wait in");
        let bell = mio::Waker::new(kernel.registry(), Token(usize::MAX)).expect("the kernel has a bell");
        let (mail, is_asleep, rings, slots, drops, timers, waiters) = Default::default();
        let inbox = Arc::new(Inbox { owner: thread::current().id(), mail, is_asleep, bell, rings });
        let [first, last, vacant] = [const { Cell::new(NOWHERE) }; 3];
        let (kernel, is_dropping) = (RefCell::new(kernel), Cell::new(false));
        Loop { slots, first, last, vacant, drops, is_dropping, inbox, timers, kernel, waiters }
    }

    /// A slot, a number and a waker for a task, which is queued at once.
    fn open(&self, task: Option<Task>) -> Arc<TaskWaker> {
        let mut slots = self.slots.borrow_mut();
        let slot = self.vacant.get().min(slots.len());
        let serial = slots.get(slot).map_or(1, |former| former.waker.id.serial.wrapping_add(1));
        let waker = TaskWaker { id: TaskId { slot, serial }, inbox: Arc::clone(&self.inbox) };
        if slot == slots.len() {
            slots.push(Slot { task, waker: Arc::new(waker), is_queued: true, is_over: false, next: NOWHERE });
        } else {
            let former = &mut slots[slot];
            self.vacant.set(former.next);
            (former.task, former.is_over) = (task, false);
            match Arc::get_mut(&mut former.waker) {
                Some(former) => *former = waker,
                None => former.waker = Arc::new(waker),
            }
        }
        self.push(&mut slots, slot);
        Arc::clone(&slots[slot].waker)
    }

    /// Puts a slot at the end of the queue.
    fn push(&self, slots: &mut [Slot], slot: usize) {
        (slots[slot].is_queued, slots[slot].next) = (true, NOWHERE);
        let last = self.last.replace(slot);
        if self.first.get() == NOWHERE { self.first.set(slot) } else { slots[last].next = slot }
    }

    /// The task is over. Its slot is vacant when the queue has come to it.
    fn close(&self, id: TaskId) {
        let mut slots = self.slots.borrow_mut();
        slots[id.slot].is_over = true;
        if !slots[id.slot].is_queued {
            self.push(&mut slots, id.slot);
        }
    }

    /// The slot of a task, unless it has another tenant now.
    fn slot(&self, id: TaskId) -> Option<RefMut<'_, Slot>> {
        let slots = self.slots.borrow_mut();
        RefMut::filter_map(slots, |all| all.get_mut(id.slot).filter(|slot| slot.waker.id == id)).ok()
    }

    fn wake(&self, id: TaskId) {
        let mut slots = self.slots.borrow_mut();
        if slots.get(id.slot).is_some_and(|slot| slot.waker.id == id && !slot.is_queued) {
            self.push(&mut slots, id.slot);
        }
    }

    /// The next task. From here on a wake queues it again.
    fn pop(&self) -> Option<TaskId> {
        let mut slots = self.slots.borrow_mut();
        loop {
            let slot = slots.get_mut(self.first.get())?;
            let index = self.first.replace(slot.next);
            slot.is_queued = slot.is_over;
            if !slot.is_over {
                return Some(slot.waker.id);
            }
            slot.next = self.vacant.replace(index);
        }
    }

    /// How long there is nothing to do. An hour is the most, and then the loop looks again.
    fn how_long(&self) -> Duration {
        let mail = self.inbox.mail.lock().unwrap();
        let is_idle = mail.is_empty() && self.first.get() == NOWHERE;
        self.inbox.is_asleep.store(is_idle, Relaxed);
        if !is_idle {
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
        self.inbox.is_asleep.store(false, Relaxed);
        let mail = std::mem::take(&mut *self.inbox.mail.lock().unwrap());
        mail.into_iter().for_each(|id| self.wake(id));
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

    /// The task and its waker, unless it is over or is being polled.
    fn take(&self, id: TaskId) -> Option<(Task, Waker)> {
        let mut slot = self.slot(id)?;
        Some((slot.task.take()?, Waker::from(Arc::clone(&slot.waker))))
    }

    /// The task is out of its slot while it is polled. It may spawn others, and then the slots must not be borrowed.
    fn poll(&self, id: TaskId) {
        let Some((mut task, waker)) = self.take(id) else { return };
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut Context::from_waker(&waker))));
        let was_cancelled = self.slots.borrow()[id.slot].is_over;
        if matches!(polled, Ok(Poll::Pending)) && !was_cancelled {
            self.slots.borrow_mut()[id.slot].task = Some(task);
        } else {
            self.close(id);
            self.drop_task(task);
        }
    }

    /// Ends a task, unless it is over. If it is being polled, it is dropped after the poll.
    fn cancel(&self, id: TaskId) -> bool {
        let slot = self.slot(id).filter(|slot| !slot.is_over);
        let Some(task) = slot.map(|mut slot| slot.task.take()) else { return false };
        self.close(id);
        task.into_iter().for_each(|task| self.drop_task(task));
        true
    }

    /// Drops a task, with nothing borrowed. In the destructor of another task: after that destructor.
    fn drop_task(&self, task: Task) {
        self.drops.borrow_mut().push(task);
        if !self.is_dropping.replace(true) {
            let next = || self.drops.borrow_mut().pop();
            while let Some(task) = next() {
                let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
            }
            self.is_dropping.set(false);
        }
    }
}

/// Polls `main` and the tasks until `main` is done. Do not call it inside a task: the outer loop would lose wakes.
pub(crate) fn block_on<F: Future>(main: F) -> F::Output {
    let (mut main, here) = (pin!(main), here());
    // The main future is not in the table, because its memory belongs to the caller.
    let root = here.open(None);
    let waker = Waker::from(Arc::clone(&root));
    let mut polls = 0_u64;
    loop {
        // A look costs as much as many polls. A busy loop looks after each batch of 64.
        if polls.is_multiple_of(64) || here.first.get() == NOWHERE {
            here.ask_the_kernel();
            here.fire_timers();
        }
        polls += 1;
        let Some(id) = here.pop() else { continue };
        if id != root.id {
            here.poll(id);
        } else if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
            here.close(id);
            return output;
        }
    }
}

/// A new task, which this thread's loop polls in its turn.
pub(crate) fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    let joined = Rc::new(RefCell::new(Joined { output: None, waiter: None }));
    let theirs = Rc::clone(&joined);
    let task = async move {
        let mut future = pin!(future);
        let output = poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
            polled.map_or_else(|panic| Poll::Ready(Err(panic)), |poll| poll.map(Ok))
        });
        end(&theirs, output.await);
    };
    JoinHandle(joined, here().open(Some(Box::pin(task))).id)
}

/// Leaves the output of a task, and wakes the task that waits for it.
fn end<T>(joined: &RefCell<Joined<T>>, output: thread::Result<T>) {
    let _former = joined.borrow_mut().output.replace(output);
    let waiter = joined.borrow_mut().waiter.take();
    waiter.into_iter().for_each(Waker::wake);
}

/// Where a task leaves its output, and the waker of the task that waits for it.
struct Joined<T> {
    output: Option<thread::Result<T>>,
    waiter: Option<Waker>,
}

/// What the handle of a cancelled task yields in place of the output.
#[derive(Debug)]
pub(crate) struct Cancelled;

/// Yields the output of a task, or what it panicked with, or [`Cancelled`]. If the handle is dropped, the task goes on.
pub(crate) struct JoinHandle<T>(Rc<RefCell<Joined<T>>>, TaskId);

impl<T> JoinHandle<T> {
    /// Drops the future of the task, now. Without effect on a task that is over.
    pub(crate) fn cancel(&self) {
        if HERE.try_with(|here| here.cancel(self.1)) == Ok(true) {
            end(&self.0, Err(Box::new(Cancelled)));
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = thread::Result<T>;

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

/// Those that wait for the same thing, by the numbers in whose order they came. A place without a waker was called.
type Line = RefCell<BTreeMap<usize, Option<Waker>>>;

/// Wakes the first that has not been called yet. A borrow ends before foreign code runs, here and below.
fn call(line: &Line) {
    let first = line.borrow_mut().values_mut().find_map(Option::take);
    first.into_iter().for_each(Waker::wake);
}

/// Waits in line until the attempt succeeds. It is made if nothing else is in line, or if this waiter was called. With
/// its waker, the waiter is not called any more.
async fn wait<T>(line: &Line, mut attempt: impl FnMut() -> Option<T>) -> T {
    let place = Place(line, NUMBERS.fetch_add(1, Relaxed));
    poll_fn(|cx| {
        // Cloned before the attempt. What this gives to the line would be missed after it.
        let waker = cx.waker().clone();
        let may_try = line.borrow().get(&place.1).map_or(line.borrow().is_empty(), Option::is_none);
        let found = if may_try { attempt() } else { None };
        let _former = line.borrow_mut().insert(place.1, Some(waker));
        found.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// The place of a waiter. When it leaves, it calls the next one: there may be more to take, or it was called and takes
/// nothing. A waiter that is called in vain waits again, in its old place.
struct Place<'a>(&'a Line, usize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let _waker = self.0.borrow_mut().remove(&self.1);
        call(self.0);
    }
}

/// A lock, which one task at a time holds.
#[derive(Default)]
pub(crate) struct Lock(Line, Cell<bool>);

/// The right of a task that holds the lock. It ends when this is dropped.
pub(crate) struct Held<'a>(&'a Lock);

impl Lock {
    pub(crate) async fn hold(&self) -> Held<'_> {
        wait(&self.0, || (!self.1.replace(true)).then(|| Held(self))).await
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.1.set(false);
        call(&self.0.0);
    }
}

/// A queue of values from any number of tasks to any number of tasks.
pub(crate) struct Channel<T>(Line, RefCell<VecDeque<T>>);

impl<T> Channel<T> {
    pub(crate) fn new() -> Channel<T> {
        Channel(Line::default(), RefCell::default())
    }

    pub(crate) fn send(&self, value: T) {
        self.1.borrow_mut().push_back(value);
        call(&self.0);
    }

    pub(crate) async fn receive(&self) -> T {
        wait(&self.0, || self.1.borrow_mut().pop_front()).await
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

// What every read reads into. No other code runs before the bytes are copied out of it.
thread_local!(static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 16_384]));

/// Sends back what it reads. Zero bytes are the end. A connection that waits for bytes holds no buffer.
async fn echo_once(stream: &Source<TcpStream>) -> io::Result<usize> {
    let read = |mut stream: &TcpStream| {
        BUFFER.with_borrow_mut(|buffer| stream.read(buffer).map(|count| buffer[..count].to_vec()))
    };
    let (bytes, mut sent) = (stream.io(read).await?, 0);
    while sent < bytes.len() {
        sent += stream.io(|mut stream| stream.write(&bytes[sent..])).await?;
    }
    Ok(sent)
}

/// Serves each client in a task of its own. The task ends with an error, or if nothing happens for this long.
async fn serve(listener: Source<TcpListener>, patience: Duration) {
    loop {
        let Ok((stream, _)) = listener.io(TcpListener::accept).await else {
            // The client has gone already, or the process has no descriptors left.
            sleep(Duration::from_millis(25)).await;
            continue;
        };
        spawn(async move {
            let stream = Source::new(stream)?;
            while timeout(patience, echo_once(&stream)).await.transpose()? > Some(0) {}
            io::Result::Ok(())
        });
    }
}

/// Sends a hundred bytes, one after the other, and counts those that come back.
async fn client(address: std::net::SocketAddr) -> io::Result<usize> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nonblocking(true)?;
    let (stream, mut count) = (Source::new(TcpStream::from_std(stream))?, 0);
    for _ in 0..100 {
        stream.io(|mut stream| stream.write(b"!")).await?;
        count += stream.io(|mut stream| stream.read(&mut [0])).await?;
    }
    Ok(count)
}

fn run(wanted: Option<std::net::SocketAddr>) -> io::Result<()> {
    let address = wanted.unwrap_or(([127, 0, 0, 1], 0).into());
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    let listener = TcpListener::bind(address).map_err(named)?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let serving = spawn(serve(Source::new(listener)?, Duration::from_secs(5)));
    println!("of 100 bytes {} have come back", block_on(client(address))?);
    wanted.is_some().then(|| block_on(serving));
    Ok(())
}

fn main() -> std::process::ExitCode {
    let mut args = args::Args::new("usage: from_scratch_12 [--addr HOST:PORT]");
    let wanted = args.option("--addr");
    args.finish();
    args::end(run(wanted))
}
