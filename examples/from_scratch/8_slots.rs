//! From scratch, 8 of 12: a task has a slot, and its number says which of the tenants it is.
//!
//! Run it with `cargo run --release --example from_scratch_8`. It needs `mio`.
//!
//! What rung 7 got wrong. Each poll made a waker, in memory of its own. The table of tasks only grew.
//!
//! Facts. A waker may be kept for longer than its task lives. If its slot were given to another task, it would wake the
//! wrong one.
//!
//! What follows. The slots of tasks that are over are given to new ones. A number is a slot and a *serial*, which is
//! higher for each new tenant. One comparison with the number in the slot tells whether the task still lives: a stale
//! waker wakes nothing. The mark is in the slot, too. A task has one waker from its beginning to its end, and each poll
//! lends it out. So a poll and a wake allocate nothing.
//!
//! What is wrong with this loop. To spawn a task takes three pieces of memory: for its future, its output and its waker.
//! Its end gives them back, and the next task takes them again.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the main function proves only what is new; the tests use the rest")]

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
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
    /// The mark. A wake sets it, and the loop clears it right before the poll.
    is_queued: bool,
}

/// What belongs to the loop of a thread.
struct Loop {
    slots: RefCell<Vec<Slot>>,
    /// The tasks that can make progress.
    ready: RefCell<VecDeque<TaskId>>,
    /// The slots of tasks that are over.
    vacant: RefCell<Vec<usize>>,
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
        let (mail, is_asleep, rings, slots, vacant, ready, timers, waiters) = Default::default();
        let inbox = Arc::new(Inbox { owner: thread::current().id(), mail, is_asleep, bell, rings });
        Loop { slots, vacant, ready, inbox, timers, kernel: RefCell::new(kernel), waiters }
    }

    /// A slot, a number and a waker for a task, which is queued at once.
    fn open(&self, task: Option<Task>) -> Arc<TaskWaker> {
        let mut slots = self.slots.borrow_mut();
        let slot = self.vacant.borrow_mut().pop().unwrap_or(slots.len());
        let serial = slots.get(slot).map_or(1, |former| former.waker.id.serial.wrapping_add(1));
        let waker = Arc::new(TaskWaker { id: TaskId { slot, serial }, inbox: Arc::clone(&self.inbox) });
        let tenant = Slot { task, waker: Arc::clone(&waker), is_queued: true };
        match slots.get_mut(slot) {
            Some(former) => *former = tenant,
            None => slots.push(tenant),
        }
        self.ready.borrow_mut().push_back(waker.id);
        waker
    }

    /// The slot of a task, unless it has another tenant now.
    fn slot(&self, id: TaskId) -> Option<RefMut<'_, Slot>> {
        let slots = self.slots.borrow_mut();
        RefMut::filter_map(slots, |all| all.get_mut(id.slot).filter(|slot| slot.waker.id == id)).ok()
    }

    fn wake(&self, id: TaskId) {
        if let Some(mut slot) = self.slot(id).filter(|slot| !slot.is_queued) {
            slot.is_queued = true;
            self.ready.borrow_mut().push_back(id);
        }
    }

    /// The next task. From here on a wake queues it again.
    fn pop(&self) -> Option<TaskId> {
        let id = self.ready.borrow_mut().pop_front()?;
        self.slot(id)?.is_queued = false;
        Some(id)
    }

    /// How long there is nothing to do. An hour is the most, and then the loop looks again.
    fn how_long(&self) -> Duration {
        let mail = self.inbox.mail.lock().unwrap();
        let is_idle = mail.is_empty() && self.ready.borrow().is_empty();
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
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.slots.borrow_mut()[id.slot].task = Some(task);
        } else {
            self.vacant.borrow_mut().push(id.slot);
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
            here.vacant.borrow_mut().push(id.slot);
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
    let kept = block_on(spawn(poll_fn(|cx| Poll::Ready(cx.waker().clone()))));
    // The first of two new tasks takes the slot of the main future, and the second one the slot that this waker is for.
    let [_, tenant] = [10, 10].map(|time| spawn(polls(sleep(Duration::from_millis(time)))));
    block_on(async move { (0..1000).for_each(|_| kept.wake_by_ref()) });
    println!("1000 wakes by a stale waker: the next tenant is polled {} times", block_on(tenant));
    (0..1000).for_each(|_| block_on(spawn(yield_now())));
    println!("1000 tasks after one another, and as many main futures: {} slots", here().slots.borrow().len());
}
