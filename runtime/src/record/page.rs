//! A page of events, as small as they can be kept.
//!
//! Facts. Three kinds of events make up most of a trace: a poll begins, a task is woken, a poll ends. The journal writes each
//! in two words. All other events are seven times as large.
//!
//! What follows. A page is entries like those of the journal. An event of another kind stands in a list beside them, and its
//! entry is its place there.
//!
//! What it does not know: what the events mean.

use crate::core::id::TaskId;
use crate::core::journal::{Entry, Kind};
use crate::core::probe::Event;
use crate::record::observer::{More, Seen};

#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    entries: Vec<Entry>,
    others: Vec<Seen>,
}

/// What an entry leaves out, because it follows from those before it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Thread {
    /// The number of the runtime.
    pub(crate) runtime: u16,
    pub(crate) running: Option<TaskId>,
}

impl Thread {
    /// Follows an event that is told as a whole.
    #[inline]
    pub(crate) fn follow(&mut self, event: Event) {
        match event {
            Event::PollBegin { task } => {
                (self.runtime, self.running) = (task.runtime(), Some(task));
            }
            Event::PollEnd { .. } => self.running = None,
            Event::Spawn { task, .. } => self.runtime = task.runtime(),
            _ => {}
        }
    }

    /// The event that an entry stands for.
    #[inline]
    pub(crate) fn event(&mut self, entry: Entry) -> Option<Event> {
        let task = entry.task(self.runtime)?;
        Some(match entry.kind() {
            Kind::Poll => {
                self.running = Some(task);
                Event::PollBegin { task }
            }
            kind @ (Kind::Pending | Kind::Ready) => {
                self.running = None;
                Event::PollEnd { task, ready: kind == Kind::Ready }
            }
            Kind::WokenByRunning => Event::Wake { task, by: self.running },
            Kind::Woken => Event::Wake { task, by: None },
            Kind::Other => return None,
        })
    }
}

/// What stands on a page: an entry of the journal, or an event as a whole.
pub(crate) enum Line<'a> {
    Entry(Entry),
    Seen(&'a Seen),
}

impl Page {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.others.clear();
    }

    pub(crate) fn extend(&mut self, entries: &[Entry]) {
        self.entries.extend_from_slice(entries);
    }

    #[inline]
    pub(crate) fn push(&mut self, seen: &Seen) {
        self.entries.push(Entry::new(seen.at, Kind::Other, self.others.len() as u64));
        self.others.push(*seen);
    }

    /// All that stands on it, in order.
    #[inline]
    pub(crate) fn for_each(&self, mut f: impl FnMut(Line<'_>)) {
        for entry in &self.entries {
            match entry.kind() {
                Kind::Other => f(Line::Seen(&self.others[entry.number() as usize])),
                _ => f(Line::Entry(*entry)),
            }
        }
    }
}

impl Line<'_> {
    /// The event as a whole.
    pub(crate) fn seen(self, thread: &mut Thread) -> Option<Seen> {
        match self {
            Line::Seen(seen) => {
                thread.follow(seen.event);
                Some(*seen)
            }
            Line::Entry(entry) => {
                let event = thread.event(entry)?;
                Some(Seen { at: entry.at, place: 0, event, more: More::Nothing })
            }
        }
    }
}
