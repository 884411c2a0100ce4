//! Which task waits for what, at this moment.
//!
//! Facts. The probe tells when a wait begins and when it ends, with the holder at its beginning. A lock that is handed
//! over has another holder from then on.
//!
//! What follows. A table of the waits of each task, with a reference to the place where the lock notes its holder. So the
//! holder is always that of the moment.
//!
//! What it does not know: what a deadlock is.

use std::collections::{BTreeMap, HashMap};
use std::panic::Location;
use std::time::Duration;

use super::Wait;
use crate::core::context;
use crate::core::id::TaskId;
use crate::core::probe::{Event, Holder, Resource};

/// The waits of all tasks.
#[derive(Default)]
pub(super) struct Waits {
    tasks: HashMap<TaskId, Task>,
    /// How many waits for sources there are.
    sources: usize,
}

/// What is known of a task that has waited for something.
#[derive(Default)]
pub(super) struct Task {
    /// By what is waited for, and the place there. A task may wait for thousands of others.
    waits: BTreeMap<(Resource, u64), Noted>,
    /// Set when it has ended while something still waits on its behalf. It is forgotten with the last wait.
    is_over: bool,
}

impl Task {
    pub(super) fn waits(&self) -> impl Iterator<Item = &Noted> {
        self.waits.values()
    }

    /// The tasks that hold the mutexes that this one waits for.
    pub(super) fn mutex_holders(&self) -> impl Iterator<Item = TaskId> {
        self.waits().filter_map(Noted::mutex_holder)
    }

    /// Whether it waits for nothing but mutexes, each of which a task holds.
    pub(super) fn waits_for_mutexes(&self) -> bool {
        self.waits().all(|wait| wait.mutex_holder().is_some())
    }
}

/// A wait.
pub(super) struct Noted {
    on: Resource,
    name: Option<&'static str>,
    made_at: Option<&'static Location<'static>>,
    waits_at: Option<&'static Location<'static>>,
    /// The holder when the wait began.
    first: Option<TaskId>,
    /// Where the lock notes its holder.
    holder: Option<Holder>,
}

impl Waits {
    pub(super) fn apply(&mut self, event: Event, place: u64) {
        match event {
            Event::WaitOn { task, on, holder } => self.begin(task, on, place, holder),
            Event::WaitDone { task, on } => self.end(task, on, place),
            Event::Done { task, .. } => {
                self.tasks.entry(task).or_default().is_over = true;
                self.forget_if_over(task);
            }
            _ => {}
        }
    }

    fn begin(&mut self, task: Option<TaskId>, on: Resource, place: u64, first: Option<TaskId>) {
        self.sources += usize::from(matches!(on, Resource::Source(_)));
        let Some(task) = task else { return };
        let told = context::current().and_then(|context| context.probe.place.take());
        let (waits_at, made) = told.map_or((None, None), |(at, made)| (Some(at), made));
        let (name, made_at, holder) =
            made.map_or((None, None, None), |(name, at, holder)| (name, Some(at), holder));
        let waits_at = waits_at.filter(|at| !is_ours(at));
        let noted = Noted { on, name, made_at, waits_at, first, holder };
        self.tasks.entry(task).or_default().waits.insert((on, place), noted);
    }

    fn end(&mut self, task: Option<TaskId>, on: Resource, place: u64) {
        self.sources -= usize::from(matches!(on, Resource::Source(_))).min(self.sources);
        let Some(task) = task else { return };
        if let Some(found) = self.tasks.get_mut(&task) {
            found.waits.remove(&(on, place));
            self.forget_if_over(task);
        }
    }

    fn forget_if_over(&mut self, task: TaskId) {
        if self.of(task).is_some_and(|task| task.is_over && task.waits.is_empty()) {
            self.tasks.remove(&task);
        }
    }

    /// Whether any task waits for a source.
    pub(super) fn any_for_sources(&self) -> bool {
        self.sources > 0
    }

    pub(super) fn of(&self, task: TaskId) -> Option<&Task> {
        self.tasks.get(&task)
    }

    /// The tasks that wait for something.
    pub(super) fn tasks(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.tasks.iter().filter(|(_, task)| !task.waits.is_empty()).map(|(id, task)| (*id, task))
    }
}

impl Noted {
    /// The task that has it at this moment, as far as is known.
    pub(super) fn holder(&self) -> Option<TaskId> {
        self.holder.as_ref().map_or(self.first, |holder| holder.get().map(|(task, _)| task))
    }

    /// The task that holds the mutex. `None` if this is no mutex, or if it is on its way to the next task.
    pub(super) fn mutex_holder(&self) -> Option<TaskId> {
        if is_mutex(self.on) { self.holder() } else { None }
    }

    /// How long a mutex has been held.
    fn held_for(&self) -> Option<Duration> {
        let (task, since) = self.holder.as_ref().filter(|_| is_mutex(self.on))?.get()?;
        let context = context::current().filter(|context| context.runtime == task.runtime())?;
        Some(Duration::from_nanos(context.clock.now().saturating_sub(since)))
    }

    pub(super) fn to_wait(&self) -> Wait {
        Wait {
            on: self.on,
            name: self.name,
            made_at: self.made_at,
            waits_at: self.waits_at,
            holder: self.holder(),
            held_for: self.held_for(),
        }
    }
}

pub(super) fn is_mutex(on: Resource) -> bool {
    matches!(on, Resource::Line { what: "mutex", .. })
}

/// Whether this is a place in this crate: an `async fn` here awaits on behalf of the program.
fn is_ours(at: &Location<'_>) -> bool {
    let sources = file!().strip_suffix("deadlock/waits.rs").unwrap_or_default();
    !sources.is_empty() && at.file().starts_with(sources) && !at.file().contains("/tests/")
}
