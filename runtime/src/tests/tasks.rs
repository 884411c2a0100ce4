//! Every short life of a task, against the rules of a life written a second time.
//!
//! Hazard 3. A *script* is a sequence of steps: wake a task, poll the next one, cancel a task, drop its handle, await
//! it. While a future is being polled or dropped, a step can also be: complete, panic or leave. The steps after a
//! `Poll` happen inside that poll until one of these three ends it. In the same way, the steps after a step that drops
//! a future happen inside its destructor. So "a wake during the poll" or "a handle dropped by the destructor of another
//! task that is being cancelled" are simply scripts.
//!
//! *All* scripts up to a length are performed twice: on a bare executor, and in the [`Model`], which has no futures,
//! wakers or slots. Both keep a log of what can be observed, and the logs have to be equal. The test also checks every
//! life: the future is polled only while it exists, and is dropped once; its output is dropped once, wherever it is; no
//! task is queued twice; and in the end the slots are as good as new.
//!
//! Each script is performed with number wakers, for which the executor keeps numbers, and with wakers of another kind,
//! which it has to keep and call.
//!
//! Hazard 14. A future that is polled with changing wakers wakes the last of them. And programs in which every task
//! gets ten spurious wakes at every step give the same results as without.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{pending, poll_fn, ready};
use std::io::{self, Read, Write};
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use mio::unix::pipe::{self, Receiver, Sender};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};

use super::{Word, property};
use crate::core::cell::{BoxedTask, TaskCell};
use crate::core::executor::{Executor, Stretch};
use crate::core::id::TaskId;
use crate::core::panics::contain;
use crate::core::probe::{End, Probe};
use crate::core::waker;
use crate::error::JoinError;
use crate::join::JoinHandle;
use crate::runtime::Runtime;
use crate::source::{Direction, Source};
use crate::task::{spawn, yield_now};
use crate::time;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Wake(usize),
    /// Takes the next task out of the queue and polls it.
    Poll,
    Cancel(usize),
    DropHandle(usize),
    Join(usize),
    /// These three end a poll or, except `Complete`, a destructor.
    Complete,
    Panic,
    Leave,
}

/// What can be observed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    /// `wake` has returned; whether it changed anything.
    Woken(usize, bool),
    QueueEmpty,
    /// The root, which stands for everything outside the tasks, was woken and polled.
    RootPolled,
    Polled(usize),
    /// `cancel` has returned; whether the task is over.
    Cancelled(usize, bool),
    JoinPending(usize),
    Joined(usize, End),
    FutureDropped(usize),
    OutputDropped(usize),
}

/// Where the next step comes from. Steps are read from inside polls and destructors.
struct Script {
    steps: Vec<Step>,
    at: Cell<usize>,
}

impl Script {
    fn new(steps: &[Step]) -> Script {
        Script { steps: steps.to_vec(), at: Cell::new(0) }
    }

    fn next(&self) -> Option<Step> {
        let step = self.steps.get(self.at.get()).copied();
        self.at.set(self.at.get() + 1);
        step
    }
}

// The model.

/// The state of a task, as far as the rules mention it.
#[derive(Default)]
struct Life {
    end: Option<End>,
    /// Set while the future is not in its slot: it is being polled or dropped, waits to be dropped, or is gone.
    out: bool,
    /// Set when the task is cancelled while its future is out: it is dropped after the poll.
    doomed: bool,
    /// Set while there is a handle.
    handle: bool,
    /// `Some` while there is an output or a payload to be fetched.
    outcome: Option<End>,
    /// The task or root that awaits the handle.
    waiter: Option<Who>,
}

#[derive(Clone, Copy, PartialEq)]
enum Who {
    Root,
    Task(usize),
}

/// A future or an output that has to be dropped, and its task.
#[derive(Clone, Copy)]
enum PendingDrop {
    Cancelled(usize),
    Panicked(usize),
    /// The future is already gone. Its destructor panicked, so the output that it had left is dropped.
    Unfinished(usize),
    Unwanted(usize),
}

struct Model {
    script: Script,
    lives: Vec<Life>,
    queue: VecDeque<Who>,
    pending: VecDeque<PendingDrop>,
    dropping: bool,
    seen: Vec<Seen>,
}

/// The script asks for something impossible: to complete outside a poll, or to await a task without its handle.
struct Senseless;

type Sensible<T = ()> = Result<T, Senseless>;

impl Model {
    /// What has to be seen; an error if the script makes no sense.
    fn perform(tasks: usize, steps: &[Step]) -> Sensible<Vec<Seen>> {
        let lives = (0..tasks).map(|_| Life { handle: true, ..Life::default() }).collect();
        let queue = (0..tasks).map(Who::Task).collect();
        let (pending, seen) = (VecDeque::new(), Vec::new());
        let mut model = Model { script: Script::new(steps), lives, queue, pending, dropping: false, seen };
        while let Some(step) = model.script.next() {
            match step {
                Step::Poll => model.poll()?,
                step => model.common(step, Who::Root, None)?,
            }
        }
        while model.seen.last() != Some(&Seen::QueueEmpty) {
            model.poll()?;
        }
        Ok(model.seen)
    }

    /// The steps that are possible everywhere, on behalf of `who`, in the code of the task `me`.
    fn common(&mut self, step: Step, who: Who, me: Option<usize>) -> Sensible {
        match step {
            Step::Wake(task) => {
                let changed = self.wake(Who::Task(task));
                self.seen.push(Seen::Woken(task, changed));
            }
            Step::Cancel(task) if self.lives[task].handle => {
                self.cancel(task)?;
                self.seen.push(Seen::Cancelled(task, self.lives[task].end.is_some()));
            }
            Step::DropHandle(task) => self.drop_handle(task)?,
            Step::Join(task) if me != Some(task) => self.join(task, who)?,
            _ => return Err(Senseless),
        }
        Ok(())
    }

    fn wake(&mut self, who: Who) -> bool {
        let alive = match who {
            Who::Root => true,
            Who::Task(task) => self.lives[task].end.is_none(),
        };
        let changes = alive && !self.queue.contains(&who);
        if changes {
            self.queue.push_back(who);
        }
        changes
    }

    fn poll(&mut self) -> Sensible {
        match self.queue.pop_front() {
            None => self.seen.push(Seen::QueueEmpty),
            Some(Who::Root) => self.seen.push(Seen::RootPolled),
            Some(Who::Task(task)) => self.poll_task(task)?,
        }
        Ok(())
    }

    fn poll_task(&mut self, task: usize) -> Sensible {
        self.seen.push(Seen::Polled(task));
        self.lives[task].out = true;
        loop {
            match self.script.next() {
                Some(Step::Complete) => return self.complete(task),
                Some(Step::Panic) => return self.drop_task(PendingDrop::Panicked(task)),
                None | Some(Step::Leave) => break,
                Some(step) => self.common(step, Who::Task(task), Some(task))?,
            }
        }
        self.lives[task].out = false;
        if self.lives[task].doomed { self.cancel(task) } else { Ok(()) }
    }

    /// A future that completes is dropped within its last poll.
    fn complete(&mut self, task: usize) -> Sensible {
        let panicked = self.destroy(task)?;
        if panicked {
            self.drop_task(PendingDrop::Unfinished(task))
        } else {
            self.settle(task, End::Returned)
        }
    }

    /// Drops a future; true if its destructor panics.
    fn destroy(&mut self, task: usize) -> Sensible<bool> {
        self.seen.push(Seen::FutureDropped(task));
        loop {
            match self.script.next() {
                None | Some(Step::Leave) => return Ok(false),
                Some(Step::Panic) => return Ok(true),
                Some(step) => self.common(step, Who::Root, Some(task))?,
            }
        }
    }

    fn cancel(&mut self, task: usize) -> Sensible {
        let life = &mut self.lives[task];
        if std::mem::replace(&mut life.out, true) {
            life.doomed = true;
            return Ok(());
        }
        self.drop_task(PendingDrop::Cancelled(task))
    }

    /// A future that is to be dropped inside a drop waits until that drop is over. Otherwise a chain would need stack
    /// for each link.
    fn drop_task(&mut self, next: PendingDrop) -> Sensible {
        self.pending.push_back(next);
        // Inside a drop: the loop below, further up the stack, does this one.
        if std::mem::replace(&mut self.dropping, true) {
            return Ok(());
        }
        while let Some(next) = self.pending.pop_front() {
            match next {
                PendingDrop::Cancelled(task) => {
                    let end = if self.destroy(task)? { End::Panicked } else { End::Cancelled };
                    self.settle(task, end)?;
                }
                PendingDrop::Panicked(task) => {
                    self.destroy(task)?;
                    self.settle(task, End::Panicked)?;
                }
                PendingDrop::Unfinished(task) => {
                    self.seen.push(Seen::OutputDropped(task));
                    self.settle(task, End::Panicked)?;
                }
                PendingDrop::Unwanted(task) => self.seen.push(Seen::OutputDropped(task)),
            }
        }
        self.dropping = false;
        Ok(())
    }

    fn settle(&mut self, task: usize, end: End) -> Sensible {
        self.queue.retain(|who| *who != Who::Task(task));
        let life = &mut self.lives[task];
        (life.end, life.outcome) = (Some(end), Some(end));
        if let Some(waiter) = life.waiter.take() {
            self.wake(waiter);
        }
        if self.lives[task].handle { Ok(()) } else { self.discard(task) }
    }

    fn discard(&mut self, task: usize) -> Sensible {
        match self.lives[task].outcome.take() {
            Some(End::Returned) => self.drop_task(PendingDrop::Unwanted(task)),
            _ => Ok(()),
        }
    }

    fn drop_handle(&mut self, task: usize) -> Sensible {
        let life = &mut self.lives[task];
        if !std::mem::take(&mut life.handle) {
            return Err(Senseless);
        }
        life.waiter = None;
        self.discard(task)
    }

    fn join(&mut self, task: usize, who: Who) -> Sensible {
        let life = &mut self.lives[task];
        if !life.handle {
            return Err(Senseless);
        }
        let Some(end) = life.outcome.take() else {
            life.waiter = Some(who);
            self.seen.push(Seen::JoinPending(task));
            return Ok(());
        };
        life.handle = false;
        self.seen.push(Seen::Joined(task, end));
        if end == End::Returned {
            self.seen.push(Seen::OutputDropped(task));
        }
        Ok(())
    }
}

// The same on an executor.

/// One performance of a script: the executor, and what the futures in it have to know.
struct Performance {
    script: Script,
    executor: Rc<Executor>,
    /// The root, which stands for everything outside the tasks.
    root: TaskId,
    /// Whether tasks are polled with number wakers.
    numbers: bool,
    handles: RefCell<Vec<Option<JoinHandle<Output>>>>,
    ids: RefCell<Vec<TaskId>>,
    seen: RefCell<Vec<Seen>>,
}

thread_local!(static RUNNING: RefCell<Option<Rc<Performance>>> = const { RefCell::new(None) });

/// A waker of another kind. It is `Send`, so it cannot hold its performance, and finds it in the thread-local.
struct Foreign(TaskId);

impl Wake for Foreign {
    fn wake(self: Arc<Self>) {
        let performance = RUNNING.with_borrow(Clone::clone);
        performance.expect("no waker is used after the performance").executor.wake(self.0);
    }
}

/// A future that does what the script says.
struct Actor {
    performance: Rc<Performance>,
    task: usize,
    done: bool,
}

struct Output {
    performance: Rc<Performance>,
    task: usize,
}

impl Drop for Output {
    fn drop(&mut self) {
        self.performance.record(Seen::OutputDropped(self.task));
    }
}

/// The payload of the script's panics. They are raised without the panic hook, which would print far too much.
struct Expected;

impl Future for Actor {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        assert!(!self.done, "polled after it was done");
        // Do steps until one of them ends the poll.
        let (performance, task) = (Rc::clone(&self.performance), self.task);
        performance.record(Seen::Polled(task));
        loop {
            match performance.script.next() {
                Some(Step::Complete) => {
                    self.done = true;
                    return Poll::Ready(Output { performance, task });
                }
                Some(Step::Panic) => {
                    self.done = true;
                    resume_unwind(Box::new(Expected));
                }
                None | Some(Step::Leave) => return Poll::Pending,
                Some(step) => performance.common(step, cx.waker()),
            }
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let performance = &self.performance;
        performance.record(Seen::FutureDropped(self.task));
        loop {
            match performance.script.next() {
                None | Some(Step::Leave) => return,
                Some(Step::Panic) => resume_unwind(Box::new(Expected)),
                Some(step) => performance.common(step, &performance.waker(performance.root)),
            }
        }
    }
}

impl Performance {
    fn new(tasks: usize, steps: &[Step], numbers: bool) -> Rc<Performance> {
        let executor = Rc::new(Executor::new(0, None, Rc::new(Probe::default())));
        let root = executor.open_root();
        // The root is polled once before the script begins, and then waits.
        executor.poll_stretch::<false>(1, |_, _| Poll::Pending);
        let (handles, ids, seen) = (RefCell::default(), RefCell::default(), RefCell::default());
        let performance =
            Rc::new(Performance { script: Script::new(steps), executor, root, numbers, handles, ids, seen });
        for task in 0..tasks {
            let actor = Actor { performance: Rc::clone(&performance), task, done: false };
            let id = performance.executor.spawn(actor, Location::caller());
            performance.ids.borrow_mut().push(id);
            if !numbers {
                // With a name, each task has extras from the beginning, and not only if a waker is kept there.
                performance.executor.extras.with(id, |extra| extra.name = Some("actor".into()));
            }
            let handle = JoinHandle::new(Rc::clone(&performance.executor), id);
            performance.handles.borrow_mut().push(Some(handle));
        }
        performance
    }

    fn perform(tasks: usize, steps: &[Step], numbers: bool) -> Vec<Seen> {
        let performance = Performance::new(tasks, steps, numbers);
        RUNNING.set(Some(Rc::clone(&performance)));
        // First the steps of the script; then poll until the queue is empty.
        while let Some(step) = performance.script.next() {
            match step {
                Step::Poll => performance.poll(),
                step => performance.common(step, &performance.waker(performance.root)),
            }
        }
        while performance.seen.borrow().last() != Some(&Seen::QueueEmpty) {
            performance.poll();
        }
        // Drop everything after the log was copied, and check the slots.
        let seen = performance.seen.borrow().clone();
        performance.clear();
        performance.check_slots();
        RUNNING.set(None);
        seen
    }

    /// Drops everything, and counts: each future and each output is dropped once.
    fn clear(&self) {
        self.executor.cancel_all();
        let handles = self.handles.take();
        drop(handles);
        self.executor.close_root(self.root, End::Returned);
        assert_eq!(self.executor.live(), 0);
        assert_eq!(
            self.executor.poll_stretch::<false>(1, |_, _| unreachable!()),
            Stretch::RanDry,
            "tasks that are over leave the queue"
        );
        assert!(
            self.ids.borrow().iter().all(|id| self
                .executor
                .extras
                .get(*id, |extra| extra.name.clone())
                .is_none())
        );
        // Count in the log, which now contains every drop.
        let seen = self.seen.borrow();
        let count = |what: Seen| seen.iter().filter(|seen| **seen == what).count();
        for task in 0..self.ids.borrow().len() {
            assert_eq!(count(Seen::FutureDropped(task)), 1, "how often the future was dropped");
            let delivered = count(Seen::Joined(task, End::Returned));
            let outputs = count(Seen::OutputDropped(task));
            assert!(outputs <= 1 && delivered <= outputs, "the output was dropped {outputs} times");
            let dropped = seen.iter().position(|seen| *seen == Seen::FutureDropped(task));
            let polled = seen.iter().rposition(|seen| *seen == Seen::Polled(task));
            assert!(polled < dropped, "polled after its end");
        }
    }

    /// The next tenants of the slots use the same slots, and find nothing left of the earlier tenants.
    fn check_slots(&self) {
        let slots = self.ids.borrow().len() + 1;
        let spawn = |_| self.executor.spawn(pending::<()>(), Location::caller());
        let tenants: Vec<_> = (0..slots).map(spawn).collect();
        // Poll them once, so that they wait.
        let mut cx = Context::from_waker(Waker::noop());
        self.executor
            .poll_stretch::<false>(u32::MAX, |_, task| task.map_or(Poll::Pending, |task| task.poll(&mut cx)));
        for id in &tenants {
            assert!(id.slot() < slots, "a slot was not used again");
            assert!(self.executor.lives(*id), "the next tenant was cancelled");
            assert_eq!(self.executor.extras.get(*id, |extra| extra.name.clone()), None);
        }
        self.executor.cancel_all();
        for id in tenants {
            assert!(!self.executor.lives(id));
            self.executor.detach(id);
        }
        assert_eq!(self.executor.live(), 0);
    }

    fn record(&self, seen: Seen) {
        self.seen.borrow_mut().push(seen);
    }

    fn waker(&self, id: TaskId) -> Waker {
        if self.numbers { waker::waker(id, false) } else { Waker::from(Arc::new(Foreign(id))) }
    }

    /// Polls one task, as the loop does.
    fn poll(&self) {
        let batch = contain(|| {
            self.executor.poll_stretch::<false>(1, |id, task| {
                let Some(task) = task else {
                    self.record(Seen::RootPolled);
                    return Poll::Pending;
                };
                let waker = self.waker(id);
                task.poll(&mut Context::from_waker(&waker))
            })
        });
        // A panic comes out of the batch, and the loop reports it to the executor.
        match batch {
            Ok(Stretch::RanDry) => self.record(Seen::QueueEmpty),
            Ok(_) => {}
            Err(payload) => {
                assert!(payload.is::<Expected>(), "the script did not ask for this panic");
                self.executor.crash(payload);
            }
        }
    }

    /// The steps that are possible everywhere, inside and outside a poll.
    fn common(&self, step: Step, waker: &Waker) {
        match step {
            Step::Wake(task) => {
                let id = self.ids.borrow()[task];
                let changed = self.executor.wake(id);
                self.record(Seen::Woken(task, changed));
            }
            Step::Cancel(task) => {
                let id = self.ids.borrow()[task];
                self.executor.cancel(id);
                self.record(Seen::Cancelled(task, !self.executor.lives(id)));
            }
            Step::DropHandle(task) => {
                let handle = self.handles.borrow_mut()[task].take();
                drop(handle);
            }
            Step::Join(task) => self.join(task, &mut Context::from_waker(waker)),
            _ => unreachable!("the model has refused such a script"),
        }
    }

    fn join(&self, task: usize, cx: &mut Context<'_>) {
        let mut handle = self.handles.borrow_mut()[task].take().expect("the model has looked");
        let end = match Pin::new(&mut handle).poll(cx) {
            Poll::Pending => {
                self.handles.borrow_mut()[task] = Some(handle);
                return self.record(Seen::JoinPending(task));
            }
            Poll::Ready(Ok(output)) => {
                self.record(Seen::Joined(task, End::Returned));
                return drop(output);
            }
            Poll::Ready(Err(error)) if error.is_cancelled() => End::Cancelled,
            Poll::Ready(Err(error)) => panicked(error),
        };
        self.record(Seen::Joined(task, end));
    }
}

fn panicked(error: JoinError) -> End {
    assert!(error.into_panic().is::<Expected>());
    End::Panicked
}

/// Performs `script` and all scripts that begin with it and are not longer than `length`; counts them.
fn perform_all(tasks: usize, script: &mut Vec<Step>, alphabet: &[Step], length: usize) -> usize {
    // A script that makes no sense does not become sensible with more steps.
    let Ok(expected) = Model::perform(tasks, script) else { return 0 };
    for numbers in [true, false] {
        let seen = Performance::perform(tasks, script, numbers);
        assert_eq!(seen, expected, "the executor (left) and the rules; number wakers: {numbers}, {script:?}");
    }
    let mut count = 1;
    if script.len() < length {
        for step in alphabet {
            script.push(*step);
            count += perform_all(tasks, script, alphabet, length);
            script.pop();
        }
    }
    count
}

fn alphabet(tasks: usize) -> Vec<Step> {
    let of_task = |task| [Step::Wake(task), Step::Cancel(task), Step::DropHandle(task), Step::Join(task)];
    let general = [Step::Poll, Step::Complete, Step::Panic, Step::Leave];
    (0..tasks).flat_map(of_task).chain(general).collect()
}

/// One step longer in a release build, which has time for ten times as many.
const LONGER: usize = if cfg!(debug_assertions) { 0 } else { 1 };

#[test]
fn hazard_03_every_short_life_of_one_task() {
    let length = if cfg!(miri) { 3 } else { 7 + LONGER };
    let count = perform_all(1, &mut Vec::new(), &alphabet(1), length);
    assert!(cfg!(miri) || count > 30_000, "only {count} scripts");
}

#[test]
fn hazard_03_every_short_life_of_two_tasks() {
    let length = if cfg!(miri) { 2 } else { 5 + LONGER };
    let count = perform_all(2, &mut Vec::new(), &alphabet(2), length);
    assert!(cfg!(miri) || count > 30_000, "only {count} scripts");
}

// Wakers that change, and spurious wakes.

/// Counts how often it is woken: a waker of another kind, or a task of the loop that counts its polls.
enum Witness {
    Foreign(Arc<AtomicUsize>),
    Number(JoinHandle<()>, Arc<AtomicUsize>),
}

struct Count(Arc<AtomicUsize>);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Witness {
    /// Called on a loop. A task begins to count after its first poll.
    fn new(number: bool) -> Witness {
        let count = Arc::new(AtomicUsize::new(0));
        if !number {
            return Witness::Foreign(count);
        }
        let polls = Arc::clone(&count);
        let counter = spawn(poll_fn(move |_| {
            polls.fetch_add(1, Relaxed);
            Poll::Pending
        }));
        Witness::Number(counter, count)
    }

    fn waker(&self) -> Waker {
        match self {
            Witness::Foreign(count) => Waker::from(Arc::new(Count(Arc::clone(count)))),
            Witness::Number(counter, _) => waker::waker(counter.id(), false),
        }
    }

    fn woken(&self) -> usize {
        match self {
            Witness::Foreign(count) => count.load(Relaxed),
            Witness::Number(_, polls) => polls.load(Relaxed) - 1,
        }
    }
}

/// Polls `future` with one waker after the other, then lets `event` complete it. Returns how often each waker was
/// woken.
async fn poll_with_each<F: Future + Unpin>(
    numbers: [bool; 3],
    future: &mut F,
    event: impl AsyncFnOnce(),
) -> [usize; 3] {
    let witnesses = numbers.map(Witness::new);
    yield_now().await;
    for witness in &witnesses {
        let waker = witness.waker();
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut *future).poll(&mut cx).is_pending());
        // Once more with the same waker, as after a spurious wake.
        assert!(Pin::new(&mut *future).poll(&mut cx).is_pending());
    }
    event().await;
    yield_now().await;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(future).poll(&mut cx).is_ready(), "what was awaited has come");
    witnesses.each_ref().map(Witness::woken)
}

/// All ways in which three wakers can be of one kind or the other.
fn all_kinds() -> impl Iterator<Item = [bool; 3]> {
    (0..8).map(|bits| [1, 2, 4].map(|bit| bits & bit != 0))
}

#[test]
fn hazard_14_a_task_awaited_with_changing_wakers_wakes_the_last() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    for numbers in all_kinds() {
        let woken = runtime.block_on(async {
            let mut handle = spawn(time::sleep(Duration::from_millis(1)));
            poll_with_each(numbers, &mut handle, async || time::sleep(Duration::from_millis(2)).await).await
        });
        assert_eq!(woken[2], 1, "{numbers:?}: {woken:?}");
        // One waker of each kind may be kept. The one that is not the last gets a spurious wake.
        let [a, b, c] = numbers;
        assert!(woken[1] == 0 || b != c, "{numbers:?}: {woken:?}");
        assert!(woken[0] == 0 || a != b && a != c, "{numbers:?}: {woken:?}");
    }
}

#[test]
fn hazard_14_a_sleep_polled_with_changing_wakers_wakes_only_the_last() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    for numbers in all_kinds() {
        let woken = runtime.block_on(async {
            let mut sleep = time::sleep(Duration::from_millis(1));
            poll_with_each(numbers, &mut sleep, async || time::sleep(Duration::from_millis(2)).await).await
        });
        assert_eq!(woken, [0, 0, 1], "{numbers:?}");
    }
}

/// The two ends of an empty pipe; the first one is registered.
fn a_pipe() -> (Source<Receiver>, Sender) {
    let (theirs, ours) = pipe::new().unwrap();
    (Source::new(ours).unwrap(), theirs)
}

async fn send(mut to: &Sender) {
    to.write_all(b"x").unwrap();
    // The kernel has the byte; now the loop has to look.
    time::sleep(Duration::from_millis(1)).await;
}

fn read(mut from: &Receiver) -> io::Result<usize> {
    from.read(&mut [0; 8])
}

#[test]
#[cfg_attr(miri, ignore = "Miri does not know EPOLLPRI, which every registration asks for")]
fn hazard_14_a_source_awaited_with_changing_wakers_wakes_only_the_last() {
    let runtime = Runtime::new().unwrap();
    for numbers in all_kinds() {
        let woken = runtime.block_on(async {
            let (ours, theirs) = a_pipe();
            let mut read = ours.io(Direction::Read, read);
            poll_with_each(numbers, &mut read, async || send(&theirs).await).await
        });
        assert_eq!(woken, [0, 0, 1], "{numbers:?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri does not know EPOLLPRI, which every registration asks for")]
fn hazard_14_a_source_polled_by_hand_wakes_all_its_wakers() {
    let runtime = Runtime::new().unwrap();
    for numbers in all_kinds() {
        let woken = runtime.block_on(async {
            let (ours, theirs) = a_pipe();
            let mut read = poll_fn(|cx| ours.poll_io(cx, Direction::Read, read));
            poll_with_each(numbers, &mut read, async || send(&theirs).await).await
        });
        // There is no future that could hold a place. And two wakers of one task need not compare as equal.
        assert!(woken.iter().all(|times| *times > 0), "{numbers:?}: {woken:?}");
    }
}

/// A step of a task in a family. Its children run at the same time.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Yield,
    Sleep(u64),
    /// A sleep with a limit.
    Limited(u64, u64),
    Tick(u64),
    /// Awaits the next child.
    Join,
    /// Spawns a task that never ends, and cancels it.
    Cancel,
}

/// For each task its parent, modulo the tasks before it, and what it does.
type Family = Vec<(usize, Vec<Doing>)>;

struct Home {
    family: Family,
    /// Whether all tasks get spurious wakes at every step.
    restless: bool,
    wakers: RefCell<Vec<Waker>>,
    /// For each task that has ended: its number, when it ended, and its sum.
    results: RefCell<Vec<(usize, Duration, u64)>>,
    start: std::time::Instant,
}

impl Home {
    fn disturb(&self) {
        let wakers = if self.restless { self.wakers.borrow().clone() } else { Vec::new() };
        for waker in wakers.iter().flat_map(|waker| [waker; 10]) {
            waker.wake_by_ref();
        }
    }
}

fn live(home: Rc<Home>, me: usize) -> Pin<Box<dyn Future<Output = u64>>> {
    Box::pin(async move {
        poll_fn(|cx| {
            home.wakers.borrow_mut().push(cx.waker().clone());
            Poll::Ready(())
        })
        .await;
        // Spawn the children, do the steps while they run, and then await those that are left.
        let children = (me + 1..home.family.len()).filter(|child| home.family[*child].0 % child == me);
        let mut children =
            children.map(|child| spawn(live(Rc::clone(&home), child))).collect::<VecDeque<_>>();
        let mut sum = me as u64;
        for doing in &home.family[me].1 {
            home.disturb();
            sum = sum * 3 + act(*doing, &mut children).await;
        }
        for child in children {
            home.disturb();
            sum += child.await.unwrap();
        }
        home.results.borrow_mut().push((me, time::now() - home.start, sum));
        sum
    })
}

/// Does a step; returns a number that depends on its result.
async fn act(doing: Doing, children: &mut VecDeque<JoinHandle<u64>>) -> u64 {
    let millis = Duration::from_millis;
    match doing {
        Doing::Yield => yield_now().await,
        Doing::Sleep(time) => time::sleep(millis(time)).await,
        Doing::Limited(limit, time) => {
            return u64::from(time::timeout(millis(limit), time::sleep(millis(time))).await.is_ok());
        }
        Doing::Tick(period) => {
            let mut interval = time::interval(millis(period));
            for _ in 0..3 {
                interval.tick().await;
            }
        }
        Doing::Join => match children.pop_front() {
            Some(child) => return child.await.unwrap(),
            None => return 1,
        },
        Doing::Cancel => {
            let endless = spawn(pending::<()>());
            yield_now().await;
            endless.cancel();
            return u64::from(endless.await.is_err_and(|error| error.is_cancelled()));
        }
    }
    0
}

fn results(family: &Family, restless: bool) -> Vec<(usize, Duration, u64)> {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let (wakers, results, start) = (RefCell::default(), RefCell::default(), time::now());
        let home = Rc::new(Home { family: family.clone(), restless, wakers, results, start });
        live(Rc::clone(&home), 0).await;
        let mut results = home.results.take();
        results.sort();
        results
    })
}

fn doing(mut word: Word) -> Doing {
    match word.take(6) {
        0 => Doing::Yield,
        1 => Doing::Sleep(word.take(30)),
        2 => Doing::Limited(word.take(9), word.take(9)),
        3 => Doing::Tick(1 + word.take(9)),
        4 => Doing::Join,
        _ => Doing::Cancel,
    }
}

#[test]
fn hazard_14_ten_spurious_wakes_at_every_step_change_no_result() {
    let doings = vec(any::<u64>(), 0..6)
        .prop_map(|words| words.into_iter().map(|word| doing(Word::new(word))).collect::<Vec<_>>());
    property(300, vec((any::<usize>(), doings), 1..9), |family| {
        let quiet = results(&family, false);
        assert_eq!(quiet.len(), family.len());
        assert_eq!(results(&family, true), quiet, "with spurious wakes (left) and without");
    });
}

#[test]
fn a_shell_takes_in_a_future_of_its_own_type_and_no_other() {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut task: BoxedTask = Box::pin(TaskCell::new(ready(1), Location::caller()));
    let output = |task: &mut BoxedTask| task.as_mut().output().downcast_mut::<Option<i32>>().unwrap().take();
    assert!(task.as_mut().poll(cx).is_ready() && output(&mut task) == Some(1));
    let (mut stranger, mut relative) = (Some(ready("no number")), Some(ready(2)));
    assert!(!task.as_mut().move_in(&mut stranger, Location::caller()) && stranger.is_some());
    assert!(task.as_mut().move_in(&mut relative, Location::caller()) && relative.is_none());
    assert!(task.as_mut().poll(cx).is_ready() && output(&mut task) == Some(2));
}

#[test]
fn shells_are_used_again_and_those_of_many_tasks_go_when_the_loop_waits() {
    let executor = Rc::new(Executor::new(0, None, Rc::new(Probe::default())));
    let cx = &mut Context::from_waker(Waker::noop());
    // Spawns tasks, runs them and fetches their outputs; returns how many shells are left.
    let mut spawn_and_join = |tasks: usize| {
        let spawn = |id: usize| executor.spawn(async move { assert!(id < tasks) }, Location::caller());
        let ids: Vec<TaskId> = (0..tasks).map(spawn).collect();
        executor.poll_stretch::<false>(u32::MAX, |_, task| task.map_or(Poll::Pending, |task| task.poll(cx)));
        for id in ids {
            let mut handle = JoinHandle::<()>::new(Rc::clone(&executor), id);
            assert!(Pin::new(&mut handle).poll(cx).is_ready());
        }
        executor.shells()
    };
    assert_eq!(spawn_and_join(3), 3);
    assert_eq!(spawn_and_join(3), 3, "the same three, again");
    let many = if cfg!(miri) { 1_050 } else { 5_000 };
    assert_eq!(spawn_and_join(many), many);
    executor.tidy_up();
    assert_eq!(executor.shells(), 0);
    assert_eq!(spawn_and_join(10), 10);
    executor.tidy_up();
    assert_eq!(executor.shells(), 10, "a few are kept");
}
