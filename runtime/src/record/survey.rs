//! The state of a loop that runs already: what a recorder has to know that begins in the middle.
//!
//! Facts. At the begin of a turn no task runs, and all that is ready stands in the queue. The loop knows its tasks, its
//! timers and its sources. Waits are told by the watcher, before this is asked for.
//!
//! What is not promised. Locks and channels that were waited for while another recorder watched have only their numbers, and
//! so have the sources.
//!
//! What it does not know: where it goes.

use std::collections::BTreeMap;

use crate::core::context::Context;
use crate::core::id::TaskId;
use crate::core::probe::{Event, Resource};
use crate::core::waker::number;
use crate::record::causes::Causes;
use crate::record::format::{ResourceNo, TaskNo};
use crate::record::observer::{More, Seen};
use crate::record::queued::Queued;
use crate::record::snapshot::{Snapshot, Step, Timer, Waiter};
use crate::record::told::{resource, task};
use crate::task;

/// What stood where when the recorder began.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    /// The number of the runtime.
    pub(crate) runtime: u16,
    /// The tasks that had not ended, as if they were spawned now.
    pub(crate) tasks: Vec<Seen>,
    pub(crate) names: Vec<(TaskId, Box<str>)>,
    pub(crate) snapshot: Snapshot<TaskNo, ResourceNo>,
    pub(crate) causes: Causes,
}

/// The waits that the watcher has told of, until the turn begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// By resource and place, in the order in which they began.
    waits: Vec<(Resource, u64, Option<TaskId>, Option<TaskId>)>,
    causes: Causes,
}

impl Told {
    pub(crate) fn see(&mut self, event: Event, place: u64) {
        self.causes.see(event, place);
        match event {
            Event::WaitOn { task, on, holder } => self.waits.push((on, place, task, holder)),
            Event::WaitDone { on, .. } => self.waits.retain(|wait| (wait.0, wait.1) != (on, place)),
            _ => {}
        }
    }

    /// What stands where now, at the begin of a turn.
    pub(crate) fn survey(self, context: &Context) -> Survey {
        let all = context.executor.all();
        let origin = |id: &TaskId| {
            let origin = context.executor.origin(*id);
            let more = origin.map_or(More::Nothing, |(place, size)| More::Origin(place, size));
            Seen { at: 0, place: 0, event: Event::Spawn { task: *id, by: None }, more }
        };
        let name = |id: &TaskId| Some((*id, task::name(*id)?.to_string().into()));
        Survey {
            runtime: context.runtime,
            tasks: all.iter().map(origin).collect(),
            names: all.iter().filter_map(name).collect(),
            snapshot: self.snapshot(context, all.len() as u64),
            causes: self.causes,
        }
    }

    fn snapshot(&self, context: &Context, live: u64) -> Snapshot<TaskNo, ResourceNo> {
        let queued = Queued::of(context);
        let tasks = |ids: &[TaskId]| ids.iter().map(|id| task(*id)).collect();
        let waiter = |(on, _, by, holder): &(Resource, u64, Option<TaskId>, Option<TaskId>)| Waiter {
            task: by.map(task),
            on: resource(*on),
            holder: holder.map(task),
        };
        Snapshot {
            step: Step::Outside,
            turn: 0,
            // In the other steps of a shutdown there are no turns.
            shutdown: if context.ending.get() { 2 } else { 0 },
            is_partial: false,
            running: None,
            outside_is_next: queued.outside_is_next,
            live,
            tasks: tasks(&queued.tasks),
            outside: tasks(&queued.outside),
            over: tasks(&queued.over),
            timers: timers(context),
            waiters: self.waits.iter().map(waiter).collect(),
            sources: sources(context),
        }
    }
}

/// The timers in the order in which they were set, each with the task that it will wake.
fn timers(context: &Context) -> Vec<Timer<TaskNo, ResourceNo>> {
    let mut timers = BTreeMap::new();
    for (key, waker) in context.timers.pending().iter() {
        // No task has set the limit of a shutdown.
        if context.ending.get() && number(waker).is_none() {
            continue;
        }
        let timer = ResourceNo::Timer(key.serial);
        timers.insert(key.serial, Timer { timer, deadline: key.deadline, task: number(waker).map(task) });
    }
    timers.into_values().collect()
}

fn sources(context: &Context) -> Vec<ResourceNo> {
    let sources = context.reactor.sources();
    sources.iter().map(|(_, source)| ResourceNo::Source(source.number())).collect()
}
