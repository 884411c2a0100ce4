//! Where the events of a recorder go: a file, the memory, or a ring of the last ones.
//!
//! Facts. A program that runs for days must not fill the disk or the memory. A program that is killed should leave a
//! trace up to its last moments. A disk may be full.
//!
//! What follows. A file and the memory have a limit. What does not fit is dropped, counted, and noted as a gap at the
//! end. The file is written each time the loop is about to sleep, and when enough has gathered. A ring holds a number of
//! events as they are, and the newest takes the place of the oldest. They become records only when they are wanted.
//!
//! Contract. In a ring, the name and the place of a task stay known until its end has left the ring. The same holds for a
//! source, and for a lock of which there are not too many.
//!
//! What it does not know: the loop, how a record is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::core::id::TaskId;
use crate::core::probe::{Event, Resource};
use crate::record::encoder::{Encoder, is_in_trace};
use crate::record::format::Header;
use crate::record::observer::Seen;

/// When this many bytes have gathered, they are written to the file.
const WRITE_ABOVE: usize = 64 * 1024;
/// Kept free below the limit for the record of a gap.
const FOR_THE_GAP: u64 = 32;
/// A ring keeps the names of at most this many locks and channels whose first wait it no longer holds. Of those, there is
/// no event when they go.
const MOST_LINES: usize = 4096;
/// Memory for this many events is asked for when a ring is made.
const MOST_AT_ONCE: usize = 1 << 16;

/// Records in the order of the events, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    encoder: Encoder,
    /// What has not been written to the file yet, or everything if there is no file.
    bytes: Vec<u8>,
    /// How many bytes have gone into the file.
    written: u64,
    limit: u64,
    /// Set when something does not fit, and never cleared: from then on all is dropped, so that there is one gap.
    is_full: bool,
    /// How many events did not fit.
    dropped: u64,
    file: Option<(PathBuf, File)>,
}

impl Tape {
    pub(crate) fn new(limit: u64) -> Tape {
        Tape { limit, ..Tape::default() }
    }

    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Begins with the header, in this file if there is one.
    pub(crate) fn begin(&mut self, file: Option<(PathBuf, File)>, header: &Header) -> io::Result<()> {
        self.file = file;
        self.bytes = Encoder::header(header);
        self.flush()
    }

    #[inline]
    pub(crate) fn push(&mut self, seen: &Seen) -> io::Result<()> {
        self.write(is_in_trace(seen.event), |encoder, bytes| encoder.write(seen, bytes));
        if self.bytes.len() > WRITE_ABOVE || matches!(seen.event, Event::Park) {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// A task has this name.
    pub(crate) fn name(&mut self, task: TaskId, name: &str) {
        self.write(false, |encoder, bytes| encoder.name(task, name, bytes));
    }

    /// Writes an event, if there is room, or what tables say.
    #[inline]
    fn write(&mut self, is_event: bool, write: impl FnOnce(&mut Encoder, &mut Vec<u8>)) {
        let (before, now) = (self.bytes.len(), self.encoder.now());
        if !self.is_full {
            write(&mut self.encoder, &mut self.bytes);
        }
        if self.is_full || self.written + self.bytes.len() as u64 + FOR_THE_GAP > self.limit {
            self.bytes.truncate(before);
            self.encoder.set_now(now);
            self.dropped += u64::from(is_event);
            self.is_full = true;
        }
    }

    /// Writes to the file what has gathered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        let result = file.write_all(&self.bytes);
        self.written += self.bytes.len() as u64;
        self.bytes.clear();
        result
    }

    /// No event will come any more.
    pub(crate) fn end(&mut self, at: u64) -> io::Result<()> {
        if self.dropped > 0 {
            self.encoder.gap(at, std::mem::take(&mut self.dropped), &mut self.bytes);
        }
        self.flush()
    }

    /// All bytes so far. Of a file, those that are not in it yet are written first.
    pub(crate) fn bytes(&mut self, at: u64) -> io::Result<Vec<u8>> {
        self.flush()?;
        let mut bytes = match &self.file {
            Some((path, _)) => std::fs::read(path)?,
            None => self.bytes.clone(),
        };
        if self.dropped > 0 {
            Encoder::starting_at(self.encoder.now()).gap(at, self.dropped, &mut bytes);
        }
        Ok(bytes)
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }
}

/// The last events.
#[derive(Debug)]
pub(crate) struct Ring {
    most: usize,
    /// Filled from the front until there are `most`. From then on the oldest one is at `oldest`.
    events: Vec<Seen>,
    oldest: usize,
    /// How many have left it.
    gone: u64,
    /// The names of the tasks whose end has not left the ring.
    names: BTreeMap<TaskId, Box<str>>,
    /// What introduced the tasks, the sources and the lines that live on: events that have left the ring.
    tasks: BTreeMap<TaskId, Seen>,
    sources: BTreeMap<u64, Seen>,
    lines: BTreeMap<u64, Seen>,
}

impl Ring {
    pub(crate) fn new(most: usize) -> Ring {
        let most = most.max(1);
        Ring {
            most,
            events: Vec::with_capacity(most.min(MOST_AT_ONCE)),
            oldest: 0,
            gone: 0,
            names: BTreeMap::new(),
            tasks: BTreeMap::new(),
            sources: BTreeMap::new(),
            lines: BTreeMap::new(),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, seen: Seen) {
        if self.events.len() < self.most {
            return self.events.push(seen);
        }
        let Some(place) = self.events.get_mut(self.oldest) else { return };
        let oldest = std::mem::replace(place, seen);
        self.oldest = if self.oldest + 1 == self.most { 0 } else { self.oldest + 1 };
        self.gone += u64::from(is_in_trace(oldest.event));
        match oldest.event {
            Event::PollBegin { .. } | Event::PollEnd { .. } | Event::Wake { .. } => {}
            Event::WaitOn { .. } | Event::WaitDone { .. } => {}
            _ => self.keep(oldest),
        }
    }

    pub(crate) fn name(&mut self, task: TaskId, name: &str) {
        self.names.insert(task, name.into());
    }

    /// Keeps what an event says that will be needed when it is gone itself.
    fn keep(&mut self, seen: Seen) {
        match seen.event {
            Event::Spawn { task, .. } => _ = self.tasks.insert(task, seen),
            Event::Done { task, .. } => {
                self.tasks.remove(&task);
                self.names.remove(&task);
            }
            Event::SourceOpened { source, .. } => _ = self.sources.insert(source, seen),
            Event::SourceClosed { source } => _ = self.sources.remove(&source),
            Event::FirstWait { on: Resource::Line { number, .. }, .. } if self.lines.len() < MOST_LINES => {
                self.lines.insert(number, seen);
            }
            _ => {}
        }
    }

    /// The events as a trace.
    pub(crate) fn bytes(&self, header: &Header) -> Vec<u8> {
        let mut bytes = Encoder::header(header);
        let mut encoder = Encoder::default();
        let (newer, older) = self.events.split_at(self.oldest);
        let kept = self.tasks.values().chain(self.sources.values()).chain(self.lines.values());
        kept.for_each(|seen| encoder.describe(seen, &mut bytes));
        self.names.iter().for_each(|(task, name)| encoder.name(*task, name, &mut bytes));
        if self.gone > 0 {
            encoder.gap(older.first().map_or(0, |first| first.at), self.gone, &mut bytes);
        }
        older.iter().chain(newer).for_each(|seen| encoder.write(seen, &mut bytes));
        bytes
    }
}
