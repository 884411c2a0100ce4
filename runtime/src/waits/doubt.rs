//! Tasks of which it is not certain what lets them go on.
//!
//! Facts. The handle of a scope's child may leave the scope, and cancel the child. A group of futures may move to another
//! task, while what its children wait for is still noted for the first one. Both are rare, and hard to follow.
//!
//! What follows. They are not followed. While such a thing lives, its task is in *doubt*, and is in no circle that is
//! reported. A loop in which nothing can run is blocked all the same.
//!
//! What it does not know: handles and groups.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::core::context;
use crate::core::id::TaskId;

/// How many doubts there are about each task. A group may be dropped on any thread, so this has a lock.
static DOUBTS: Mutex<BTreeMap<TaskId, usize>> = Mutex::new(BTreeMap::new());

fn doubts() -> MutexGuard<'static, BTreeMap<TaskId, usize>> {
    DOUBTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As long as it lives, the task is in doubt.
#[derive(Debug)]
pub(crate) struct Doubt(TaskId);

impl Doubt {
    pub(crate) fn new(task: TaskId) -> Doubt {
        *doubts().entry(task).or_default() += 1;
        Doubt(task)
    }

    /// About the running task, if its loop is watched.
    #[inline]
    pub(crate) fn here() -> Option<Doubt> {
        if context::is_watched() { context::current()?.executor.running().map(Doubt::new) } else { None }
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        let mut doubts = doubts();
        if let Some(count) = doubts.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                doubts.remove(&self.0);
            }
        }
    }
}

pub(crate) fn is_doubted(task: TaskId) -> bool {
    doubts().contains_key(&task)
}
