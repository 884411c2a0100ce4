//! When to look for a deadlock, and what to do about it.
//!
//! Facts. A circle closes when a wait begins, or when a lock is handed to a task that waits for another one. The loop can be
//! blocked as a whole only when it is about to sleep. To look at all tasks takes time, and most loops never have a deadlock.
//!
//! What follows. A wait that begins is followed from holder to holder: a few steps, because nearly all holders wait for
//! nothing. A task to which that leads back is a *suspect*. It is looked at in the next turn, when the tasks that were woken
//! meanwhile are known, and before a sleep. If it is not certain yet, the next look comes later, and then later still. A
//! look follows the way again, and asks of each task on it whether anything but the locks could let it go on. Before a
//! sleep, a few counts tell that something may end it.
//!
//! A thread that wakes a task puts its mail in, and only then drops its waker. So the inbox is asked after the wakers.
//!
//! Contract. The program is told in step 4 of a turn, when the watcher is back in its place and nothing is borrowed, so what it
//! does then is seen like all else. If it makes a task ready that was blocked, its `block_on` goes on.
//!
//! What it does not know: how tasks wait.

use std::cell::Cell;
use std::collections::{BTreeSet, HashSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::waits::{Noted, Waits, is_mutex};
use super::way::{Way, add_all_that_wait};
use super::{Blocked, Deadlock};
use crate::core::context::{self, Context};
use crate::core::id::TaskId;
use crate::core::inbox::Inbox;
use crate::core::panics::{self, Payload, contain};
use crate::core::probe::Event;
use crate::core::reactor::{Direction, Registration};
use crate::core::waker::count_clones;
use crate::task;
use crate::waits::{self, is_doubted};
use crate::warnings::say;

/// Is called with each deadlock.
pub(crate) type Callback = Box<dyn FnMut(&Deadlock)>;

/// The report with which a `block_on` ends.
pub(crate) struct Stop(pub(crate) String);

/// One look follows at most this many ways. The next look goes on with the others.
const MOST_WAYS: usize = 64;
/// The longest time between two looks at suspects, in turns.
const LONGEST_PAUSE: u32 = 4096;
/// The inbox of a loop that no other thread can reach belongs to the loop and to the table of all inboxes.
const OWN_REFERENCES: usize = 2;
/// How often, and how long each time, a loop waits for another thread to drop its reference to the inbox.
const MOST_SLEEPS: u32 = 25;
/// The same on virtual time, where a test must not hang.
const MOST_VIRTUAL_SLEEPS: u32 = 200;
const SHORTEST_SLEEP: Duration = Duration::from_micros(50);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

#[derive(Default)]
pub(crate) struct Detector {
    waits: Waits,
    /// The tasks that waited for sources when suspects were looked at.
    at_sources: HashSet<TaskId>,
    /// Tasks from which the way from holder to holder may lead back to them.
    suspects: BTreeSet<TaskId>,
    /// The suspect at which the last look has stopped; `None` if it was the last one.
    looked_at: Option<TaskId>,
    /// How many turns until the next look at the suspects.
    look_in: u32,
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

    #[inline]
    pub(crate) fn see(&mut self, event: Event, place: u64) {
        let has_waited = self.waits.apply(event, place);
        match event {
            Event::WaitOn { task: Some(task), on, .. } if is_mutex(on) => {
                let way = Way::from(task, &self.waits);
                if way.leads_back || self.stops && !way.is_open {
                    self.suspect(task);
                }
            }
            // The task has the lock now. If it waits for another one, the circle may be closed.
            Event::WaitDone { on, .. } if is_mutex(on) => {
                has_waited
                    .filter(|task| self.waits_for_mutex(*task))
                    .into_iter()
                    .for_each(|task| self.suspect(task));
            }
            Event::Turn if self.look_in > 0 => self.look_in -= 1,
            Event::Turn => self.look_at_suspects(),
            Event::Park if !self.look_at_all() => self.look_at_suspects(),
            _ => {}
        }
    }

    fn suspect(&mut self, task: TaskId) {
        self.suspects.insert(task);
        (self.look_in, self.pause) = (0, 1);
    }

    fn waits_for_mutex(&self, task: TaskId) -> bool {
        self.waits.mutex_holders(task).next().is_some()
    }

    /// Looks at some of the suspects, reports those that can never go on, and comes back to the others later.
    fn look_at_suspects(&mut self) {
        if self.suspects.is_empty() {
            return;
        }
        let Some(context) = context::current().filter(|context| !context.ending.get()) else { return };
        self.at_sources = waits::at_sources(&context);
        let mut certain = Vec::new();
        for suspect in self.next_suspects() {
            let way = self.way_of(suspect, &context);
            let is_stuck = |id: &TaskId| self.is_stuck(*id, &context);
            certain.extend(way.filter(|way| !way.is_open && way.tasks.iter().all(is_stuck)));
        }
        if !certain.is_empty() {
            self.report_circles(certain, &context);
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.look_in = self.pause;
    }

    /// The suspects after the last one that was looked at.
    fn next_suspects(&mut self) -> Vec<TaskId> {
        let from = self.looked_at.map_or(Unbounded, Excluded);
        let next: Vec<_> = self.suspects.range((from, Unbounded)).take(MOST_WAYS).copied().collect();
        self.looked_at = next.last().filter(|_| next.len() == MOST_WAYS).copied();
        next
    }

    /// The way of a suspect. If that does not lead back any more, the task is no suspect any more. (On virtual time, it is
    /// enough that the way of a main future leads nowhere else.)
    fn way_of(&mut self, suspect: TaskId, context: &Context) -> Option<Way> {
        let way = Way::from(suspect, &self.waits);
        let ends_block_on = self.stops && !way.is_open && is_root(suspect, context);
        if way.leads_back || ends_block_on {
            return Some(way);
        }
        self.suspects.remove(&suspect);
        None
    }

    /// Whether nothing but mutexes that tasks hold could let this task go on. Certain only if no mail is in the inbox
    /// afterwards. A task that waits for a deadline is not stuck: the timers keep a clone of its waker.
    fn is_stuck(&self, id: TaskId, context: &Context) -> bool {
        self.waits.are_for_mutexes(id)
            && !self.at_sources.contains(&id)
            && context.executor.is_left_alone(id)
            && !is_doubted(id)
            && !is_kept(id)
    }

    /// Reports the tasks on these ways, and those that wait for them, unless mail has come. They are suspects no more, but if
    /// the `block_on` is to end by the report, that is tried again until it has ended.
    fn report_circles(&mut self, ways: Vec<Way>, context: &Context) {
        let suspects: Vec<TaskId> = ways.iter().map(|way| way.tasks[0]).collect();
        let mut blocked: HashSet<TaskId> = ways.into_iter().flat_map(|way| way.tasks).collect();
        add_all_that_wait(&mut blocked, &self.waits, |id| self.is_stuck(id, context));
        // The inbox comes after the wakers.
        if !context.inbox.is_quiet() {
            return;
        }
        let mut blocked: Vec<TaskId> = blocked.into_iter().collect();
        blocked.sort_by_key(|id| id.slot());
        if !self.report(context, blocked, false) {
            suspects.iter().for_each(|suspect| _ = self.suspects.remove(suspect));
        }
    }

    /// The loop is about to sleep: if nothing could end that, all tasks are blocked. Returns whether they are.
    fn look_at_all(&mut self) -> bool {
        let Some(context) = context::current() else { return false };
        let may_go_on = context.ending.get()
            || context.timers.next().is_some()
            || context.executor.has_ready()
            || waits_for_source(&context)
            || self.is_reached(&context.inbox);
        if may_go_on {
            return false;
        }
        let tasks = task::all();
        // The inbox comes after the wakers.
        let is_blocked = !tasks.iter().any(|id| is_kept(*id)) && context.inbox.is_quiet();
        if is_blocked {
            self.report(&context, tasks, true);
        }
        is_blocked
    }

    /// Whether another thread holds a reference to the inbox. One that has just answered drops its reference some
    /// microseconds later, or much later on a machine that is busy. So a reference that was not there before gets that time,
    /// unless mail has come.
    fn is_reached(&mut self, inbox: &Arc<Inbox>) -> bool {
        self.lasting = self.lasting.min(Arc::strong_count(inbox));
        for sleep in 1..=if self.stops { MOST_VIRTUAL_SLEEPS } else { MOST_SLEEPS } {
            match Arc::strong_count(inbox) {
                ..=OWN_REFERENCES => return false,
                count if count <= self.lasting || !inbox.is_quiet() => return true,
                _ => thread::sleep((SHORTEST_SLEEP * sleep).min(LONGEST_SLEEP)),
            }
        }
        self.lasting = Arc::strong_count(inbox);
        true
    }

    /// Leaves the report to be made. Returns whether the `block_on` is to end by it.
    fn report(&mut self, context: &Context, blocked: Vec<TaskId>, is_whole: bool) -> bool {
        let is_new = blocked.iter().any(|id| !self.reported.contains(id));
        let stops = self.stops && blocked.iter().any(|id| is_root(*id, context));
        if !is_new && !stops {
            return false;
        }
        self.reported.retain(|id| context.executor.lives(*id));
        self.reported.extend(&blocked);
        let tasks = blocked.iter().map(|id| self.describe(*id)).collect();
        let deadlock = Deadlock { tasks, is_whole };
        if self.prints && !stops {
            say(&deadlock);
        }
        // A circle is told once, also if its `block_on` went on because of mail.
        let callback = (is_new || is_whole).then(|| Rc::clone(&self.callback));
        let earlier = context.probe.afterwards.take();
        *context.probe.afterwards.borrow_mut() = Some(Box::new(move || {
            let earlier = earlier.and_then(|act| act());
            // The flight recorders first: what the program does about it is not what led to it.
            context::current().iter().for_each(|context| context.probe.emit(|| Event::Deadlock));
            let told = contain(|| callback.iter().for_each(|callback| tell(callback, &deadlock))).err();
            let ends = stops && !may_go_on(&blocked, is_whole);
            let stop = || ends.then(|| Box::new(Stop(deadlock.to_string())) as Payload);
            panics::first(earlier, told.or_else(stop))
        }));
        stops
    }

    fn describe(&self, id: TaskId) -> Blocked {
        let mut waits: Vec<_> = self.waits.of(id).map(Noted::to_wait).collect();
        waits.sort_by_key(|wait| wait.on);
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

/// Whether a task can go on, because the program has woken it when it was told of the deadlock, or because mail has come.
fn may_go_on(blocked: &[TaskId], is_whole: bool) -> bool {
    let Some(context) = context::current() else { return true };
    let is_ready = match is_whole {
        true => context.executor.has_ready(),
        false => !blocked.iter().all(|id| context.executor.is_left_alone(*id)),
    };
    is_ready || !context.inbox.is_quiet()
}

/// Whether code outside of this crate keeps a waker of this task.
fn is_kept(id: TaskId) -> bool {
    count_clones(id.as_u64() as usize, 0) > 0
}

/// Whether a task waits for a source, or code that is none of a task's.
fn waits_for_source(context: &Context) -> bool {
    let waits = |(_, source): (usize, &Rc<Registration>)| {
        let all = [Direction::Read, Direction::Write].map(|direction| source.waiters(direction).borrow());
        all.iter().flat_map(|waiters| waiters.iter()).any(|(_, waker)| !task::is_gone(waker))
    };
    context.reactor.sources().iter().any(waits)
}

/// Whether it is the future of a `block_on`, which is not in its slot.
fn is_root(id: TaskId, context: &Context) -> bool {
    context.executor.lives(id) && context.executor.origin(id).is_none()
}
