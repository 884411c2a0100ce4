//! What happens most often, in two words.
//!
//! Facts. Three kinds of events make up most of what a loop does: a poll begins, a task is woken, a poll ends. All of them say
//! little more than which task it is.
//!
//! What follows. An entry is a time, and the task's number with the kind of the event where the number has that of its
//! runtime.
//!
//! What it does not know: where it stands.

use crate::core::clock::Nanos;
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
    /// A wait begins: the low bits are a place in a list.
    Wait,
    /// A wait ends: the same.
    Waited,
    /// Anything else: the low bits are a place in another list.
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
