//! What a recorder holds: it completes each event, gives it to its store, and does what some events ask for.
//!
//! Facts. A dump may be wanted at a panic, at a deadlock, at the end, and at any time by the program. A file may be used by
//! another process, or fail.
//!
//! Contract. If a file cannot be written, one sentence on standard error says so, and the program goes on. If a dump fails,
//! the recording goes on.
//!
//! What it does not know: the loop, other than by the observer.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::core::context;
use crate::core::id::TaskId;
use crate::core::probe::{End, Event as Reported};
use crate::record::format::Header;
use crate::record::observer::Observer;
use crate::record::page::Wait;
use crate::record::ring::Ring;
use crate::record::store::Tape;
use crate::record::survey::Told;
use crate::record::told;
use crate::task;

pub(super) struct Keeper {
    pub(super) header: Header,
    /// Set when a runtime has been built with this recorder.
    pub(super) taken: bool,
    /// Set when the recording has ended before the runtime has.
    pub(super) stopped: bool,
    pub(super) observer: Observer,
    pub(super) store: Store,
    /// Set while a recorder that was started in a running loop waits for the next turn.
    pub(super) told: Option<Told>,
    pub(super) on_panic: Option<PathBuf>,
    pub(super) on_deadlock: Option<PathBuf>,
    pub(super) at_end: Option<PathBuf>,
}

pub(super) enum Store {
    /// The file is opened when a runtime is built.
    File(PathBuf, Tape),
    Memory(Tape),
    Ring(Box<Ring>),
    /// Set when the file could not be written: nothing is recorded any more.
    Broken,
}

/// The wait that begins or ends with an event, if one does.
#[inline]
fn wait(event: Reported, place: u64) -> Option<(bool, Wait)> {
    match event {
        Reported::WaitOn { task, on, holder } => {
            Some((true, Wait { task, on: told::resource(on), holder, place }))
        }
        Reported::WaitDone { task, on } => {
            Some((false, Wait { task, on: told::resource(on), holder: None, place }))
        }
        _ => None,
    }
}

impl Keeper {
    /// Says what is said once, and opens the file.
    pub(super) fn begin(&mut self, is_virtual: bool, is_shuffled: bool) -> Option<()> {
        if std::mem::replace(&mut self.taken, true) {
            complain(format_args!("a recorder records one runtime only: this one is not recorded"));
            return None;
        }
        let program = std::env::args_os().next().unwrap_or_default();
        let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        // On virtual time, two runs of one program give the same bytes.
        let date = if is_virtual { 0 } else { seconds_since_1970() };
        self.header = Header { is_virtual, is_shuffled, date, program };
        let begun = match &mut self.store {
            Store::File(path, tape) => {
                open(path).and_then(|(path, file)| tape.begin(Some((path, file)), &self.header))
            }
            Store::Memory(tape) => tape.begin(None, &self.header),
            Store::Ring(ring) => {
                ring.set_shuffled(is_shuffled);
                Ok(())
            }
            Store::Broken => Ok(()),
        };
        begun.map_err(|error| self.give_up(&error)).ok()
    }

    /// Takes an event, and says whether it wants more.
    #[inline]
    pub(super) fn see(&mut self, event: &Reported, place: u64) -> bool {
        let is_taken = match &self.told {
            Some(_) => self.stopped || !self.arrive(*event, place),
            None => self.stopped || self.take_shortly(event, place),
        };
        if !is_taken {
            self.take(*event, place);
        }
        !self.stopped
    }

    /// In a ring, an event that fits in an entry.
    #[inline]
    fn take_shortly(&mut self, event: &Reported, place: u64) -> bool {
        let Store::Ring(ring) = &mut self.store else { return false };
        match *event {
            Reported::PollBegin { task } => ring.poll_begins(self.observer.now(), task),
            Reported::PollEnd { task, ready } => {
                self.observer.read_clock();
                ring.poll_ended(self.observer.now(), task, ready);
            }
            Reported::Wake { task, by } => return ring.woken(self.observer.now(), task, by),
            event => {
                let Some((begins, wait)) = wait(event, place) else { return false };
                ring.push_wait(self.observer.now(), begins, wait);
            }
        }
        true
    }

    fn take(&mut self, event: Reported, place: u64) {
        let seen = self.observer.see(event, place);
        let result = match &mut self.store {
            Store::Ring(ring) => {
                ring.push(&seen);
                Ok(())
            }
            Store::File(_, tape) | Store::Memory(tape) => tape.take(&seen),
            Store::Broken => return,
        };
        match event {
            Reported::PollBegin { .. } | Reported::PollEnd { .. } | Reported::Wake { .. }
                if result.is_ok() => {}
            Reported::WaitOn { .. } | Reported::WaitDone { .. } if result.is_ok() => {}
            _ => self.look_closer(event, seen.at, result),
        }
    }

    /// A recorder that was started in a running loop begins with a turn. Whether this is its first event.
    #[cold]
    fn arrive(&mut self, event: Reported, place: u64) -> bool {
        let Some(told) = &mut self.told else { return true };
        told.see(event, place);
        let Some(context) = context::current().filter(|_| event == Reported::Turn) else { return false };
        let Some(survey) = self.told.take().map(|told| told.survey(&context)) else { return false };
        self.observer.watch(context.runtime);
        match &mut self.store {
            Store::Ring(ring) => ring.begin(&survey),
            Store::File(_, tape) | Store::Memory(tape) => tape.survey(&survey),
            Store::Broken => {}
        }
        true
    }

    /// Events after which there is more to do, and errors.
    #[cold]
    fn look_closer(&mut self, event: Reported, at: u64, result: io::Result<()>) {
        let result = match event {
            Reported::Closed => result.and_then(|()| self.end(at)),
            Reported::Done { end: End::Panicked, .. } => {
                self.dump_to(self.on_panic.clone());
                result
            }
            Reported::Deadlock => {
                self.dump_to(self.on_deadlock.clone());
                result
            }
            Reported::Named { task } => {
                self.name(task);
                result
            }
            Reported::SourceNamed { source } => {
                self.name_socket(source);
                result
            }
            _ => result,
        };
        if let Err(error) = result {
            self.give_up(&error);
        }
    }

    fn name(&mut self, task: TaskId) {
        let Some(name) = task::name(task) else { return };
        match &mut self.store {
            Store::Ring(ring) => ring.name(task, &name),
            Store::File(_, tape) | Store::Memory(tape) => tape.name(task, &name),
            Store::Broken => {}
        }
    }

    fn name_socket(&mut self, source: u64) {
        let Some(context) = context::current() else { return };
        let details = context.probe.details.borrow();
        match &mut self.store {
            Store::Ring(ring) => ring.socket(source, &details),
            Store::File(_, tape) | Store::Memory(tape) => tape.socket(source, &details),
            Store::Broken => {}
        }
    }

    fn end(&mut self, at: u64) -> io::Result<()> {
        if let Store::File(_, tape) | Store::Memory(tape) = &mut self.store {
            tape.end(at)?;
        }
        self.dump_to(self.at_end.clone());
        Ok(())
    }

    /// The recording ends before the runtime does.
    pub(super) fn stop(&mut self) {
        if !self.taken || std::mem::replace(&mut self.stopped, true) {
            return;
        }
        self.told = None;
        if let Err(error) = self.end(self.observer.now()) {
            self.give_up(&error);
        }
    }

    pub(super) fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let at = self.observer.now();
        match &mut self.store {
            Store::File(_, tape) | Store::Memory(tape) => tape.bytes(at),
            Store::Ring(ring) => Ok(ring.bytes(&self.header)),
            Store::Broken => Err(io::Error::other("its file could not be written")),
        }
    }

    pub(super) fn dump(&mut self, path: &Path) -> io::Result<()> {
        let bytes = self.bytes()?;
        std::fs::write(path, bytes)
    }

    /// If a dump fails, the recording goes on.
    pub(super) fn dump_to(&mut self, path: Option<PathBuf>) {
        if let Some(path) = path
            && let Err(error) = self.dump(&path)
        {
            complain(format_args!("the trace cannot be written to {}: {error}", path.display()));
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        let store = std::mem::replace(&mut self.store, Store::Broken);
        if let Store::File(path, tape) = store {
            let path = tape.path().unwrap_or(&path);
            complain(format_args!("the trace cannot be written to {}: {error}", path.display()));
        }
    }
}

impl Drop for Keeper {
    /// Handles may have told of something after the runtime was gone.
    fn drop(&mut self) {
        if let Store::File(_, tape) = &mut self.store {
            let _ = tape.flush();
        }
    }
}

/// Opens a file for writing. If another process records in it, the one with this process's number at its end. A pipe and a
/// device have neither a length nor an owner.
fn open(path: &Path) -> io::Result<(PathBuf, File)> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok((path.to_owned(), file));
    }
    if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
        let path = PathBuf::from(with_number(path.as_os_str().to_owned(), std::process::id() as usize));
        let file = File::create(&path)?;
        return Ok((path, file));
    }
    file.set_len(0)?;
    Ok((path.to_owned(), file))
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Not by `eprintln`, which panics if standard error cannot be written to.
fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "roundel: {text}");
}

/// The name of another file beside this one.
pub(super) fn with_number(mut path: OsString, number: usize) -> OsString {
    path.push(format!(".{number}"));
    path
}
