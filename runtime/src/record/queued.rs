//! The queue of a loop, looked at.
//!
//! Facts. The queue runs through the slots: each slot has a link to the next one in its lane, and that of a lane's last slot
//! may lead anywhere. The slot of a task that is over may still be queued, and has the serial of its next tenant.
//!
//! What it does not know: how tasks come there.

use crate::core::context::Context;
use crate::core::executor::Slot;
use crate::core::id::TaskId;
use crate::core::slots::{Slot as _, Slots};

/// What stands in the queue, from the front of each lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queued {
    pub(crate) tasks: Vec<TaskId>,
    pub(crate) outside: Vec<TaskId>,
    /// Those of them that are over: the loop will pass over them.
    pub(crate) over: Vec<TaskId>,
    /// The flag that decides which lane is next.
    pub(crate) outside_is_next: bool,
}

impl Queued {
    /// What stands in the queue of this loop now.
    pub(crate) fn of(context: &Context) -> Queued {
        let slots = &mut *context.executor.slots();
        let [tasks, outside] = [&slots.queue.tasks, &slots.queue.outside].map(|lane| (lane.first, lane.last));
        let mut queued = Queued { outside_is_next: slots.queue.outside_is_next, ..Queued::default() };
        queued.tasks = lane(slots, tasks, &mut queued.over);
        queued.outside = lane(slots, outside, &mut queued.over);
        queued
    }
}

/// The tasks from the first slot of a lane to the last one.
fn lane(slots: &mut Slots<Slot>, (first, last): (u32, u32), over: &mut Vec<TaskId>) -> Vec<TaskId> {
    let (mut lane, mut next) = (Vec::new(), Some(first));
    while let Some(index) = next {
        let Some(slot) = slots.slots.get_mut(index as usize) else { break };
        let (is_over, link) = (slot.mark().is_over(), slot.mark().next);
        let id = if is_over { slots.former(index as usize) } else { slots.number(index as usize) };
        over.extend(is_over.then_some(id));
        lane.push(id);
        next = (index != last).then_some(link);
    }
    lane
}
