//! How tasks end that do not return: cancelled, panicked, or at the shutdown.
//!
//! Facts. To drop a future is to run foreign code, which may cancel, spawn and drop others, a million deep, and may
//! panic. A task that is cancelled may have something to say good-bye to, and cannot wait in a destructor.
//!
//! What follows. What has to be dropped goes through one place, [`Executor::bury`], which is a loop where recursion would
//! be the natural mistake. A drop that leaves a *cleanup* ([`Executor::bequeath`]) leaves it to the task: the task goes on
//! as that, under its own number, and is over when that is done. Cancelled again, it ends there. Drops happen inside the
//! loop of the task ([`Home`]), whichever loop runs.
//!
//! Invariants. 4: no borrow across a drop. 11: a panic in a drop belongs to the task whose future it was. 12: after
//! [`Executor::shut`], all that is spawned or bequeathed is dropped at once.
//!
//! What it does not know: what polls.

use std::future::poll_fn;
use std::panic::resume_unwind;

use super::*;
use crate::cell::Wreck;
use crate::panics::{Payload, contain};

/// What a cancelled task leaves to be done.
pub(crate) type Cleanup = Pin<Box<dyn Future<Output = ()>>>;

/// Something to be dropped with care, and in whose name.
pub(super) struct Grave {
    id: TaskId,
    task: BoxedTask,
    cause: Cause,
}

enum Cause {
    Cancelled,
    Panicked(Payload),
    /// Not a future but an output that nobody has fetched.
    Unwanted,
}

/// The first panic of a task that goes on as its cleanup: comes out when that is over, or is cut.
struct First(Option<Payload>);

impl Drop for First {
    fn drop(&mut self) {
        if let Some(payload) = self.0.take() {
            resume_unwind(payload);
        }
    }
}

/// Cleanups, one after the other, each whatever the others do. The first panic comes out at the end: that of the drop which
/// left them, or one of theirs.
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

/// The shutdown may happen inside a drop of ours.
pub(crate) struct Nested {
    digs: bool,
    /// How many tasks count as live only because that drop is not over: one or none.
    pub(crate) dying: usize,
}

/// More than honest destructors spawn, and few enough to be over in no time.
const SPAWNS_AFTER_THE_END: u32 = 100_000;

impl Executor {
    /// Drops a future *now*, so that what it held is free when this returns. The two exceptions: a task
    /// that cancels itself goes after its poll, and one that is cancelled by a drop goes after that drop.
    pub(crate) fn cancel(&self, id: TaskId) {
        let mut state = self.state.borrow_mut();
        let slot = state.ready.get(id);
        if slot.mark.is_over() {
            return;
        }
        let task = slot.task.take();
        // It is out: put_back will see this. (Or it is being dropped, and nobody looks.)
        if task.is_none() {
            slot.mark.set(DOOMED, true);
        }
        drop(state);
        if let Some(task) = task {
            self.bury(Grave { id, task, cause: Cause::Cancelled });
        }
    }

    /// Drops what is in the box; a loop, however deep the drops of drops go.
    fn bury(&self, grave: Grave) {
        if self.digging.replace(true) {
            return self.graves.borrow_mut().push_back(grave);
        }
        let mut next = Some(grave);
        self.run_at_home(&mut || {
            while let Some(grave) = next.take() {
                self.dig(grave);
                next = self.graves.borrow_mut().pop_front();
            }
        });
        self.digging.set(false);
    }

    /// What a destructor spawns, and the cleanup it leaves, belong to the loop of its task.
    fn run_at_home(&self, f: &mut dyn FnMut()) {
        let home = if self.at_home.get() { None } else { self.home.get().and_then(Weak::upgrade) };
        match home {
            Some(home) => home.run(f),
            // The loop is the current one, or it has been dropped.
            None => f(),
        }
    }

    /// The loop that [`run_at_home`](Executor::run_at_home) enters.
    pub(crate) fn set_home(&self, home: Weak<dyn Home>) {
        let _ = self.home.set(home);
    }

    /// Whether that loop is the current one on this thread.
    pub(crate) fn set_at_home(&self, at_home: bool) {
        self.at_home.set(at_home);
    }

    fn dig(&self, grave: Grave) {
        let Grave { id, task, cause } = grave;
        let before = self.running.replace(Some(id));
        let spawned_at = task.spawned_at();
        // Not twice: cancelled again, a task is over, and cleanups of its cleanup are tasks of their own.
        let cleaning = self.state.borrow_mut().ready.get(id).mark.has(CLEANING);
        let may_bequeath = matches!(cause, Cause::Cancelled) && !cleaning && self.closed.get().is_none();
        let (dropped, will) = self.collect(may_bequeath, || contain(|| drop(task)));
        self.running.set(before);
        match (cause, dropped) {
            (Cause::Cancelled, dropped) if !will.is_empty() => self.execute(id, will, dropped, spawned_at),
            (Cause::Cancelled, Ok(())) => self.close(id, End::Cancelled, None),
            (Cause::Cancelled, Err(payload)) => self.settle_wreck(id, payload),
            // Nobody wanted the output, nor will anybody hear of its panic.
            (Cause::Unwanted, dropped) => swallow(|| drop(dropped)),
            // The first panic is the cause; what the drop adds to it is a consequence.
            (Cause::Panicked(first), dropped) => {
                swallow(|| drop(dropped));
                self.settle_wreck(id, first);
            }
        }
    }

    /// Runs `f`; returns the cleanups that its destructors left, unless each is to be a task of its own.
    pub(crate) fn collect<R>(&self, wanted: bool, f: impl FnOnce() -> R) -> (R, Vec<Cleanup>) {
        // A destructor may drop the runtime, which drops other tasks in the middle of this.
        let before = self.will.replace(wanted.then(Vec::new));
        let result = f();
        (result, self.will.replace(before).unwrap_or_default())
    }

    /// Leaves a cleanup to be done before the task that is being cancelled is over. It comes back if none is.
    pub(crate) fn bequeath(&self, cleanup: Cleanup) -> Result<(), Cleanup> {
        match &mut *self.will.borrow_mut() {
            Some(will) => {
                will.push(cleanup);
                Ok(())
            }
            None => Err(cleanup),
        }
    }

    /// Whether the task that is being cancelled has left a cleanup so far.
    pub(crate) fn has_left_cleanups(&self) -> bool {
        self.will.borrow().as_ref().is_some_and(|will| !will.is_empty())
    }

    /// The task goes on as its own cleanup; a panic of the drop that left it comes out at its end.
    #[cold]
    fn execute(
        &self,
        id: TaskId,
        will: Vec<Cleanup>,
        dropped: Result<(), Payload>,
        spawned_at: Option<&'static Location<'static>>,
    ) {
        let cleanup = in_turn(will, dropped.err());
        let task = TaskCell::new(cleanup, spawned_at.unwrap_or(Location::caller()));
        let mut state = self.state.borrow_mut();
        let slot = state.ready.get(id);
        slot.mark.set(CLEANING, true);
        slot.mark.set(DOOMED, false);
        slot.put(Some(Box::pin(task)));
        drop(state);
        if self.wake(id) {
            self.emit(|| Event::Wake { task: id, by: self.running() });
        }
    }

    fn settle_wreck(&self, id: TaskId, payload: Payload) {
        self.close(id, End::Panicked, Some(Box::pin(Wreck(Some(payload)))));
    }

    #[cold]
    fn report_unheard(&self, id: TaskId) {
        let mut state = self.state.borrow_mut();
        let slot = state.ready.get(id);
        // What a root panicked with is not in its slot, but on its way to somebody.
        let unheard = slot.end() == Some(End::Panicked) && slot.task.is_some();
        drop(state);
        if unheard {
            self.probe.emit(|| Event::Unheard { task: id });
        }
    }

    /// Empties the slot of a task that is over and has no handle.
    pub(super) fn discard(&self, id: TaskId) {
        if self.watched {
            self.report_unheard(id);
        }
        if let Some((_, Some(task))) = self.take_outcome(id) {
            self.bury(Grave { id, task, cause: Cause::Unwanted });
        }
    }

    /// The poll that was under way has panicked. Returns the payload if it was the root's, which has
    /// somebody to go to.
    #[cold]
    pub(crate) fn crash(&self, payload: Payload) -> Option<Payload> {
        let Some(id) = self.running.take() else { resume_unwind(payload) };
        self.probe.emit(|| Event::PollEnd { task: id, ready: true });
        let Some(task) = self.fallen.take() else { return Some(payload) };
        self.bury(Grave { id, task, cause: Cause::Panicked(payload) });
        None
    }

    /// Cancels all tasks there are, in the order of their slots, but none that their destructors spawn, in whatever slot.
    /// Cleanups that are under way are spared until the end.
    pub(crate) fn cancel_all(&self) {
        for id in self.all() {
            let lives = self.lives(id);
            let cleans = self.state.borrow_mut().ready.get(id).mark.has(CLEANING);
            if lives && !(cleans && self.closed.get().is_none()) {
                self.cancel(id);
            }
        }
    }

    /// Drops the outputs that are still there: one may hold the handle of its own task, and would never go.
    pub(crate) fn drop_outputs(&self) {
        let slots = self.state.borrow().ready.slots();
        for slot in 0..slots {
            let mut state = self.state.borrow_mut();
            let id = state.ready.former(slot);
            let slot = state.ready.get(id);
            let output = if slot.end() == Some(End::Returned) { slot.task.take() } else { None };
            drop(state);
            if let Some(task) = output {
                self.bury(Grave { id, task, cause: Cause::Unwanted });
            }
        }
    }

    /// A destructor of a task may drop the last reference to the task's own runtime. The other tasks are then dropped
    /// within that drop, not after it. Returns what [`end_nested`](Executor::end_nested) needs.
    pub(crate) fn begin_nested(&self) -> Nested {
        let digs = self.digging.replace(false);
        let dying = usize::from(digs && self.running.get().is_some_and(|id| self.lives(id)));
        Nested { digs, dying }
    }

    pub(crate) fn end_nested(&self, nested: &Nested) {
        self.digging.set(nested.digs);
    }

    /// This task, which has been spawned just now, is nothing but a cleanup.
    pub(crate) fn mark_as_cleanup(&self, id: TaskId) {
        self.state.borrow_mut().ready.get(id).mark.set(CLEANING, true);
    }

    /// From here on, whatever is spawned is dropped at once.
    pub(crate) fn shut(&self) {
        self.closed.set(Some(SPAWNS_AFTER_THE_END));
        self.extras.always();
    }

    /// Drops what was spawned after the end. A destructor that spawns its like would keep this going for ever:
    /// sooner or later one is leaked instead.
    #[cold]
    pub(super) fn refuse(&self, id: TaskId, left: u32) {
        self.closed.set(Some(left.saturating_sub(1)));
        if left == 0 {
            std::mem::forget(self.state.borrow_mut().ready.get(id).task.take());
            self.close(id, End::Cancelled, None);
        } else {
            self.cancel(id);
        }
    }
}
