//! From scratch, 10 of 12: how a task ends.
//!
//! Run it with `cargo run --release --example from_scratch_10`. It needs `mio`.
//!
//! What rung 9 got wrong. A task ended only by itself, and a panic in a task ended all others with it.
//!
//! Facts. To cancel a task is to drop its future, at once: everything it holds has its destructor. A destructor is
//! foreign code. It may panic, and it may cancel the next task, whose destructor cancels the next.
//!
//! What follows. A panic in a poll or a destructor is caught. The handle of the task yields it in place of the output, and
//! the others do not notice. A task that is dropped inside a destructor goes to a list, and the outermost drop works it
//! off. So a chain of a million tasks is a loop, and needs no deep stack. A task that is being polled is not in its slot.
//! If it is cancelled then, it is marked as over, and dropped after the poll.
//!
//! What is wrong with this loop. Tasks have nothing to wait for but time, bytes and one another's ends.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the main function proves only what is new; the tests use the rest")]

use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use examples::{args, println};
use mio::{Events, Interest, Token, event};

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
    loop {
        here.ask_the_kernel();
        here.fire_timers();
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
    let task = async |n| if n == 500 { std::panic::resume_unwind(Box::new(n)) } else { yield_now().await };
    let tasks: Vec<_> = (0..1000).map(|n| spawn(task(n))).collect();
    tasks[600].cancel();
    let ends: Vec<_> = tasks.into_iter().map(block_on).collect();
    let outputs = ends.iter().filter(|end| end.is_ok()).count();
    println!("1000 tasks, of which one panics and one is cancelled: {outputs} outputs");
}
