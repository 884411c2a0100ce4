//! What stood where after each event of a trace.
//!
//! Contract. This is the state that the loop had at each poll, computed from the trace alone. It holds for a trace of a whole
//! run, and for one that begins with a snapshot, as that of a ring does. After a gap in the middle, and with a shuffled
//! order, it is only what can be known: a task that is polled leaves the queue, wherever it stood.
//!
//! The rules are in `record/standing.rs`. What it does not know: times, texts, the loop itself.

use crate::record::snapshot::{Step, Timer, Waiter};
use crate::record::standing::Standing;
use crate::record::trace::Trace;
use crate::record::what::What;

/// The state of the loop after some events of a trace: feed it with one after the other.
#[derive(Clone, Debug, Default)]
pub struct State {
    standing: Standing<u32, u32>,
}

impl State {
    /// Before the first event of a trace.
    #[must_use]
    pub fn new(trace: &Trace) -> State {
        let mut standing = Standing::default();
        standing.set_shuffled(trace.is_shuffled());
        for (index, task) in (0..).zip(trace.tasks()) {
            let is_orphan = task.by.is_none();
            standing.introduce(index, is_orphan, is_orphan && task.at.is_none());
        }
        trace.begin().into_iter().for_each(|snapshot| standing.begin(snapshot));
        State { standing }
    }

    /// The number of the turn; 0 before the first one.
    #[must_use]
    pub fn turn(&self) -> u64 {
        self.standing.turn
    }

    /// The step of the turn.
    #[must_use]
    pub fn step(&self) -> Step {
        self.standing.step
    }

    /// The step of the shutdown that has begun last, as [`What::Shutdown`] counts them; 0 before the shutdown.
    #[must_use]
    pub fn shutdown(&self) -> u32 {
        self.standing.shutdown
    }

    /// The task that is being polled.
    #[must_use]
    pub fn running(&self) -> Option<u32> {
        self.standing.running
    }

    /// The lane of the tasks that were spawned or woken by tasks, from its front.
    pub fn tasks_lane(&self) -> impl Iterator<Item = u32> {
        self.standing.tasks_lane()
    }

    /// The lane of the tasks that were woken from outside, from its front.
    pub fn outside_lane(&self) -> impl Iterator<Item = u32> {
        self.standing.outside_lane()
    }

    /// The timers that are set, in the order in which they will fire.
    pub fn timers(&self) -> impl Iterator<Item = Timer> {
        self.standing.timers()
    }

    /// The waits that have not ended, in the order in which they began.
    pub fn waiters(&self) -> impl Iterator<Item = Waiter> {
        self.standing.waiters().into_iter()
    }

    /// The sources that are registered, in the order in which they were.
    pub fn sources(&self) -> impl Iterator<Item = u32> {
        self.standing.sources().into_iter()
    }

    /// Goes on to the state after the next event.
    pub fn apply(&mut self, what: &What) {
        self.standing.apply(what);
    }
}
