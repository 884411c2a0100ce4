//! What a handle asks for: the output of its task, a wake when there is one, or to be forgotten.
//!
//! Facts. A handle is polled once or twice, in nearly every case by a task of the same loop, and the task has returned
//! in nearly every case. It is dropped with or without having been polled.
//!
//! What follows. One look at the slot, which takes the output out or notes the waiter. The box that the output was in stays,
//! as a *shell* for the slot's next tenant. Everything that is rare is done in functions of its own.
//!
//! What it does not know: what polls the handle.

use super::{CANCELLED, DETACHED, Executor, LARGEST_SHELL, PANICKED, Slot, State};
use crate::core::cell::BoxedTask;
use crate::core::id::TaskId;
use crate::core::panics::swallow;
use crate::core::probe::End;

/// What came of a handle's poll.
pub(crate) enum Join<T> {
    Output(T),
    /// The task is over, and has not returned, or its output has been dropped with the runtime.
    Failed,
    /// Not over, and the waiter is not a task of this loop, so it could not be noted here.
    NotYet,
    /// Not over, and the waiter is noted.
    Waits,
    /// The task is over, but there is no budget to hear of it.
    NotNow,
}

impl Executor {
    /// The task's output, if it has returned; then the slot is vacant from here on, but for the shell. If it is not over,
    /// notes `waiter`, a task of this loop, which is then woken. `may` says whether there is budget left to hear of the end.
    #[inline]
    pub(crate) fn join<T: 'static>(
        &self,
        id: TaskId,
        waiter: impl FnOnce() -> Option<TaskId>,
        may: impl FnOnce() -> bool,
    ) -> Join<T> {
        let mut state = self.state.borrow_mut();
        let State { slots, shells, .. } = &mut *state;
        let output = slots.vacate_if(id, |slot| {
            // Not over: the waiter is noted in the slot.
            if !slot.mark.is_over() {
                return Err(waiter().map_or(Join::NotYet, |waiter| {
                    slot.waiter = Some(waiter);
                    Join::Waits
                }));
            }
            // Over: the output leaves its box, which stays as a shell.
            if !may() {
                return Err(Join::NotNow);
            }
            slot.take_output(shells).ok_or(Join::Failed)
        });
        drop(state);
        match output {
            Ok(output) => Join::Output(output),
            Err(join) => join,
        }
    }

    /// How the task ended, if it has, and the box with what is left of it. The slot is vacant from here on.
    pub(crate) fn take_outcome(&self, id: TaskId) -> Option<(End, Option<BoxedTask>)> {
        let take = |slot: &mut Slot| slot.end().map(|end| (end, slot.task.take())).ok_or(());
        let outcome = self.state.borrow_mut().slots.vacate_if(id, take).ok()?;
        if self.extras.any() {
            self.drop_extras(id);
        }
        Some(outcome)
    }

    #[cold]
    pub(crate) fn drop_extras(&self, id: TaskId) {
        let extra = self.extras.remove(id);
        swallow(|| drop(extra));
    }

    /// Whether a task can go on only by what it waits for: it has not ended, is not queued, and has no handle. (Between polls,
    /// only the future of a `block_on` is out of its slot, and that never has a handle.)
    #[cfg(feature = "diagnostics")]
    pub(crate) fn is_left_alone(&self, id: TaskId) -> bool {
        use crate::core::slots::QUEUED;
        let is_left = |it: &mut Slot| !it.mark.has(QUEUED) && (it.mark.has(DETACHED) || it.task.is_none());
        self.lives(id) && is_left(self.state.borrow_mut().slots.get(id))
    }

    /// The handle is dropped: the output is not wanted, and no task awaits the end any more.
    pub(crate) fn detach(&self, id: TaskId) {
        let mut state = self.state.borrow_mut();
        let slot = state.slots.get(id);
        slot.mark.set(DETACHED, true);
        slot.waiter = None;
        let over = slot.mark.is_over();
        drop(state);
        if over {
            self.discard(id);
        } else if self.extras.any() {
            let waiter = self.extras.get(id, |extra| extra.waiter.take());
            swallow(|| drop(waiter));
        }
    }
}

impl Slot {
    /// Takes out what a task has returned, if it has, and leaves the shell, if that is worth its memory.
    #[inline]
    fn take_output<T: 'static>(&mut self, shells: &mut usize) -> Option<T> {
        if self.end() != Some(End::Returned) {
            return None;
        }
        let task = self.task.as_mut()?;
        let output = task.as_mut().output().downcast_mut::<Option<T>>()?.take()?;
        if size_of_val(&**task) <= LARGEST_SHELL {
            *shells += 1;
        } else {
            self.task = None;
        }
        Some(output)
    }

    /// How the task ended, if it has.
    #[inline]
    pub(super) fn end(&self) -> Option<End> {
        self.mark.is_over().then(|| match () {
            () if self.mark.has(CANCELLED) => End::Cancelled,
            () if self.mark.has(PANICKED) => End::Panicked,
            () => End::Returned,
        })
    }
}

#[cfg(test)]
impl Executor {
    /// How many shells there are, counted.
    pub(crate) fn shells(&self) -> usize {
        let (mut state, mut found) = (self.state.borrow_mut(), 0);
        state.slots.for_each_vacant(|slot| found += usize::from(slot.task.is_some()));
        assert_eq!(state.shells, found);
        found
    }
}
