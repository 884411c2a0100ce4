//! The waits that had begun before a sink came, as far as the loop itself knows them.
//!
//! Facts. A timer and a source keep the wakers of those that wait, and a slot the task that awaits its handle. A waker of
//! ours is a task's number. A line knows its waiters, but the loop knows no lines.
//!
//! What it does not know: when a wait began.

use std::collections::HashSet;
use std::task::Waker;

use super::place::{place, word};
use crate::core::context::{self, Context};
use crate::core::id::TaskId;
use crate::core::probe::Resource;
use crate::core::reactor::Direction;
use crate::core::timers::Key;
use crate::core::waker::number;

/// What a task waits for, at which place, which task that is, and which one has to bring it about.
type Wait = (Resource, u64, TaskId, Option<TaskId>);

/// The tasks that wait for sources.
pub(crate) fn at_sources(context: &Context) -> HashSet<TaskId> {
    reports(context).into_iter().map(|(_, _, task, _)| task).collect()
}

/// Calls `found` with each such wait. Nothing of the loop is borrowed then.
pub(super) fn waits(mut found: impl FnMut(Resource, u64, TaskId, Option<TaskId>)) {
    let Some(context) = context::current() else { return };
    let all = [deadlines(&context), reports(&context), joins(&context)];
    all.into_iter().flatten().for_each(|(on, place, task, holder)| found(on, place, task, holder));
}

/// In the order in which the timers were set.
fn deadlines(context: &Context) -> Vec<Wait> {
    let pending = context.timers.pending();
    let mut all: Vec<_> = pending.iter().collect();
    all.sort_unstable_by_key(|(key, _)| key.serial);
    let wait = |(key, waker): (&Key, &Waker)| Some((Resource::Timer(key.serial), 0, number(waker)?, None));
    all.into_iter().filter_map(wait).collect()
}

fn reports(context: &Context) -> Vec<Wait> {
    let (sources, mut all) = (context.reactor.sources(), Vec::new());
    for (_, source) in sources.iter() {
        for direction in [Direction::Read, Direction::Write] {
            for (at, waker) in source.waiters(direction).borrow().iter() {
                // A task without a place has left word, and is told apart from others by a number.
                let at = match at {
                    Some(at) => place(direction, at.number()),
                    None => word(direction, context.probe.next_number()),
                };
                all.extend(number(waker).map(|task| (Resource::Source(source.number()), at, task, None)));
            }
        }
    }
    all
}

/// The tasks that await the handles of others.
fn joins(context: &Context) -> Vec<Wait> {
    let all = context.executor.all();
    let mut slots = context.executor.slots();
    let wait = |id: TaskId| Some((Resource::Task(id), 0, slots.get(id).waiter?, Some(id)));
    all.into_iter().filter_map(wait).collect()
}
