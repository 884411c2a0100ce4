//! The waits that had begun before a loop was watched, as far as the loop itself knows them.
//!
//! Facts. A timer and a source keep the wakers of those that wait, and a slot the task that awaits its handle. A waker of
//! ours is a task's number. A line knows its waiters, but the loop knows no lines.
//!
//! What it does not know: when a wait began.

use super::place::{place, word};
use crate::core::context;
use crate::core::id::TaskId;
use crate::core::probe::Resource;
use crate::core::waker::number;

/// Calls `found` with each such wait: what for, at which place, which task, and which one has to bring it about.
pub(super) fn waits(mut found: impl FnMut(Resource, u64, TaskId, Option<TaskId>)) {
    let Some(context) = context::current() else { return };
    let mut all = Vec::new();
    context.timers.for_each(|key, waker| {
        all.extend(number(waker).map(|task| (Resource::Timer(key.number()), 0, task, None)));
    });
    context.reactor.for_each_waiter(|source, direction, at, waker| {
        // A task without a place has left word, and is told apart from others by a number.
        let at = match at {
            Some(at) => place(direction, at.number()),
            None => word(direction, context.probe.next_number()),
        };
        all.extend(number(waker).map(|task| (Resource::Source(source), at, task, None)));
    });
    all.extend(context.executor.joins().into_iter().map(|(of, by)| (Resource::Task(of), 0, by, Some(of))));
    // Nothing of the loop is borrowed while the sinks are told.
    all.into_iter().for_each(|(on, place, task, holder)| found(on, place, task, holder));
}
