//! Dropping tasks: cancelled, panicked, or at the shutdown.
//!
//! Facts. To drop a future is to run foreign code, which may cancel, spawn and drop other tasks, a million deep, and may
//! panic. A task that is cancelled may have a cleanup to run, and a destructor cannot await.
//!
//! What follows. Every drop goes through [`Executor::drop_task`], which is a loop where recursion would be the natural
//! mistake: a drop that is asked for while another is under way becomes a *pending drop*. A destructor may leave a
//! *cleanup* ([`Drops::leave_cleanup`]). If its task was cancelled, the task goes on as that cleanup, under its own number,
//! and is over when the cleanup is done. Cancelled again, it ends there. Drops happen inside the loop of the task
//! ([`Home`]), whichever loop runs on this thread.
//!
//! [`Drops`] keeps what only drops need; the executor reaches it through its methods.
//!
//! Invariants. 4: no borrow across a drop. 11: a panic in a drop belongs to the task whose future it was. 12: after
//! [`Executor::refuse_spawns`], all that is spawned or left as a cleanup is dropped at once.
//!
//! What it does not know: what polls.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::Poll;

use super::{CLEANING, DOOMED, Executor};
use crate::core::cell::{BoxedTask, Panicked, TaskCell};
use crate::core::id::TaskId;
use crate::core::panics::{self, Payload, contain, swallow};
use crate::core::probe::{End, Event};

/// The loop of an executor. Tasks are dropped inside it, whichever loop runs when they are cancelled, or none.
pub(crate) trait Home {
    /// Calls `f` with this loop as the one that runs on this thread.
    fn run(self: Rc<Self>, f: &mut dyn FnMut());
}

/// What a cancelled task leaves to be done.
pub(crate) type Cleanup = Pin<Box<dyn Future<Output = ()>>>;

/// A task that has to be dropped, and why.
struct PendingDrop {
    id: TaskId,
    task: BoxedTask,
    cause: Cause,
}

enum Cause {
    Cancelled,
    Panicked(Payload),
    /// Not a future but an output that no handle has fetched.
    Unwanted,
}

/// The first panic of a task that goes on as its cleanup. It comes out when the cleanup is over or is dropped.
struct First(Option<Payload>);

impl Drop for First {
    fn drop(&mut self) {
        if let Some(payload) = self.0.take() {
            resume_unwind(payload);
        }
    }
}

/// Runs cleanups one after the other, each whatever the others do. The first panic comes out at the end: that of the drop
/// which left them, or one of theirs.
pub(crate) async fn in_turn(cleanups: Vec<Cleanup>, panic: Option<Payload>) {
    let mut first = First(panic);
    for mut cleanup in cleanups {
        let done = poll_fn(|cx| match contain(|| cleanup.as_mut().poll(cx)) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => Poll::Ready(Err(payload)),
        })
        .await;
        first.0 = panics::first(first.0.take(), done.err());
    }
}

/// A shutdown may happen inside a drop of ours. This is what is put back when it is over.
pub(crate) struct Nested {
    under_way: bool,
    /// How many tasks count as live only because that drop is not over: one or none.
    pub(crate) dying: usize,
}

/// More than honest destructors spawn, and few enough to be over in no time.
const SPAWNS_AFTER_THE_END: u32 = 100_000;

/// What is kept for drops.
#[derive(Default)]
pub(crate) struct Drops {
    /// What waits to be dropped while something else is being dropped.
    pending: RefCell<VecDeque<PendingDrop>>,
    /// Set while a drop runs: another one becomes pending.
    under_way: Cell<bool>,
    /// The cleanups that the drop under way has left so far; `None` if each is to be a task of its own.
    cleanups: RefCell<Option<Vec<Cleanup>>>,
    /// Set by the shutdown: how many of the tasks that are spawned from now on are still dropped at once.
    refusing: Cell<Option<u32>>,
    /// The loop whose tasks these are, and inside which they are dropped.
    pub(crate) home: OnceCell<Weak<dyn Home>>,
}

impl Drops {
    /// Runs `f` and returns the cleanups that its destructors left. If they are not `wanted`, each becomes a task of its own.
    pub(crate) fn collect<R>(&self, wanted: bool, f: impl FnOnce() -> R) -> (R, Vec<Cleanup>) {
        // A destructor may drop the runtime, which drops other tasks in the middle of this.
        let before = self.cleanups.replace(wanted.then(Vec::new));
        let result = f();
        (result, self.cleanups.replace(before).unwrap_or_default())
    }

    /// Leaves a cleanup to be done before the task that is being cancelled is over. It comes back if none is.
    pub(crate) fn leave_cleanup(&self, cleanup: Cleanup) -> Result<(), Cleanup> {
        match &mut *self.cleanups.borrow_mut() {
            Some(cleanups) => {
                cleanups.push(cleanup);
                Ok(())
            }
            None => Err(cleanup),
        }
    }

    /// Whether the task that is being cancelled has left a cleanup so far.
    pub(crate) fn has_left_cleanups(&self) -> bool {
        self.cleanups.borrow().as_ref().is_some_and(|cleanups| !cleanups.is_empty())
    }

    /// What a destructor spawns, and the cleanup it leaves, belong to the loop of its task.
    fn run_at_home(&self, f: &mut dyn FnMut()) {
        match self.home.get().and_then(Weak::upgrade) {
            Some(home) => home.run(f),
            None => f(),
        }
    }

    /// How many of the tasks that are spawned now are still dropped at once; `None` before the end.
    pub(super) fn refusing(&self) -> Option<u32> {
        self.refusing.get()
    }

    /// Gives back the memory that many pending drops have needed.
    pub(super) fn shrink(&self) {
        self.pending.borrow_mut().shrink_to_fit();
    }
}

impl Executor {
    /// Drops a future *now*, so that what it held is free when this returns. The two exceptions: a task
    /// that cancels itself goes after its poll, and one that is cancelled by a drop goes after that drop.
    pub(crate) fn cancel(&self, id: TaskId) {
        let mut state = self.state.borrow_mut();
        let slot = state.slots.get(id);
        if slot.mark.is_over() {
            return;
        }
        let task = slot.task.take();
        // It is out, and `put_back` will see this. (If it is being dropped, this changes nothing.)
        if task.is_none() {
            slot.mark.set(DOOMED, true);
        }
        drop(state);
        if let Some(task) = task {
            self.drop_task(id, task, Cause::Cancelled);
        }
    }

    /// Drops a task. A loop, however deep the drops of drops go.
    fn drop_task(&self, id: TaskId, task: BoxedTask, cause: Cause) {
        let first = PendingDrop { id, task, cause };
        if self.drops.under_way.replace(true) {
            return self.drops.pending.borrow_mut().push_back(first);
        }
        let mut next = Some(first);
        self.drops.run_at_home(&mut || {
            while let Some(pending) = next.take() {
                self.drop_one(pending);
                next = self.drops.pending.borrow_mut().pop_front();
            }
        });
        self.drops.under_way.set(false);
    }

    fn drop_one(&self, pending: PendingDrop) {
        let PendingDrop { id, task, cause } = pending;
        let before = self.running.replace(Some(id));
        let spawned_at = task.spawned_at();
        // Only once: cancelled again, a task is over, and the cleanups of its cleanup are tasks of their own.
        let cleaning = self.state.borrow_mut().slots.get(id).mark.has(CLEANING);
        let may_clean = matches!(cause, Cause::Cancelled) && !cleaning && self.drops.refusing().is_none();
        let (dropped, cleanups) = self.drops.collect(may_clean, || contain(|| drop(task)));
        self.running.set(before);
        match (cause, dropped) {
            (Cause::Cancelled, dropped) if !cleanups.is_empty() => {
                self.continue_as_cleanup(id, cleanups, dropped, spawned_at);
            }
            (Cause::Cancelled, Ok(())) => drop(self.settle(id, End::Cancelled, None)),
            (Cause::Cancelled, Err(payload)) => self.settle_panicked(id, payload),
            // There is no handle that could report the panic.
            (Cause::Unwanted, dropped) => swallow(|| drop(dropped)),
            // The first panic is the cause; what the drop adds to it is a consequence.
            (Cause::Panicked(first), dropped) => {
                swallow(|| drop(dropped));
                self.settle_panicked(id, first);
            }
        }
    }

    /// The task goes on as its own cleanup. A panic of the drop that left it comes out at its end.
    #[cold]
    fn continue_as_cleanup(
        &self,
        id: TaskId,
        cleanups: Vec<Cleanup>,
        dropped: Result<(), Payload>,
        spawned_at: Option<&'static Location<'static>>,
    ) {
        let cleanup = in_turn(cleanups, dropped.err());
        let task = TaskCell::new(cleanup, spawned_at.unwrap_or(Location::caller()));
        // It takes the place of the dropped future, in the same slot.
        let mut state = self.state.borrow_mut();
        let slot = state.slots.get(id);
        slot.mark.set(CLEANING, true);
        slot.mark.set(DOOMED, false);
        slot.put(Some(Box::pin(task)));
        drop(state);
        if self.wake(id) {
            self.probe.emit(|| Event::Wake { task: id, by: self.running() });
        }
    }

    fn settle_panicked(&self, id: TaskId, payload: Payload) {
        drop(self.settle(id, End::Panicked, Some(Box::pin(Panicked(Some(payload))))));
    }

    #[cold]
    fn report_unheard(&self, id: TaskId) {
        let judge = self.extras.get(id, |extra| extra.judge).unwrap_or(|_| false);
        let mut state = self.state.borrow_mut();
        let slot = state.slots.get(id);
        let end = slot.end();
        // What a root panicked with is not in its slot: it is on its way to the caller of `block_on`.
        let Some(task) = &mut slot.task else { return };
        let event = match end {
            Some(End::Panicked) => Event::Unheard { task: id },
            Some(End::Returned) if judge(task.as_mut().output()) => Event::UnheardError { task: id },
            _ => return,
        };
        drop(state);
        self.probe.emit(|| event);
    }

    /// Empties the slot of a task that is over and has no handle.
    pub(super) fn discard(&self, id: TaskId) {
        if self.probe.is_on() {
            self.report_unheard(id);
        }
        if let Some((_, Some(task))) = self.take_outcome(id) {
            self.drop_task(id, task, Cause::Unwanted);
        }
    }

    /// The poll that was under way has panicked. Returns the payload if it was the root's: its caller gets it.
    #[cold]
    pub(crate) fn crash(&self, payload: Payload) -> Option<Payload> {
        let Some(id) = self.running.take() else { resume_unwind(payload) };
        self.probe.poll_ended(id, true);
        let Some(task) = self.fallen.take() else { return Some(payload) };
        self.drop_task(id, task, Cause::Panicked(payload));
        None
    }

    /// Cancels all tasks there are, in the order of their slots, but none that their destructors spawn, in whatever slot.
    /// Cleanups that are under way are spared until the end.
    pub(crate) fn cancel_all(&self) {
        for id in self.all() {
            let lives = self.lives(id);
            let cleans = self.state.borrow_mut().slots.get(id).mark.has(CLEANING);
            if lives && !(cleans && self.drops.refusing().is_none()) {
                self.cancel(id);
            }
        }
    }

    /// Drops the outputs that are still there: one may hold the handle of its own task, and would never go.
    pub(crate) fn drop_outputs(&self) {
        let slots = self.state.borrow().slots.count();
        for slot in 0..slots {
            let mut state = self.state.borrow_mut();
            let id = state.slots.former(slot);
            let slot = state.slots.get(id);
            let output = if slot.end() == Some(End::Returned) { slot.task.take() } else { None };
            drop(state);
            if let Some(task) = output {
                self.drop_task(id, task, Cause::Unwanted);
            }
        }
    }

    /// A destructor of a task may drop the last reference to the task's own runtime. The other tasks are then dropped
    /// within that drop, not after it. Returns what [`end_nested`](Executor::end_nested) needs.
    pub(crate) fn begin_nested(&self) -> Nested {
        let under_way = self.drops.under_way.replace(false);
        let dying = usize::from(under_way && self.running.get().is_some_and(|id| self.lives(id)));
        Nested { under_way, dying }
    }

    pub(crate) fn end_nested(&self, nested: &Nested) {
        self.drops.under_way.set(nested.under_way);
    }

    /// This task, which has been spawned just now, is nothing but a cleanup.
    pub(crate) fn mark_as_cleanup(&self, id: TaskId) {
        self.state.borrow_mut().slots.get(id).mark.set(CLEANING, true);
    }

    /// From here on, whatever is spawned is dropped at once.
    pub(crate) fn refuse_spawns(&self) {
        self.drops.refusing.set(Some(SPAWNS_AFTER_THE_END));
        self.extras.always();
    }

    /// Drops what was spawned after the end. A destructor that spawns its like would keep this going for ever:
    /// sooner or later one is leaked instead.
    #[cold]
    pub(super) fn refuse(&self, id: TaskId, left: u32) {
        self.drops.refusing.set(Some(left.saturating_sub(1)));
        if left == 0 {
            std::mem::forget(self.state.borrow_mut().slots.get(id).task.take());
            drop(self.settle(id, End::Cancelled, None));
        } else {
            self.cancel(id);
        }
    }
}
