//! All tasks of a loop at one moment, and what they wait for.
//!
//! Facts. A loop that is not watched knows which tasks it has, which of them are queued, and which wakers its timers, sources and
//! handles keep. These wakers are numbers of tasks. It does not know what waits at a lock or in a channel, because those are
//! not parts of the loop.
//!
//! What follows. In a watched loop, a dump is a copy of the table. In any other loop, it is put together from the parts of the
//! loop, and a wait at a lock is missing.
//!
//! Contract. A dump is a copy. It calls no foreign code while something of the loop is borrowed: wakers are only looked at.
//!
//! What it does not know: sockets, JSON.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::task::Waker;
use std::time::Duration;

use crate::core::clock::Nanos;
use crate::core::context::Context;
use crate::core::id::TaskId;
use crate::core::probe::Resource;
use crate::core::reactor::Direction;
use crate::core::slots::QUEUED;
use crate::core::waker;
use crate::inspect::loops;
use crate::inspect::seen::Seen;
use crate::inspect::task::{Count, Span, Task, TaskState, Wait};

/// All tasks of a loop at one moment. It is displayed as text, a line for each task; `{:.20}` shows the first twenty tasks.
///
/// ```
/// use std::rc::Rc;
/// use roundel::sync::Mutex;
///
/// let runtime = roundel::Runtime::builder().metrics(true).build().unwrap();
/// runtime.block_on(async {
///     let (left, right) = (Rc::new(Mutex::new(())), Rc::new(Mutex::new(())));
///     for (first, second) in [(&left, &right), (&right, &left)] {
///         let (first, second) = (first.clone(), second.clone());
///         roundel::spawn(async move {
///             let _first = first.lock().await;
///             roundel::yield_now().await;
///             let _second = second.lock().await;
///         })
///         .detach();
///     }
///     roundel::testing::settle().await;
///     let dump = roundel::dump();
///     assert_eq!(dump.tasks().len(), 3);
///     // Each of the two waits for what the other one has.
///     assert_eq!(dump.cycles()[0].len(), 2);
///     println!("{dump}");
/// });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Dump {
    tasks: Vec<Task>,
    timers: usize,
    /// How long it is until the next deadline.
    next: Option<Duration>,
    sources: usize,
    is_watched: bool,
}

impl Dump {
    pub(crate) fn of(context: &Context) -> Dump {
        let seen = loops::find(context.runtime);
        let now = context.clock.now();
        let next = context.timers.next().map(|next| Duration::from_nanos(next.saturating_sub(now)));
        Dump {
            tasks: seen.as_ref().map_or_else(|| put_together(context), |seen| copy(seen, now)),
            timers: context.timers.pending().iter().count(),
            next,
            sources: context.reactor.sources().len(),
            is_watched: seen.is_some(),
        }
    }

    /// The tasks that have not ended, in the order of their slots.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// What the tasks wait for.
    pub fn waits(&self) -> impl Iterator<Item = (&Task, &Wait)> {
        self.tasks.iter().flat_map(|task| task.waits.iter().map(move |wait| (task, wait)))
    }

    /// The tasks that wait for each other in a circle: each for the next one, and the last for the first.
    ///
    /// A task that waits for several things at once is in no circle, because one of them may come.
    #[must_use]
    pub fn cycles(&self) -> Vec<Vec<TaskId>> {
        let next: HashMap<TaskId, TaskId> =
            self.tasks.iter().filter_map(|task| Some((task.id, only_holder(task)?))).collect();
        let (mut cycles, mut seen) = (Vec::new(), HashSet::new());
        for start in self.tasks.iter().map(|task| task.id).filter(|id| next.contains_key(id)) {
            // Follow the waits until they end, or come to a task that was seen before.
            let mut way = Vec::new();
            let mut at = Some(start);
            while let Some(task) = at.filter(|task| seen.insert(*task)) {
                way.push(task);
                at = next.get(&task).copied();
            }
            // If that is a task of this way, a circle begins there.
            let begin = way.iter().position(|task| Some(*task) == at);
            cycles.extend(begin.map(|begin| way.split_off(begin)));
        }
        cycles
    }
}

/// The task that holds the one thing that this task waits for.
fn only_holder(task: &Task) -> Option<TaskId> {
    match (&task.waits[..], task.state) {
        ([wait], TaskState::Waiting | TaskState::Cleanup) if !task.has_more_waits => wait.holder,
        _ => None,
    }
}

/// Copies the table of a watched loop.
fn copy(seen: &Seen, clock: Nanos) -> Vec<Task> {
    let (now, table) = (seen.now(), seen.table());
    (0..).map_while(|page| table.page(page, now, Some(clock))).flatten().collect()
}

/// Puts the tasks together from what the loop itself knows. There may be 100,000 of them, each with one wait.
fn put_together(context: &Context) -> Vec<Task> {
    let running = context.executor.running();
    let (mut tasks, mut joins) = (BySlot::default(), Vec::new());
    let all = context.executor.all();
    let mut slots = context.executor.slots();
    for id in all {
        let slot = slots.get(id);
        let state = match slot.mark.has(QUEUED) {
            _ if running == Some(id) => TaskState::Running,
            true => TaskState::Ready,
            false => TaskState::Waiting,
        };
        let (name, spawned_at, waits) = (None, None, Vec::new());
        tasks.add(Task { id, name, state, spawned_at, waits, has_more_waits: false, life: None });
        joins.extend(slot.waiter.map(|waiter| (waiter, Wait::on(Resource::Task(id)))));
    }
    drop(slots);
    for task in &mut tasks.tasks {
        task.name = context.executor.extras.get(task.id, |extra| extra.name.clone());
        task.spawned_at = context.executor.origin(task.id).map(|(place, _)| place);
    }
    for (id, wait) in joins.into_iter().chain(deadlines(context)).chain(reports(context)) {
        let Some(task) = tasks.get_mut(id) else { continue };
        // Nearly all tasks have one wait, and a list makes room for four.
        if task.waits.is_empty() {
            task.waits.reserve_exact(1);
        }
        task.waits.push(wait);
    }
    tasks.tasks
}

/// Tasks in the order of their slots, each found in one step.
#[derive(Default)]
struct BySlot {
    tasks: Vec<Task>,
    /// The place of each slot's task; `NONE` for a slot without one.
    places: Vec<u32>,
}

/// No place.
const NONE: u32 = u32::MAX;

impl BySlot {
    /// Adds a task. Its slot is higher than those of the others.
    fn add(&mut self, task: Task) {
        self.places.resize(task.id.slot(), NONE);
        self.places.push(self.tasks.len() as u32);
        self.tasks.push(task);
    }

    fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        let place = *self.places.get(id.slot())?;
        self.tasks.get_mut(place as usize).filter(|task| task.id == id)
    }
}

/// The tasks that wait for deadlines.
fn deadlines(context: &Context) -> Vec<(TaskId, Wait)> {
    let (pending, now) = (context.timers.pending(), context.clock.now());
    let wait = |(key, waker): (&crate::core::timers::Key, &Waker)| {
        Some((waker::number(waker)?, Wait::until(key.serial, Some(key.deadline), Some(now))))
    };
    pending.iter().filter_map(wait).collect()
}

/// The tasks that wait for sources.
fn reports(context: &Context) -> Vec<(TaskId, Wait)> {
    let (sources, mut found) = (context.reactor.sources(), Vec::new());
    for (_, source) in sources.iter() {
        for direction in [Direction::Read, Direction::Write] {
            for id in source.waiters(direction).borrow().iter().filter_map(|(_, waker)| waker::number(waker))
            {
                let wait = Wait::on(Resource::Source(source.number()));
                found.push((id, Wait { direction: Some(direction), ..wait }));
            }
        }
    }
    found
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tasks.is_empty() {
            return f.write_str("no loop runs on this thread");
        }
        let (tasks, timers) = (Count(self.tasks.len(), "task"), Count(self.timers, "timer"));
        write!(f, "{tasks}, {}, {timers}", Count(self.sources, "source"))?;
        self.next.map_or(Ok(()), |next| write!(f, ", the next one in {}", Span(next)))?;
        let most = f.precision().unwrap_or(usize::MAX);
        for task in self.tasks.iter().take(most) {
            f.write_str("\n  ")?;
            self.show(f, task)?;
        }
        if self.tasks.len() > most {
            write!(f, "\n  … and {} more", self.tasks.len() - most)?;
        }
        for cycle in self.cycles() {
            let names: Vec<String> = cycle.iter().chain(cycle.first()).map(TaskId::to_string).collect();
            write!(f, "\nin a circle: {}", names.join(" waits for "))?;
        }
        if !self.is_watched {
            f.write_str("\n(Waits for locks and channels are known with `Builder::metrics(true)`, or ROUNDEL_INSPECT=1.)")?;
        }
        Ok(())
    }
}

/// How many waits of a task are shown in its line.
const MOST_SHOWN: usize = 4;

impl Dump {
    /// A task in one line.
    fn show(&self, f: &mut fmt::Formatter<'_>, task: &Task) -> fmt::Result {
        write!(f, "{task}: {}", task.state)?;
        if matches!(task.state, TaskState::Waiting | TaskState::Cleanup) {
            for (index, wait) in task.waits.iter().take(MOST_SHOWN).enumerate() {
                write!(f, "{}{wait}", if index == 0 { " for " } else { " or " })?;
                let is_lock = matches!(wait.on, Resource::Line { .. });
                wait.holder.filter(|_| is_lock).map_or(Ok(()), |holder| write!(f, ", held by {holder}"))?;
            }
            if task.has_more_waits || task.waits.len() > MOST_SHOWN {
                f.write_str(" or more")?;
            }
        }
        let Some(life) = &task.life else { return Ok(()) };
        let polls = Count(usize::try_from(life.polls).unwrap_or(usize::MAX), "poll");
        write!(f, "; {polls}, busy {}, {} old", Span(life.busy), Span(life.age))
    }
}
