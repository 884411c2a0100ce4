//! What happens most often in a loop that is recorded, written down at once and told later.
//!
//! Facts. Three kinds of events make up most of what a loop does: a poll begins, a task is woken, a poll ends. To call a
//! watcher with each of them takes more instructions than the poll itself. A recorder need not hear of them at once.
//!
//! What follows. If all that watches can wait, these events are written here, two words each: a time, and the task's number
//! with the kind of the event where the number has that of its runtime. They are told before the next other event, or when
//! many have gathered. The clock is read at the end of a poll only. All else has the time of the event before.
//!
//! What it does not know: what becomes of them.

use std::cell::{Cell, RefCell};

use crate::core::clock::{Clock, Nanos};
use crate::core::id::TaskId;

/// What an entry says of its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its poll begins.
    Poll = 0,
    /// Its poll ends, and it is not over.
    Pending,
    /// Its poll ends, and its future is complete.
    Ready,
    /// The running task has woken it.
    WokenByRunning,
    /// It was woken while no task ran.
    Woken,
    /// A wait begins, or ends. Only in rings: the low bits are a place in a list.
    Wait,
    /// See `Wait`.
    Waited,
    /// Anything else. Only in rings, as the waits.
    Other,
}

/// The bits of a task's number below that of its runtime.
const BELOW: u32 = 48;
const LOW: u64 = (1 << BELOW) - 1;

/// An event in two words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Nanos,
    what: u64,
}

impl Entry {
    #[inline]
    pub(crate) fn new(at: Nanos, kind: Kind, number: u64) -> Entry {
        Entry { at, what: (kind as u64) << BELOW | number & LOW }
    }

    #[inline]
    pub(crate) fn kind(self) -> Kind {
        match self.what >> BELOW {
            0 => Kind::Poll,
            1 => Kind::Pending,
            2 => Kind::Ready,
            3 => Kind::WokenByRunning,
            4 => Kind::Woken,
            5 => Kind::Wait,
            6 => Kind::Waited,
            _ => Kind::Other,
        }
    }

    /// What stands in the low bits.
    #[inline]
    pub(crate) fn number(self) -> u64 {
        self.what & LOW
    }

    /// The task, in the runtime with this number.
    #[inline]
    pub(crate) fn task(self, runtime: u16) -> Option<TaskId> {
        TaskId::from_word((u64::from(runtime) << BELOW | self.number()) as usize)
    }
}

/// With more entries than this, it is time to tell of them.
const MANY: usize = 512;

pub(crate) struct Journal {
    clock: Clock,
    now: Cell<Nanos>,
    /// The task whose poll was written down and has not ended.
    running: Cell<Option<TaskId>>,
    entries: RefCell<Vec<Entry>>,
}

impl Journal {
    pub(crate) fn new(clock: Clock) -> Journal {
        let entries = RefCell::new(Vec::new());
        Journal { clock, now: Cell::new(0), running: Cell::new(None), entries }
    }

    #[inline]
    fn push(&self, kind: Kind, task: TaskId) -> usize {
        let mut entries = self.entries.borrow_mut();
        entries.push(Entry::new(self.now.get(), kind, task.as_u64()));
        entries.len()
    }

    /// Whether it is time to tell.
    #[inline]
    pub(crate) fn poll_begins(&self, task: TaskId) -> bool {
        self.running.set(Some(task));
        self.push(Kind::Poll, task) > MANY
    }

    #[inline]
    pub(crate) fn poll_ended(&self, task: TaskId, ready: bool) {
        self.now.set(self.clock.now());
        self.running.set(None);
        self.push(if ready { Kind::Ready } else { Kind::Pending }, task);
    }

    /// Whether a wake by this task can be written here.
    #[inline]
    pub(crate) fn takes_wake(&self, by: Option<TaskId>) -> bool {
        self.running.get() == by
    }

    #[inline]
    pub(crate) fn woken(&self, task: TaskId) {
        let kind = if self.running.get().is_some() { Kind::WokenByRunning } else { Kind::Woken };
        self.push(kind, task);
    }

    /// The clock was read elsewhere.
    pub(crate) fn pass(&self, now: Nanos) {
        self.now.set(self.now.get().max(now));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// All entries, to be told. Their memory is to be given back.
    pub(crate) fn take(&self) -> Vec<Entry> {
        self.entries.take()
    }

    pub(crate) fn give_back(&self, mut memory: Vec<Entry>) {
        memory.clear();
        let mut entries = self.entries.borrow_mut();
        if entries.is_empty() {
            *entries = memory;
        }
    }
}
