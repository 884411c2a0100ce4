//! Which timer, or which source, has woken a task.
//!
//! Facts. When the loop looks at the kernel and at the timers, it first reports all that has come, and then wakes the tasks
//! that waited, in the order of the reports. A wake says which task was running, and in a look none is.
//!
//! What follows. Each wait for a timer or a source is kept until it is reported. A report makes its waiters candidates. A
//! wake by no task takes the first candidate for its task, and what remains is forgotten when the next turn begins. A
//! task that was queued already is woken by nothing, and stays a candidate until then.
//!
//! What it does not know: how a wait is reported.

use std::collections::{HashMap, VecDeque};

use crate::core::id::TaskId;
use crate::core::probe::{Event, Resource};
use crate::core::reactor::Direction;
use crate::waits;
use crate::waits::Numbered;

/// What has woken a task, if no task has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Timer(u64),
    Source(u64),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Causes {
    /// The timers that are set, with the tasks that wait for them.
    timers: HashMap<u64, Option<TaskId>, Numbered>,
    /// The waits at each source, by their places.
    sources: HashMap<u64, Vec<(u64, TaskId)>, Numbered>,
    candidates: VecDeque<(TaskId, Cause)>,
}

impl Causes {
    /// Takes note of an event. The cause, if the event is a wake.
    #[inline]
    pub(crate) fn see(&mut self, event: Event, place: u64) -> Option<Cause> {
        match event {
            Event::Turn => self.candidates.clear(),
            Event::Wake { task, by: None } => return self.take(task),
            Event::TimerSet { timer, .. } => drop(self.timers.insert(timer, None)),
            Event::TimerUnset { timer } => drop(self.timers.remove(&timer)),
            Event::TimerFired { timer } => {
                let task = self.timers.remove(&timer).flatten();
                self.candidates.extend(task.map(|task| (task, Cause::Timer(timer))));
            }
            Event::WaitOn { task: Some(task), on, .. } => self.wait(task, on, place),
            Event::WaitDone { on: Resource::Source(source), .. } => self.waited(source, place),
            Event::SourceReady { source, readable, writable } => self.report(source, readable, writable),
            Event::SourceClosed { source } => drop(self.sources.remove(&source)),
            _ => {}
        }
        None
    }

    /// A wait begins.
    pub(crate) fn wait(&mut self, task: TaskId, on: Resource, place: u64) {
        match on {
            Resource::Timer(timer) => {
                self.timers.insert(timer, Some(task));
            }
            Resource::Source(source) => self.sources.entry(source).or_default().push((place, task)),
            _ => {}
        }
    }

    /// A wait at a source ends.
    pub(crate) fn waited(&mut self, source: u64, place: u64) {
        if let Some(waits) = self.sources.get_mut(&source) {
            waits.retain(|(at, _)| *at != place);
        }
    }

    /// A report takes all that wait in its directions.
    fn report(&mut self, source: u64, readable: bool, writable: bool) {
        let Some(waits) = self.sources.get_mut(&source) else { return };
        for (ready, direction) in [(readable, Direction::Read), (writable, Direction::Write)] {
            if ready {
                let reported = waits.extract_if(.., |(place, _)| waits::direction(*place) == direction);
                self.candidates.extend(reported.map(|(_, task)| (task, Cause::Source(source))));
            }
        }
    }

    fn take(&mut self, task: TaskId) -> Option<Cause> {
        let at = self.candidates.iter().position(|(candidate, _)| *candidate == task)?;
        self.candidates.remove(at).map(|(_, cause)| cause)
    }
}
