//! The way from a task that waits to the tasks without which it cannot go on.
//!
//! Facts. A task that waits for a mutex cannot go on before the task that holds it has let it go. That task may wait for a
//! mutex, too. Other waits do not tell which task ends them: a handle may be shared, and any task may use a channel.
//!
//! What follows. A way leads from holder to holder, by mutexes only. If it ends nowhere at a task that waits for no mutex,
//! it holds all the tasks that matter: none of them goes on before another one of them does.
//!
//! What it does not know: what else could let a task go on.

use std::collections::{HashMap, HashSet};

use super::waits::Waits;
use crate::core::id::TaskId;

/// More tasks than honest programs have in a circle. Farther than this, no way is followed.
const MOST_STEPS: usize = 256;

pub(super) struct Way {
    /// The task at which it begins, and all to which it leads.
    pub(super) tasks: Vec<TaskId>,
    /// Whether it leads back to the task at which it begins.
    pub(super) leads_back: bool,
    /// Whether it ends at a task that waits for no mutex, or was too long to be followed.
    pub(super) is_open: bool,
}

impl Way {
    /// Follows the waits from a task to the holders of the mutexes, each task once.
    pub(super) fn from(start: TaskId, waits: &Waits) -> Way {
        let mut way = Way { tasks: vec![start], leads_back: false, is_open: false };
        let (mut seen, mut step) = (HashSet::new(), 0);
        while let Some(task) = way.tasks.get(step).copied().filter(|_| step < MOST_STEPS) {
            let mut is_end = true;
            for holder in waits.mutex_holders(task) {
                is_end = false;
                way.leads_back |= holder == start;
                if holder != start && seen.insert(holder) {
                    way.tasks.push(holder);
                }
            }
            way.is_open |= is_end;
            step += 1;
        }
        way.is_open |= step < way.tasks.len();
        way
    }
}

/// Adds to tasks that are blocked all those that wait for nothing but mutexes that blocked tasks hold, and of which
/// `is_stuck` says that nothing else lets them go on.
pub(super) fn add_all_that_wait(
    blocked: &mut HashSet<TaskId>,
    waits: &Waits,
    is_stuck: impl Fn(TaskId) -> bool,
) {
    // For each task, which tasks wait for it, and for how many mutexes each of those waits whose holder is not blocked.
    let (mut waiting, mut left) = (HashMap::<TaskId, Vec<TaskId>>::new(), HashMap::new());
    for id in waits.tasks().into_iter().filter(|id| !blocked.contains(id) && waits.are_for_mutexes(*id)) {
        for holder in waits.mutex_holders(id) {
            waiting.entry(holder).or_default().push(id);
            *left.entry(id).or_insert(0) += 1;
        }
    }
    let mut next: Vec<TaskId> = blocked.iter().copied().collect();
    while let Some(holder) = next.pop() {
        for id in waiting.remove(&holder).into_iter().flatten() {
            let left = left.entry(id).or_insert(0);
            *left -= 1;
            if *left == 0 && is_stuck(id) {
                blocked.insert(id);
                next.push(id);
            }
        }
    }
}
