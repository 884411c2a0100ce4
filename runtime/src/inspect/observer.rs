//! The sink that writes the events of a loop into its table.
//!
//! Facts. An event has no time. To read the clock takes longer than all else that is done for an event. Names and places are in
//! the loop, and only its own thread can look them up.
//!
//! What follows. The clock is read where time may have passed and the moment matters: when the loop is back from the kernel or
//! begins another turn, when a poll ends, and when a task wakes another one. All other events have the time of the one
//! before. What else an event needs is looked up before the lock is taken.
//!
//! What it does not know: what the table is used for.

use std::sync::Arc;

use crate::core::clock::Nanos;
use crate::core::context;
use crate::core::id::TaskId;
use crate::core::probe::{Event, Resource};
use crate::inspect::door;
use crate::inspect::pages::Origin;
use crate::inspect::seen::Seen;
use crate::task;

/// Keeps the table up to date. It needs no balanced waits.
pub(crate) struct Observer {
    seen: Arc<Seen>,
    /// The time of the last event.
    now: Nanos,
    /// Set when the clock was read because the loop is back from the kernel; cleared when the next turn begins.
    is_back: bool,
}

impl Observer {
    pub(crate) fn new(seen: &Arc<Seen>) -> Observer {
        Observer { seen: Arc::clone(seen), now: 0, is_back: false }
    }

    #[inline]
    pub(crate) fn see(&mut self, event: &Event, place: u64) {
        match *event {
            Event::PollBegin { task } => self.seen.table().poll_begins(task, self.now),
            Event::PollEnd { task, .. } => {
                self.now = self.seen.now();
                self.seen.table().poll_ends(task, self.now);
            }
            Event::Wake { task, by } => {
                if by.is_some() {
                    self.now = self.seen.now();
                }
                self.seen.table().wake(task, by, self.now);
            }
            Event::WaitOn { task: Some(task), on, holder } => {
                self.seen.table().wait(task, on, place, holder, self.now);
            }
            Event::WaitDone { task, on } => self.stop_waiting(task, on, place),
            _ => self.see_more(event),
        }
    }

    fn stop_waiting(&self, task: Option<TaskId>, on: Resource, place: u64) {
        let is_found = self.seen.table().stop_waiting(task, on, place);
        if !is_found && task.is_none() {
            self.look_closer(on, place);
        }
    }

    /// Between polls, a wait may end because its task is being dropped.
    #[cold]
    fn look_closer(&self, on: Resource, place: u64) {
        let dropped = context::current().and_then(|context| context.executor.running());
        let mut table = self.seen.table();
        let is_found = dropped.is_some() && table.stop_waiting(dropped, on, place);
        // Most handles are dropped without having been awaited. If one was, the row of its task says by which task.
        if !is_found && !matches!(on, Resource::Task(_)) {
            table.stray(on, place, self.now);
        }
    }

    fn see_more(&mut self, event: &Event) {
        self.read_clock(event);
        match *event {
            Event::Spawn { task, by } => {
                let origin = origin(task);
                self.seen.table().spawn(task, by, origin, self.now);
            }
            Event::Named { task } => {
                let name = task::name(task);
                self.seen.table().name(task, name);
            }
            Event::Closed => door::close(&self.seen),
            _ => self.seen.table().see(event, self.now),
        }
    }

    fn read_clock(&mut self, event: &Event) {
        let is_back = match event {
            Event::Unpark => true,
            // The clock was read a moment ago.
            Event::Turn if self.is_back => return self.is_back = false,
            Event::Turn | Event::Spawn { .. } | Event::Park => self.is_back,
            _ => return,
        };
        self.is_back = is_back;
        self.now = self.seen.now();
    }
}

/// The sink may be dropped without having heard of the end: when it has panicked.
impl Drop for Observer {
    fn drop(&mut self) {
        door::close(&self.seen);
    }
}

/// Where a new task was spawned.
fn origin(task: TaskId) -> Origin {
    context::current().filter(|context| context.runtime == task.runtime())?.executor.origin(task)
}
