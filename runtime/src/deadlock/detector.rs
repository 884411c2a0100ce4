//! When to look for a deadlock, and what to do about it.
//!
//! Facts. A circle can close only when a wait begins. The loop can be blocked as a whole only when it is about to sleep.
//! To look at all tasks takes time, and most loops never have a deadlock.
//!
//! What follows. A wait that begins is followed from holder to holder: a few steps, because nearly all holders wait for
//! nothing. If that leads back, there may be a circle, and only then all tasks that wait are looked at, in the next turn,
//! when the tasks that were woken meanwhile are known. If it is not certain yet, the next look comes later, and then later
//! still. Before a sleep, a few counts tell that something may end it.
//!
//! Contract. The program is told when the watcher is back in its place and nothing is borrowed, so what it does then is
//! seen like all else. If it makes a task ready, its `block_on` goes on.
//!
//! What it does not know: how tasks wait.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::waits::{Noted, Task, Waits};
use super::{Blocked, Deadlock};
use crate::core::context::{self, Context};
use crate::core::id::TaskId;
use crate::core::inbox::Inbox;
use crate::core::panics::{self, Payload, contain};
use crate::core::probe::{Event, Resource};
use crate::core::waker::count_clones;
use crate::task;
use crate::waits::Sink;
use crate::warnings::say;

/// Is called with each deadlock.
pub(crate) type Callback = Box<dyn FnMut(&Deadlock)>;

/// The report with which a `block_on` ends.
pub(crate) struct Stop(pub(crate) String);

/// More tasks than honest programs have in a circle. Farther than this, no way is followed.
const MOST_STEPS: usize = 256;
/// The longest time between two looks at a circle that is not certain, in turns.
const LONGEST_PAUSE: u32 = 4096;
/// The inbox of a loop that no other thread can reach belongs to the loop and to the table of all inboxes.
const OWN_REFERENCES: usize = 2;
/// How often, and how long each time, a loop waits for another thread to drop its reference to the inbox.
const MOST_PAUSES: usize = 100;
const PAUSE: Duration = Duration::from_micros(50);

#[derive(Default)]
pub(crate) struct Detector {
    waits: Waits,
    /// How many turns until the next look at what may be a circle; `None` if there is none.
    look_in: Option<u32>,
    /// How long the last pause between two looks was.
    pause: u32,
    /// The tasks of the deadlocks that were reported.
    reported: HashSet<TaskId>,
    /// Whether a `block_on` ends when its future waits for ever.
    stops: bool,
    /// Whether the report goes to standard error.
    prints: bool,
    callback: Rc<Cell<Option<Callback>>>,
    /// How many references to the inbox there were when waiting for their end was of no use.
    lasting: usize,
}

impl Detector {
    pub(crate) fn new(stops: bool, prints: bool, callback: Option<Callback>) -> Detector {
        Detector { stops, prints, callback: Rc::new(Cell::new(callback)), ..Detector::default() }
    }

    pub(crate) fn sink(mut self) -> Sink {
        Box::new(move |event, place| {
            self.see(*event, place);
            true
        })
    }

    fn see(&mut self, event: Event, place: u64) {
        self.waits.apply(event, place);
        match event {
            Event::WaitOn { task: Some(task), on, .. } if self.leads_back(task, on, place) => {
                (self.look_in, self.pause) = (Some(0), 1);
            }
            Event::Turn if self.look_in.is_some() => self.look_for_circle(),
            Event::Park => self.look_at_all(),
            _ => {}
        }
    }

    /// Whether the way from this wait, from holder to holder, leads back to the task that has begun it.
    fn leads_back(&self, start: TaskId, on: Resource, place: u64) -> bool {
        let new = self.waits.of(start).and_then(|task| task.wait(on, place));
        let mut path: Vec<TaskId> = new.and_then(Noted::only_holder).into_iter().collect();
        let mut step = 0;
        while let Some(id) = path.get(step) {
            if *id == start {
                return true;
            }
            for holder in self.waits.of(*id).into_iter().flat_map(only_holders) {
                if path.len() < MOST_STEPS && !path.contains(&holder) {
                    path.push(holder);
                }
            }
            step += 1;
        }
        false
    }

    fn look_for_circle(&mut self) {
        if let Some(turns @ 1..) = self.look_in {
            self.look_in = Some(turns - 1);
            return;
        }
        let Some(context) = context::current().filter(|context| !context.ending.get()) else { return };
        let blocked = self.blocked_for_certain(&context);
        if blocked.is_empty() {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            self.look_in = Some(self.pause);
            return;
        }
        self.look_in = None;
        self.report(&context, blocked, false);
    }

    /// The tasks that can never go on, whatever the others do. Begins with all that may be among them, and takes out those
    /// that one outside of them could help, until none is left to take out.
    fn blocked_for_certain(&self, context: &Context) -> Vec<TaskId> {
        let may_be_blocked = |(id, task): &(TaskId, &Task)| {
            let is_known = task.waits().all(|wait| wait.only_holder().is_some());
            is_known && !task.is_queued && context.executor.lives(*id) && !is_kept(*id)
        };
        let tasks: Vec<_> = self.waits.tasks().filter(may_be_blocked).collect();
        let mut blocked: HashSet<TaskId> = tasks.iter().map(|(id, _)| *id).collect();
        loop {
            let before = blocked.len();
            for (id, task) in &tasks {
                let is_held = only_holders(task).all(|holder| blocked.contains(&holder));
                // Of a task that is awaited by one of them, no other task has the handle.
                let awaits = |(other, task): &(TaskId, &Task)| blocked.contains(other) && task.awaits(*id);
                let is_safe = !has_handle(context, *id) || tasks.iter().any(awaits);
                if !(is_held && is_safe) {
                    blocked.remove(id);
                }
            }
            if blocked.len() == before {
                break;
            }
        }
        let mut blocked: Vec<TaskId> = blocked.into_iter().collect();
        blocked.sort_by_key(|id| id.slot());
        blocked
    }

    /// The loop is about to sleep: if nothing could end that, all tasks are blocked.
    fn look_at_all(&mut self) {
        let Some(context) = context::current() else { return };
        let may_go_on = context.ending.get()
            || self.waits.any_for_sources()
            || context.timers.next().is_some()
            || context.executor.has_ready()
            || self.is_reached(&context.inbox);
        if may_go_on {
            return;
        }
        let tasks = context.executor.all();
        if !tasks.iter().any(|id| is_kept(*id)) {
            self.report(&context, tasks, true);
        }
    }

    /// Whether another thread holds a reference to the inbox, or has left mail. One that has just answered drops its
    /// reference some microseconds later, so a reference that was not there before gets a little time. The mail is looked at
    /// last, because a thread sends before it drops its reference.
    fn is_reached(&mut self, inbox: &Arc<Inbox>) -> bool {
        for _ in 0..MOST_PAUSES {
            match Arc::strong_count(inbox) {
                ..=OWN_REFERENCES => return !inbox.is_quiet(),
                count if count <= self.lasting => return true,
                _ => thread::sleep(PAUSE),
            }
        }
        self.lasting = Arc::strong_count(inbox);
        true
    }

    fn report(&mut self, context: &Context, blocked: Vec<TaskId>, is_whole: bool) {
        let is_new = blocked.iter().any(|id| !self.reported.contains(id));
        // The future of a `block_on` has no handle, and is not in its slot.
        let stops = self.stops && blocked.iter().any(|id| context.executor.origin(*id).is_none());
        if !is_new && !stops {
            return;
        }
        self.reported.retain(|id| context.executor.lives(*id));
        self.reported.extend(&blocked);
        let tasks = blocked.into_iter().map(|id| self.describe(id)).collect();
        let deadlock = Deadlock { tasks, is_whole };
        if self.prints && !stops {
            say(&deadlock);
        }
        let (callback, earlier) = (Rc::clone(&self.callback), context.probe.afterwards.take());
        context.probe.afterwards.set(Some(Box::new(move || {
            let earlier = earlier.and_then(|act| act());
            // The flight recorders first: what the program does about it is not what led to it.
            context::current().iter().for_each(|context| context.probe.emit(|| Event::Deadlock));
            let told = contain(|| tell(&callback, &deadlock)).err();
            let stop =
                || (stops && !is_anything_ready()).then(|| Box::new(Stop(deadlock.to_string())) as Payload);
            panics::first(earlier, told.or_else(stop))
        })));
    }

    fn describe(&self, id: TaskId) -> Blocked {
        let waits = self.waits.of(id).into_iter().flat_map(Task::waits);
        let waits = waits.map(|wait| wait.to_wait()).collect();
        Blocked { id, name: task::name(id), spawned_at: task::spawned_at(id), waits }
    }
}

/// Hands the deadlock to the program, with nothing borrowed.
fn tell(callback: &Cell<Option<Callback>>, deadlock: &Deadlock) {
    if let Some(mut told) = callback.take() {
        told(deadlock);
        callback.set(Some(told));
    }
}

/// Whether the program has woken a task when it was told.
fn is_anything_ready() -> bool {
    context::current().is_some_and(|context| context.executor.has_ready())
}

fn only_holders(task: &Task) -> impl Iterator<Item = TaskId> {
    task.waits().filter_map(Noted::only_holder)
}

/// Whether code outside of this crate keeps a waker of this task.
fn is_kept(id: TaskId) -> bool {
    count_clones(id.as_u64() as usize, 0) > 0
}

/// Whether the task could be cancelled by its handle. The future of a `block_on` has none.
fn has_handle(context: &Context, id: TaskId) -> bool {
    context.executor.origin(id).is_some() && !context.executor.is_detached(id)
}
