//! Where the events of a recorder go: a file or the memory. (`record/ring.rs` is the third.)
//!
//! Facts. A program that runs for days must not fill the disk or the memory. A program that is killed should leave a
//! trace up to its last moments. A disk may be full.
//!
//! What follows. A file and the memory have a limit. What does not fit is dropped, counted, and noted as a gap at the
//! end. The file is written each time the loop is about to sleep, and when enough has gathered.
//!
//! What it does not know: the loop, how a record is written.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::core::id::TaskId;
use crate::core::probe::Event;
use crate::record::causes::Causes;
use crate::record::encoder::Encoder;
use crate::record::format::Header;
use crate::record::observer::Seen;
use crate::record::survey::Survey;
use crate::record::told::is_in_trace;
use crate::source::Details;

/// When this many bytes have gathered, they are written to the file.
const WRITE_ABOVE: usize = 64 * 1024;
/// Kept free below the limit for the record of a gap.
const FOR_THE_GAP: u64 = 32;

/// Records in the order of the events, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    encoder: Encoder,
    causes: Causes,
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
    pub(crate) fn take(&mut self, seen: &Seen) -> io::Result<()> {
        let cause = self.causes.see(seen.event, seen.place);
        self.write(is_in_trace(seen.event), |encoder, bytes| encoder.write(seen, cause, bytes));
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

    /// What is known of a socket.
    pub(crate) fn socket(&mut self, source: u64, details: &Details) {
        self.write(false, |encoder, bytes| encoder.socket(source, details, bytes));
    }

    /// Begins in the middle of a run.
    pub(crate) fn survey(&mut self, survey: &Survey) {
        self.causes = survey.causes.clone();
        survey
            .tasks
            .iter()
            .for_each(|seen| self.write(false, |encoder, bytes| encoder.describe(seen, bytes)));
        survey.names.iter().for_each(|(task, name)| self.name(*task, name));
        self.write(false, |encoder, bytes| encoder.state(survey.snapshot.clone(), bytes));
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
