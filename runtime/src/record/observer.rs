//! What the loop reports, completed by what only can be known at that moment: the time, names and places.
//!
//! Facts. An event is a few numbers without a time. To read the clock takes longer than all else that is done for an event.
//! Most events come right after another one.
//!
//! What follows. The clock is read for the events before which something may have taken time: the loop was in the kernel, or
//! a poll was under way. These are the begin of a turn, the end of a poll, the end of a sleep, and in a poll the rare
//! events whose moment matters: a spawn, a timer, a source, a cancel and a mark. All others have the time of the event
//! before: wakes and waits in a poll have the time at which it began, unless something rare came between. So times never
//! go back. A poll alone costs one reading.
//!
//! What it does not know: where the events go.

use std::panic::Location;
use std::rc::Rc;

use crate::core::clock::Clock;
use crate::core::context::{self, Context};
use crate::core::id::TaskId;
use crate::core::probe::Event;

/// An event, completed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Nanoseconds since the runtime was built.
    pub(crate) at: u64,
    /// The place of a wait at what is waited for.
    pub(crate) place: u64,
    pub(crate) event: Event,
    pub(crate) more: More,
}

/// What the event does not say itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum More {
    Nothing,
    /// The number of the turn.
    Turn(u64),
    /// Where the task was spawned, and how many bytes its box has.
    Origin(&'static Location<'static>, usize),
    /// The task that was running.
    Task(TaskId),
    /// How long the loop may sleep.
    Limit(u64),
}

#[derive(Default)]
pub(crate) struct Observer {
    /// The number of the runtime, known from its first task.
    runtime: Option<u16>,
    /// A copy of the loop's clock, unless that is virtual. It works outside of the loop, too.
    clock: Option<Clock>,
    /// The time of the last event.
    now: u64,
    turns: u64,
}

impl Observer {
    /// The time of the last event.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Completes an event.
    #[inline]
    pub(crate) fn see(&mut self, event: Event, place: u64) -> Seen {
        let more = match event {
            Event::PollBegin { .. } | Event::Wake { .. } => More::Nothing,
            Event::WaitOn { .. } | Event::WaitDone { .. } => More::Nothing,
            Event::PollEnd { .. } => {
                self.read_clock();
                More::Nothing
            }
            event => self.complete(event),
        };
        Seen { at: self.now, place, event, more }
    }

    fn complete(&mut self, event: Event) -> More {
        if let (Event::Spawn { task, .. }, None) = (event, self.runtime) {
            self.watch(task.runtime());
        }
        let Some(context) = self.context() else { return More::Nothing };
        match event {
            // What is certain to come right after something else.
            Event::Done { .. } | Event::Unheard { .. } | Event::Park | Event::SourceReady { .. } => {}
            // Not events of a trace.
            Event::FirstWait { .. } | Event::Named { .. } | Event::SourceNamed { .. } | Event::Deadlock => {
                return More::Nothing;
            }
            _ => self.read_clock(),
        }
        match event {
            Event::Turn => {
                self.turns += 1;
                More::Turn(self.turns)
            }
            Event::Spawn { task, .. } => {
                let origin = context.executor.origin(task);
                origin.map_or(More::Nothing, |(place, size)| More::Origin(place, size))
            }
            Event::TimerSet { .. } => context.executor.running().map_or(More::Nothing, More::Task),
            Event::Park => self.limit(&context),
            _ => More::Nothing,
        }
    }

    /// Watches the loop that runs on this thread, whose number is this.
    pub(crate) fn watch(&mut self, runtime: u16) {
        self.runtime = Some(runtime);
        self.clock =
            self.context().filter(|context| !context.clock.is_virtual()).map(|found| found.clock.clone());
        self.read_clock();
    }

    /// How long the loop may sleep: not at all, if another sink has left something to be done, or has made a task ready. While
    /// it sleeps on virtual time, it waits for another thread, and no time passes.
    fn limit(&self, context: &Context) -> More {
        if context.executor.has_ready() || context.probe.afterwards.borrow().is_some() {
            return More::Limit(0);
        }
        let deadline = context.timers.next().filter(|_| !context.clock.is_virtual());
        deadline.map_or(More::Nothing, |deadline| More::Limit(deadline.saturating_sub(self.now)))
    }

    /// The loop that is watched, if it runs on this thread. Handles may be dropped outside of it, or inside another one.
    fn context(&self) -> Option<Rc<Context>> {
        context::current().filter(|context| Some(context.runtime) == self.runtime)
    }

    #[inline]
    pub(crate) fn read_clock(&mut self) {
        match &self.clock {
            Some(clock) => self.now = self.now.max(clock.now()),
            None => self.now = self.now.max(self.context().map_or(0, |context| context.clock.now())),
        }
    }
}
