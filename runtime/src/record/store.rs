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

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::core::id::TaskId;
use crate::core::probe::{Event, Resource};
use crate::record::encoder::Encoder;
use crate::record::format::Header;
use crate::record::observer::Seen;

/// When this many bytes have gathered, they are written to the file.
const WRITE_ABOVE: usize = 64 * 1024;
/// Kept free below the limit for the record of a gap.
const FOR_THE_GAP: u64 = 32;
/// A ring keeps the names of at most this many locks and channels whose first wait it no longer holds. Of those, there is
/// no event when they go.
const MOST_LINES: usize = 4096;

/// Records in the order of the events, up to a limit.
#[derive(Debug)]
pub(crate) struct Tape {
    encoder: Encoder,
    /// What has not been written to the file yet, or everything if there is no file.
    bytes: Vec<u8>,
    /// How many bytes have gone into the file.
    written: u64,
    limit: u64,
    /// How many events did not fit. From the first one on, all are dropped, so that there is one gap.
    dropped: u64,
    file: Option<(PathBuf, File)>,
}

impl Tape {
    pub(crate) fn new(limit: u64) -> Tape {
        Tape { encoder: Encoder::default(), bytes: Vec::new(), written: 0, limit, dropped: 0, file: None }
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
        let (before, now) = (self.bytes.len(), self.encoder.now());
        if self.dropped == 0 {
            self.encoder.write(seen, &mut self.bytes);
        }
        if self.dropped > 0 || self.written + self.bytes.len() as u64 + FOR_THE_GAP > self.limit {
            self.bytes.truncate(before);
            self.encoder.set_now(now);
            self.dropped += 1;
        }
        if self.bytes.len() > WRITE_ABOVE || matches!(seen.event, Event::Park) {
            self.flush()
        } else {
            Ok(())
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
            // Nothing fits after it either.
            self.limit = 0;
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
    events: VecDeque<Seen>,
    /// How many have left it.
    gone: u64,
    /// What introduced the tasks, the sources and the lines that live on: events that have left the ring.
    tasks: BTreeMap<TaskId, Vec<Seen>>,
    sources: BTreeMap<u64, Seen>,
    lines: BTreeMap<u64, Seen>,
}

impl Ring {
    pub(crate) fn new(most: usize) -> Ring {
        let events = VecDeque::with_capacity(most.min(1 << 20));
        let (tasks, sources, lines) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ring { most: most.max(1), events, gone: 0, tasks, sources, lines }
    }

    #[inline]
    pub(crate) fn push(&mut self, seen: Seen) {
        if self.events.len() == self.most
            && let Some(oldest) = self.events.pop_front()
        {
            self.gone += 1;
            self.keep(oldest);
        }
        self.events.push_back(seen);
    }

    /// Keeps what an event says that will be needed when it is gone itself.
    #[inline]
    fn keep(&mut self, seen: Seen) {
        match seen.event {
            Event::Spawn { task, .. } | Event::Named { task } => {
                self.tasks.entry(task).or_default().push(seen);
            }
            Event::Done { task, .. } => drop(self.tasks.remove(&task)),
            Event::SourceOpened { source, .. } => drop(self.sources.insert(source, seen)),
            Event::SourceClosed { source } => drop(self.sources.remove(&source)),
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
        let kept = self.tasks.values().flatten().chain(self.sources.values()).chain(self.lines.values());
        kept.for_each(|seen| encoder.describe(seen, &mut bytes));
        if self.gone > 0 {
            let at = self.events.front().map_or(0, |first| first.at);
            encoder.gap(at, self.gone, &mut bytes);
        }
        self.events.iter().for_each(|seen| encoder.write(seen, &mut bytes));
        bytes
    }
}
