//! How a trace is written in bytes. `docs/trace.md` says the same for a person who writes a reader in another language.
//!
//! Facts. A program may be killed at any moment, and its trace should be readable up to there. Most events name a task or
//! two, and come within microseconds of each other.
//!
//! What follows. A file is a header and then records, one after the other. Each record begins with a byte that says what it
//! is. A number is a *varint*: seven bits a byte, the lowest first, and the highest bit says that more follow. A time is the
//! number of nanoseconds since the event before. Nothing points forward, and a text stands before the first record
//! that names it. So a file that was cut is read up to its last whole record.
//!
//! ```text
//!   header     "RNDLTRC\n"   version   flags   date   program
//!   event      kind (0 to 21)   nanoseconds   the fields of that kind
//!   text       64   its bytes                            the first text is number 0, the next one 1, …
//!   task       65   task   place?   size?   task that spawned it?
//!   name       66   task   text
//!   resource   67   resource   what?   name?   place?
//!   socket     68   resource   descriptor?   local address?   peer's address?
//!   state      69   what stands where, before the first event
//! ```
//!
//! A task is its slot and its serial. A resource is a kind (0 task, 1 timer, 2 source, 3 line) and its number, or the task. A
//! field with a question mark may be missing: then it is zero, and otherwise one more than the number, or than the slot or
//! the kind.
//!
//! `record/write.rs` and `record/read.rs` are the two directions.
//!
//! What it does not know: tables, files, the loop.

use crate::core::probe::End;
use crate::record::snapshot::Snapshot;
use crate::record::what::What;

pub(crate) const MAGIC: &[u8; 8] = b"RNDLTRC\n";
pub(crate) const VERSION: u64 = 2;

/// The flags of the header.
pub(crate) const VIRTUAL: u64 = 1;
pub(crate) const SHUFFLED: u64 = 2;

/// What is said once, at the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// The clock is virtual.
    pub(crate) is_virtual: bool,
    /// The order of the ready tasks is random.
    pub(crate) is_shuffled: bool,
    /// Seconds since 1970; zero if that is not told, as on virtual time.
    pub(crate) date: u64,
    pub(crate) program: String,
}

/// The first byte of each record that is no event.
pub(crate) const TEXT: u8 = 64;
pub(crate) const TASK: u8 = 65;
pub(crate) const NAME: u8 = 66;
pub(crate) const RESOURCE: u8 = 67;
pub(crate) const SOCKET: u8 = 68;
pub(crate) const STATE: u8 = 69;

/// A task, as the file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TaskNo {
    pub(crate) slot: u32,
    pub(crate) serial: u32,
}

/// A resource, as the file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ResourceNo {
    Task(TaskNo),
    Timer(u64),
    Source(u64),
    Line(u64),
}

/// A record of the file. Texts are numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Event { after: u64, what: What<TaskNo, ResourceNo> },
    Text(&'a str),
    Task { task: TaskNo, at: Option<u32>, size: Option<u64>, by: Option<TaskNo> },
    Name { task: TaskNo, name: u32 },
    Resource { resource: ResourceNo, what: Option<u32>, name: Option<u32>, at: Option<u32> },
    Socket { resource: ResourceNo, descriptor: Option<u32>, local: Option<u32>, peer: Option<u32> },
    State(Box<Snapshot<TaskNo, ResourceNo>>),
}

/// The highest number of an event's kind.
pub(crate) const LAST_KIND: u8 = 21;

/// The number of an event's kind, in the file and in the viewer.
#[inline]
pub(crate) fn kind<T, R>(what: &What<T, R>) -> u8 {
    match what {
        What::Turn { .. } => 0,
        What::Spawn { .. } => 1,
        What::Wake { .. } => 2,
        What::Poll { .. } => 3,
        What::Polled { .. } => 4,
        What::Done { .. } => 5,
        What::Unheard { .. } => 6,
        What::Park { .. } => 7,
        What::Unpark => 8,
        What::Ready { .. } => 9,
        What::Fired { .. } => 10,
        What::Wait { .. } => 11,
        What::Waited { .. } => 12,
        What::Set { .. } => 13,
        What::Unset { .. } => 14,
        What::Open { .. } => 15,
        What::Close { .. } => 16,
        What::Cancel { .. } => 17,
        What::Spent { .. } => 18,
        What::Mark { .. } => 19,
        What::Gap { .. } => 20,
        What::Shutdown { .. } => 21,
    }
}

pub(crate) fn end_code(end: End) -> u8 {
    match end {
        End::Returned => 0,
        End::Cancelled => 1,
        End::Panicked => 2,
    }
}
