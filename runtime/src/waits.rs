//! The waits of tasks, as a watcher hears of them.
//!
//! Facts. A task waits for a source, a deadline, another task, or in a line. It may be woken by one thing and wait for the
//! next in the same poll. A loop that is not watched must not pay for any of this.
//!
//! Contract. All that waits tells of it here, when the wait begins and when it ends. The probe keeps the two balanced.
//!
//! What it does not know: what is waited for.

use crate::core::context;
use crate::core::id::TaskId;
use crate::core::probe::{Probe, Resource};

/// Tells a watcher that the running task begins to wait for something, at a place of its own there, or goes on waiting; or
/// that the wait at this place ends. `holder` is the task that has it or has to bring it about, if that is known.
#[inline]
pub(crate) fn tell(probe: &Probe, on: Resource, place: u64, holder: Option<TaskId>, begins: bool) {
    if probe.is_on() {
        tell_watcher(probe, on, place, holder, begins);
    }
}

#[cold]
fn tell_watcher(probe: &Probe, on: Resource, place: u64, holder: Option<TaskId>, begins: bool) {
    if !begins {
        return probe.wait_ends(on, place..=place);
    }
    // A watcher hears only of the tasks of its own loop.
    let here = context::current().filter(|context| std::ptr::eq(&raw const *context.probe, probe));
    probe.wait_begins(on, place, here.and_then(|context| context.executor.running()), holder);
}
