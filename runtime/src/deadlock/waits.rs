//! Which task waits for what, at this moment.
//!
//! Facts. The probe tells when a wait begins and when it ends, with the holder at its beginning. A lock that is handed
//! over has another holder from then on. This is told all the time, and asked for nearly never.
//!
//! What follows. A table of waits, and of the waits of each task, with a reference to the place where the lock notes its
//! holder. So the holder is always that of the moment. To begin and to end a wait takes two looks each. Waits for deadlines
//! and for sources are not noted: the loop itself knows them.
//!
//! What it does not know: what a deadlock is.

use std::collections::{HashMap, HashSet};
use std::panic::Location;
use std::time::Duration;

use super::Wait;
use crate::core::context;
use crate::core::id::TaskId;
use crate::core::probe::{Event, Holder, Resource};
use crate::waits::{self, Numbered};

/// The waits of all tasks for other tasks and in lines.
#[derive(Default)]
pub(super) struct Waits {
    /// By what is waited for, and the place there.
    open: HashMap<Key, Noted, Numbered>,
    /// Which of them are of the task in each slot, in no order. A task may wait for thousands of others. When it has ended,
    /// something may still wait on its behalf, beside the next task in its slot.
    by_slot: Vec<Vec<Key>>,
}

/// A resource and a place there, as numbers.
type Key = (u8, u64, u64);

/// Room for more waits than this is not kept.
const FEW: usize = 16;

/// A wait.
pub(super) struct Noted {
    /// Which task waits, and where this wait stands among those of its slot.
    task: TaskId,
    index: usize,
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
    /// Tells which task has waited, if a wait has ended.
    #[inline]
    pub(super) fn apply(&mut self, event: Event, place: u64) -> Option<TaskId> {
        match event {
            // With other sinks, these are told as well. The end of a wait that has left word at a source is not.
            Event::WaitOn { on: Resource::Source(_) | Resource::Timer(_), .. } => {}
            Event::WaitOn { task: Some(task), on, holder } => self.begin(task, on, place, holder),
            Event::WaitDone { on, .. } => return self.end(key(on, place)),
            _ => {}
        }
        None
    }

    /// A wait begins or goes on, perhaps in another task than before.
    fn begin(&mut self, task: TaskId, on: Resource, place: u64, first: Option<TaskId>) {
        let key = key(on, place);
        match self.open.get(&key) {
            Some(noted) if noted.task == task => return,
            Some(_) => drop(self.end(key)),
            None => {}
        }
        let told = context::current().and_then(|context| context.probe.place.take());
        let (waits_at, made) = told.map_or((None, None), |(at, made)| (Some(at), made));
        let (name, made_at, holder) =
            made.map_or((None, None, None), |(name, at, holder)| (name, Some(at), holder));
        if self.by_slot.len() <= task.slot() {
            self.by_slot.resize_with(task.slot() + 1, Vec::new);
        }
        let keys = &mut self.by_slot[task.slot()];
        let noted = Noted { task, index: keys.len(), on, name, made_at, waits_at, first, holder };
        keys.push(key);
        self.open.insert(key, noted);
    }

    /// The wait ends, if it has begun.
    fn end(&mut self, key: Key) -> Option<TaskId> {
        let Noted { task, index, .. } = self.open.remove(&key)?;
        let keys = &mut self.by_slot[task.slot()];
        keys.swap_remove(index);
        // The last one has come to its place.
        if let Some(moved) = keys.get(index).and_then(|key| self.open.get_mut(key)) {
            moved.index = index;
        }
        if keys.is_empty() && keys.capacity() > FEW {
            *keys = Vec::new();
        }
        Some(task)
    }

    /// What a task waits for.
    pub(super) fn of(&self, task: TaskId) -> impl Iterator<Item = &Noted> {
        let keys = self.by_slot.get(task.slot()).into_iter().flatten();
        keys.filter_map(|key| self.open.get(key)).filter(move |noted| noted.task == task)
    }

    /// The tasks that hold the mutexes that this one waits for.
    pub(super) fn mutex_holders(&self, task: TaskId) -> impl Iterator<Item = TaskId> {
        self.of(task).filter_map(Noted::mutex_holder)
    }

    /// Whether it waits for mutexes, each of which a task holds, and for nothing else that is noted here.
    pub(super) fn are_for_mutexes(&self, task: TaskId) -> bool {
        self.of(task).next().is_some() && self.of(task).all(|wait| wait.mutex_holder().is_some())
    }

    /// The tasks that wait for something.
    pub(super) fn tasks(&self) -> HashSet<TaskId> {
        self.open.values().map(|noted| noted.task).collect()
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
            waits_at: self.waits_at.filter(|at| !is_ours(at)),
            holder: self.holder(),
            held_for: self.held_for(),
        }
    }
}

fn key(on: Resource, place: u64) -> Key {
    let (kind, number) = waits::key(on);
    (kind, number, place)
}

pub(super) fn is_mutex(on: Resource) -> bool {
    matches!(on, Resource::Line { what: "mutex", .. })
}

/// Whether this is a place in this crate: an `async fn` here awaits on behalf of the program.
fn is_ours(at: &Location<'_>) -> bool {
    let sources = file!().strip_suffix("deadlock/waits.rs").unwrap_or_default();
    !sources.is_empty() && at.file().starts_with(sources) && !at.file().contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_the_loop_knows_is_not_noted_and_one_in_a_line_until_it_ends() {
        let (mut waits, task) = (Waits::default(), TaskId::new(0, 1, 3));
        let (source, line) = (Resource::Source(1), Resource::Line { what: "mutex", number: 2 });
        for on in [source, Resource::Timer(5), line] {
            waits.apply(Event::WaitOn { task: Some(task), on, holder: None }, 0);
        }
        assert_eq!((waits.open.len(), waits.of(task).count()), (1, 1));
        assert_eq!(waits.apply(Event::WaitDone { task: None, on: line }, 0), Some(task));
        assert_eq!((waits.open.len(), waits.of(task).count()), (0, 0));
    }
}
