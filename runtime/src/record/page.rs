//! A page of events, as small as they can be kept.
//!
//! Facts. Three kinds of events make up most of a trace: a poll begins, a task is woken, a poll ends. Each fits in an
//! entry of two words. All other events are seven times as large.
//!
//! What follows. A page is a list of entries. The waits stand in a list beside them, all other events in
//! another, and their entries are places there.
//!
//! What it does not know: what the events mean.

use crate::core::id::TaskId;
use crate::core::probe::Event;
use crate::record::entry::{Entry, Kind};
use crate::record::format::ResourceNo;
use crate::record::observer::{More, Seen};

#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    entries: Vec<Entry>,
    waits: Vec<Wait>,
    others: Vec<Seen>,
}

/// A wait that begins or ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) task: Option<TaskId>,
    pub(crate) on: ResourceNo,
    pub(crate) holder: Option<TaskId>,
    pub(crate) place: u64,
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
            Kind::Wait | Kind::Waited | Kind::Other => return None,
        })
    }
}

/// What stands on a page.
pub(crate) enum Line<'a> {
    Entry(Entry),
    /// A wait that begins at this time, or ends.
    Wait(u64, &'a Wait),
    Waited(u64, &'a Wait),
    Seen(&'a Seen),
}

impl Page {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.waits.clear();
        self.others.clear();
    }

    #[inline]
    pub(crate) fn push_entry(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    #[inline]
    pub(crate) fn push(&mut self, seen: &Seen) {
        self.entries.push(Entry::new(seen.at, Kind::Other, self.others.len() as u64));
        self.others.push(*seen);
    }

    #[inline]
    pub(crate) fn push_wait(&mut self, at: u64, begins: bool, wait: Wait) {
        let kind = if begins { Kind::Wait } else { Kind::Waited };
        self.entries.push(Entry::new(at, kind, self.waits.len() as u64));
        self.waits.push(wait);
    }

    /// All that stands on it, in order.
    #[inline]
    pub(crate) fn for_each(&self, mut f: impl FnMut(Line<'_>)) {
        for entry in &self.entries {
            let number = entry.number() as usize;
            match entry.kind() {
                Kind::Wait => f(Line::Wait(entry.at, &self.waits[number])),
                Kind::Waited => f(Line::Waited(entry.at, &self.waits[number])),
                Kind::Other => f(Line::Seen(&self.others[number])),
                _ => f(Line::Entry(*entry)),
            }
        }
    }
}

impl Line<'_> {
    /// When it was.
    pub(crate) fn at(&self) -> u64 {
        match self {
            Line::Entry(entry) => entry.at,
            Line::Wait(at, _) | Line::Waited(at, _) => *at,
            Line::Seen(seen) => seen.at,
        }
    }

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
            // They are told apart before.
            Line::Wait(..) | Line::Waited(..) => None,
        }
    }
}
