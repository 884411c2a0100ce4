//! How tasks end that do not return: cancelled, panicked, or at the shutdown.
//!
//! Facts. To drop a future is to run foreign code, which may cancel, spawn and drop others, a million deep, and may
//! panic. A task that is cancelled may have something to say good-bye to, and cannot wait in a destructor.
//!
//! What follows. What has to be dropped goes through one place, [`Executor::bury`], which is a loop where recursion would
//! be the natural mistake. A drop that leaves a *cleanup* ([`Executor::bequeath`]) leaves it to the task: the task goes on
//! as that, under its own number, and is over when that is done. Cancelled again, it ends there.
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
pub(super) type Cleanup = Pin<Box<dyn Future<Output = ()>>>;

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
        while let Some(grave) = next {
            self.dig(grave);
            next = self.graves.borrow_mut().pop_front();
        }
        self.digging.set(false);
    }

    fn dig(&self, grave: Grave) {
        let Grave { id, task, cause } = grave;
        let before = self.running.replace(Some(id));
        let spawned_at = task.spawned_at();
        // Not twice: cancelled again, a task is over, and cleanups of its cleanup are tasks of their own.
        let cleaning = self.state.borrow_mut().ready.get(id).mark.has(CLEANING);
        let may_bequeath = matches!(cause, Cause::Cancelled) && !cleaning && self.closed.get().is_none();
        *self.will.borrow_mut() = may_bequeath.then(Vec::new);
        let dropped = contain(|| drop(task));
        let will = self.will.take().unwrap_or_default();
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

    /// The task goes on as its own cleanup; a panic of the drop that left it comes out at its end.
    #[cold]
    fn execute(
        &self,
        id: TaskId,
        will: Vec<Cleanup>,
        dropped: Result<(), Payload>,
        spawned_at: Option<&'static Location<'static>>,
    ) {
        let cleanup = async move {
            let mut first = First(dropped.err());
            for mut cleanup in will {
                // Each has its turn, also behind one that panicked.
                let done = poll_fn(|cx| match contain(|| cleanup.as_mut().poll(cx)) {
                    Ok(poll) => poll.map(Ok),
                    Err(payload) => Poll::Ready(Err(payload)),
                })
                .await;
                match done {
                    Err(payload) if first.0.is_none() => first.0 = Some(payload),
                    done => swallow(|| drop(done)),
                }
            }
        };
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

    /// Cancels all tasks there are, in the order of their slots. Cleanups that are under way are spared until the end.
    pub(crate) fn cancel_all(&self) {
        let slots = self.state.borrow().ready.slots();
        for slot in 0..slots {
            let mut state = self.state.borrow_mut();
            // In a vacant slot there is nothing to be taken out.
            let id = state.ready.number(slot);
            let spared = state.ready.get(id).mark.has(CLEANING) && self.closed.get().is_none();
            drop(state);
            if !spared {
                self.cancel(id);
            }
        }
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
