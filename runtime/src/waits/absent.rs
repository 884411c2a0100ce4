//! The waits of tasks in a program that leaves out what watches a loop: no code hears of them.
//!
//! Facts. Without the feature `diagnostics`, no loop has a watcher. All that waits tells of it all the same, so that each
//! wait is written once, for both kinds of programs.
//!
//! What follows. Telling does nothing, places are not told apart, and a doubt is not noted. The compiler leaves out the calls.
//!
//! What it does not know: waits.

use crate::core::id::TaskId;
use crate::core::probe::{Made, Probe, Resource};
use crate::core::reactor::Direction;

#[inline]
pub(crate) fn tell(_: &Probe, _: Resource, _: u64, _: Option<TaskId>, _: bool) {}

#[inline]
pub(crate) fn tell_watcher(_: &Probe, _: Resource, _: u64, _: Option<TaskId>, _: bool, _: Option<Made>) {}

pub(crate) fn place(_: Direction, _: u64) -> u64 {
    0
}

pub(crate) fn word(_: Direction, _: u64) -> u64 {
    0
}

/// Nothing asks which tasks are in doubt.
#[derive(Debug)]
pub(crate) struct Doubt;

impl Doubt {
    pub(crate) fn new(_: TaskId) -> Doubt {
        Doubt
    }

    pub(crate) fn here() -> Option<Doubt> {
        None
    }
}
