//! What a watched loop has done, in numbers.
//!
//! Facts. Most questions about a loop are questions about rates and about times: how many polls a second, and how long is a
//! task that is ready not polled?
//!
//! Contract. Everything is counted from when the runtime was built. Times are real ones, also on virtual time. A time in the
//! ready queue begins at the wake, as exactly as the clock was read. It is read at a wake by a task. All other wakes have the
//! time at which the loop came back from the kernel.
//!
//! What it does not know: which task did what.

use std::time::Duration;

use crate::core::clock::Nanos;
use crate::core::probe::End;
use crate::inspect::histogram::Histogram;

/// What has woken a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Task,
    Timer,
    Source,
    /// Another thread, or code outside of the loop.
    Other,
}

/// The counters while the loop counts.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) spawned: u64,
    pub(super) turns: u64,
    pub(super) parks: u64,
    pub(super) parked: Nanos,
    wakes: [u64; 4],
    ends: [u64; 3],
    pub(super) queue_delay: Histogram,
    pub(super) poll_time: Histogram,
}

impl Tally {
    #[inline]
    pub(super) fn woken(&mut self, cause: Cause) {
        self.wakes[cause as usize] += 1;
    }

    pub(super) fn ended(&mut self, end: End) {
        self.ends[end as usize] += 1;
    }

    pub(super) fn counts(&self) -> Counts {
        let (wakes, ends) = (|cause: Cause| self.wakes[cause as usize], |end: End| self.ends[end as usize]);
        Counts {
            spawned: self.spawned,
            returned: ends(End::Returned),
            cancelled: ends(End::Cancelled),
            panicked: ends(End::Panicked),
            turns: self.turns,
            parks: self.parks,
            parked: Duration::from_nanos(self.parked),
            polls: self.poll_time.count(),
            wakes_by_tasks: wakes(Cause::Task),
            wakes_by_timers: wakes(Cause::Timer),
            wakes_by_sources: wakes(Cause::Source),
            wakes_from_outside: wakes(Cause::Other),
            queue_delay: self.queue_delay.clone(),
            poll_time: self.poll_time.clone(),
        }
    }
}

/// What a watched loop has done since its runtime was built.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Counts {
    /// The tasks that were spawned. The future of a `block_on` counts as one.
    pub spawned: u64,
    /// The tasks that have returned.
    pub returned: u64,
    /// The tasks that were cancelled.
    pub cancelled: u64,
    /// The tasks that have panicked.
    pub panicked: u64,
    /// The turns of the loop.
    pub turns: u64,
    /// How often the loop has slept in the kernel.
    pub parks: u64,
    /// For how long in all.
    pub parked: Duration,
    /// The polls that are over.
    pub polls: u64,
    /// The wakes by other tasks, or by the task itself.
    pub wakes_by_tasks: u64,
    /// The wakes by deadlines.
    pub wakes_by_timers: u64,
    /// The wakes because the kernel has reported a source.
    pub wakes_by_sources: u64,
    /// The wakes by other threads, and by code outside of the loop.
    pub wakes_from_outside: u64,
    /// From the moment at which a task was queued until it was polled.
    pub queue_delay: Histogram,
    /// How long the polls took.
    pub poll_time: Histogram,
}
