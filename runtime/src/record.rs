//! Recording what the loop does, and reading it back.
//!
//! Facts. The [probe](crate::probe) tells a callback what the loop does, one event after the other, and it is gone. To find
//! out why a task ran, one needs all that came before, with times and causes.
//!
//! What follows. A [`Recorder`] takes each event, adds the time, the cause and the place in the program, and keeps it: in a
//! file, in memory, or in a ring of the last ones. [`Trace::read`] reads that back. [`State`] goes through a trace and
//! tells what stood in the queue, which timers were set and which tasks waited, after each event. The program `see` shows
//! a trace as a page, as text and in other formats.
//!
//! ```text
//!   loop ──► probe ──► Observer ──► Seen ──► Tape ──► a file, bytes
//!                      time, place           Ring ──► bytes, when they are wanted
//!                                                        │
//!                        State ◄── Trace ◄── Reader ◄────┘
//! ```
//!
//! Contract. A program that is recorded does the same as one that is not, but slower. A recorder needs bounded memory and
//! disk space. What it drops is counted in the trace. If a file cannot be written, one sentence on standard error says so,
//! and the program goes on. A program that is killed leaves a trace up to the last time that its loop has slept, or a little
//! later; it can be read up to its last whole record.
//!
//! The file format is described in `docs/trace.md`.
//!
//! Any program can be recorded without being changed: `ROUNDEL_TRACE=FILE` in its environment makes each runtime record
//! itself, the first one in `FILE`, the next ones in `FILE.2`, `FILE.3` and so on. If another process is recording in that
//! file, as the parent of a worker does, its own number is added to the name.
//!
//! ```
//! use roundel::Runtime;
//! use roundel::record::{Recorder, What};
//!
//! let recorder = Recorder::in_memory();
//! let runtime = Runtime::builder().virtual_time(true).record(recorder.clone()).build().unwrap();
//! runtime.block_on(async {
//!     roundel::spawn(async {}).await.unwrap();
//! });
//! let trace = recorder.trace().unwrap();
//! assert_eq!(trace.tasks().len(), 2);
//! let polls = trace.events().iter().filter(|event| matches!(event.what, What::Poll { .. }));
//! assert_eq!(polls.count(), 3);
//! ```
//!
//! What it does not know: how the loop works.

mod causes;
mod encoder;
mod error;
pub(crate) mod format;
mod observer;
mod page;
pub(crate) mod read;
mod ring;
pub(crate) mod snapshot;
mod standing;
mod state;
mod store;
mod survey;
mod told;
mod trace;
mod what;
mod write;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use self::format::Header;
use self::observer::Observer;
use self::page::Wait;
use self::ring::Ring;
use self::store::Tape;
use self::survey::Told;
use crate::core::context::{self, Context};
use crate::core::id::TaskId;
use crate::core::journal::Entry;
use crate::core::probe::{Change, End, Event as Reported, Listener, Probe};
use crate::source;
use crate::task;
use crate::waits;

pub use self::error::TraceError;
pub use self::snapshot::{Snapshot, Step, Timer, Waiter};
pub use self::state::State;
pub use self::trace::{Event, Resource, ResourceKind, Task, Trace};
pub use self::what::What;

/// The most bytes of a trace, unless the program says otherwise.
const LIMIT: u64 = 256 << 20;

/// Records what one runtime does. Its clones are the same recorder: give one to
/// [`Builder::record`](crate::Builder::record), and keep another to ask for what was recorded.
///
/// A recorder serves the first runtime that it is given to.
///
/// ```no_run
/// use roundel::{Runtime, record::Recorder};
/// // The last 10,000 events, written if a task panics.
/// let flight = Recorder::ring(10_000).dump_on_panic("crash.trace");
/// let runtime = Runtime::builder().record(flight.clone()).build().unwrap();
/// runtime.block_on(async { /* … */ });
/// flight.dump("end.trace").unwrap();
/// ```
#[derive(Clone)]
pub struct Recorder {
    tapes: Rc<RefCell<Inner>>,
}

struct Inner {
    header: Header,
    /// Set when a runtime has been built with this recorder.
    taken: bool,
    observer: Observer,
    store: Store,
    /// What tells it of the loop, once that is known.
    probe: Weak<Probe>,
    /// Set while a recorder that was started in a running loop waits for the next turn.
    told: Option<Told>,
    on_panic: Option<PathBuf>,
    on_deadlock: Option<PathBuf>,
    at_end: Option<PathBuf>,
}

enum Store {
    /// The file is opened when a runtime is built.
    File(PathBuf, Tape),
    Memory(Tape),
    Ring(Box<Ring>),
    /// Set when the file could not be written: nothing is recorded any more.
    Broken,
}

impl Recorder {
    /// Records into this file, which is overwritten when a runtime is built with the recorder.
    #[must_use]
    pub fn to_file(path: impl AsRef<Path>) -> Recorder {
        Recorder::new(Store::File(path.as_ref().to_owned(), Tape::new(LIMIT)))
    }

    /// Keeps the last `events` events in memory: 16 bytes for each poll and wake, about 120 for each other one.
    #[must_use]
    pub fn ring(events: usize) -> Recorder {
        Recorder::new(Store::Ring(Box::new(Ring::new(events))))
    }

    /// Records into memory.
    #[must_use]
    pub fn in_memory() -> Recorder {
        Recorder::new(Store::Memory(Tape::new(LIMIT)))
    }

    fn new(store: Store) -> Recorder {
        let (header, observer) = (Header::default(), Observer::default());
        let (on_panic, on_deadlock, at_end) = (None, None, None);
        let (taken, probe, told) = (false, Weak::new(), None);
        let inner = Inner { header, taken, observer, store, probe, told, on_panic, on_deadlock, at_end };
        Recorder { tapes: Rc::new(RefCell::new(inner)) }
    }

    /// A file or the memory takes at most this many bytes; 256 MiB, if this is not set. What does not fit is counted.
    #[must_use]
    pub fn limit(self, bytes: u64) -> Recorder {
        if let Store::File(_, tape) | Store::Memory(tape) = &mut self.tapes.borrow_mut().store {
            tape.set_limit(bytes);
        }
        self
    }

    /// Writes what is recorded to this file whenever a task has ended with a panic.
    #[must_use]
    pub fn dump_on_panic(self, path: impl AsRef<Path>) -> Recorder {
        self.tapes.borrow_mut().on_panic = Some(path.as_ref().to_owned());
        self
    }

    /// Writes what is recorded to this file when the loop finds a deadlock.
    #[must_use]
    pub fn dump_on_deadlock(self, path: impl AsRef<Path>) -> Recorder {
        self.tapes.borrow_mut().on_deadlock = Some(path.as_ref().to_owned());
        self
    }

    /// Writes what is recorded to this file when the runtime has been dropped.
    #[must_use]
    pub fn dump_at_end(self, path: impl AsRef<Path>) -> Recorder {
        self.tapes.borrow_mut().at_end = Some(path.as_ref().to_owned());
        self
    }

    /// Writes what has been recorded so far to this file.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn dump(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.catch_up();
        self.tapes.borrow_mut().dump(path.as_ref())
    }

    /// What has been recorded so far, as the bytes of a file.
    ///
    /// # Errors
    ///
    /// If the recorder's own file cannot be written or read.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        self.catch_up();
        self.tapes.borrow_mut().bytes()
    }

    /// What has been recorded so far.
    ///
    /// # Errors
    ///
    /// If the recorder's own file cannot be written or read.
    pub fn trace(&self) -> Result<Trace, TraceError> {
        match self.bytes() {
            Ok(bytes) => Trace::from_bytes(&bytes),
            Err(error) => Err(TraceError::new(0, error::Kind::Io(error))),
        }
    }

    /// Ends the recording: the loop goes on without it, and what was recorded stays. Does nothing if the recorder records no
    /// loop that runs on this thread.
    ///
    /// ```
    /// use roundel::record::{self, Recorder};
    ///
    /// roundel::run(async {
    ///     let recorder = Recorder::in_memory();
    ///     record::start(&recorder);
    ///     roundel::spawn(async {}).await.unwrap();
    ///     recorder.stop();
    ///     let events = recorder.trace().unwrap().events().len();
    ///     roundel::yield_now().await;
    ///     assert_eq!(recorder.trace().unwrap().events().len(), events);
    /// });
    /// ```
    pub fn stop(&self) {
        let Some(context) = context::current() else { return };
        self.catch_up();
        if self.tapes.borrow().observer.watches(&context) {
            context.probe.change(Change::Remove(self.number()));
            self.tapes.borrow_mut().stop();
        }
    }

    /// Makes this the recorder of a runtime that is being built. `None` if it has one already, or if its file cannot be
    /// written.
    pub(crate) fn listener(&self, is_virtual: bool, is_shuffled: bool) -> Option<Listener> {
        self.tapes.borrow_mut().begin(is_virtual, is_shuffled)?;
        let (seen, written) = (Rc::clone(&self.tapes), Rc::clone(&self.tapes));
        Some(Listener {
            number: self.number(),
            sink: Box::new(move |event, place| seen.borrow_mut().take(event, place)),
            reader: Some(Box::new(move |entries| written.borrow_mut().read(entries))),
        })
    }

    /// Makes this a recorder of a loop that was built without it. It begins with the next turn.
    pub(crate) fn join(&self, context: &Context) {
        let (is_virtual, is_shuffled) = (context.clock.is_virtual(), context.executor.is_shuffled());
        let Some(listener) = self.listener(is_virtual, is_shuffled) else { return };
        self.tapes.borrow_mut().told = Some(Told::default());
        self.attach(context);
        waits::add(context, listener);
    }

    /// Says which loop it records: then what is asked of it counts what the loop has only written down so far, and the loop can
    /// ask it for a dump.
    pub(crate) fn attach(&self, context: &Context) {
        self.tapes.borrow_mut().probe = Rc::downgrade(&context.probe);
        context.on_dump(self.dumper());
    }

    /// The loop tells what it has only written down so far.
    fn catch_up(&self) {
        let probe = self.tapes.borrow().probe.upgrade();
        probe.into_iter().for_each(|probe| probe.flush());
    }

    /// Told apart from other sinks by its place in memory.
    fn number(&self) -> usize {
        Rc::as_ptr(&self.tapes).addr()
    }

    /// What the loop calls when its flight recorders are to write what they hold.
    fn dumper(&self) -> Box<dyn Fn()> {
        let tapes = Rc::downgrade(&self.tapes);
        Box::new(move || {
            let Some(tapes) = tapes.upgrade() else { return };
            Recorder { tapes: Rc::clone(&tapes) }.catch_up();
            if let Ok(mut tapes) = tapes.try_borrow_mut() {
                let path = tapes.on_deadlock.clone();
                tapes.dump_to(path);
            }
        })
    }
}

/// Records the running loop from its next turn on. The trace begins with what stands where then: the tasks, the queue, the
/// timers, and what is waited for. Only who waits for a lock or a channel since before is not known, unless the loop was
/// watched already.
///
/// ```
/// use roundel::record::{self, Recorder};
///
/// roundel::run(async {
///     let flight = Recorder::ring(1_000);
///     record::start(&flight);
///     roundel::yield_now().await;
///     assert!(flight.trace().unwrap().begin().is_some());
/// });
/// ```
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
pub fn start(recorder: &Recorder) {
    recorder.join(&context::expect("record::start"));
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

/// The recorder that the environment asks for.
pub(crate) fn from_environment() -> Option<Recorder> {
    static RUNTIMES: AtomicUsize = AtomicUsize::new(0);
    let path = std::env::var_os("ROUNDEL_TRACE").filter(|path| !path.is_empty())?;
    let number = RUNTIMES.fetch_add(1, Relaxed) + 1;
    let path = if number == 1 { path } else { with_number(path, number) };
    Some(Recorder::to_file(PathBuf::from(path)))
}

fn with_number(mut path: OsString, number: usize) -> OsString {
    path.push(format!(".{number}"));
    path
}

/// Sets a mark in the traces of the running loop: `see` shows it in the timeline. Does nothing outside of a loop, and
/// costs next to nothing in a loop that is not recorded.
///
/// ```
/// roundel::run(async { roundel::record::mark("the cache is warm") });
/// ```
pub fn mark(text: &'static str) {
    if context::is_watched()
        && let Some(context) = context::current()
    {
        context.probe.emit(|| Reported::Mark { text, task: context.executor.running() });
    }
}

impl Inner {
    /// Says what is said once, and opens the file.
    fn begin(&mut self, is_virtual: bool, is_shuffled: bool) -> Option<()> {
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

    #[inline]
    fn take(&mut self, event: Reported, place: u64) {
        if self.told.is_some() && !self.arrive(event, place) {
            return;
        }
        if let Store::Ring(ring) = &mut self.store
            && let Some((begins, wait)) = wait(event, place)
        {
            return ring.push_wait(self.observer.now(), begins, wait);
        }
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

    /// Takes what the loop has written down.
    fn read(&mut self, entries: &[Entry]) {
        let Some(last) = entries.last().filter(|_| self.told.is_none()) else { return };
        self.observer.pass(last.at);
        let result = match &mut self.store {
            Store::Ring(ring) => {
                ring.extend(entries);
                Ok(())
            }
            Store::File(_, tape) | Store::Memory(tape) => tape.extend(entries),
            Store::Broken => Ok(()),
        };
        if let Err(error) = result {
            self.give_up(&error);
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
        let Some(details) = source::details(source) else { return };
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
    fn stop(&mut self) {
        self.told = None;
        if let Err(error) = self.end(self.observer.now()) {
            self.give_up(&error);
        }
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let at = self.observer.now();
        match &mut self.store {
            Store::File(_, tape) | Store::Memory(tape) => tape.bytes(at),
            Store::Ring(ring) => Ok(ring.bytes(&self.header)),
            Store::Broken => Err(io::Error::other("its file could not be written")),
        }
    }

    fn dump(&mut self, path: &Path) -> io::Result<()> {
        let bytes = self.bytes()?;
        std::fs::write(path, bytes)
    }

    /// If a dump fails, the recording goes on.
    fn dump_to(&mut self, path: Option<PathBuf>) {
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

impl Drop for Inner {
    /// Handles may have told of something after the runtime was gone.
    fn drop(&mut self) {
        if let Store::File(_, tape) = &mut self.store {
            let _ = tape.flush();
        }
    }
}

/// Opens a file for writing. If another process records in it, the one with this process's number at its end.
fn open(path: &Path) -> io::Result<(PathBuf, File)> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
        let path = PathBuf::from(with_number(path.as_os_str().to_owned(), std::process::id() as usize));
        let file = File::create(&path)?;
        return Ok((path, file));
    }
    // A pipe and a device have no length.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok((path.to_owned(), file))
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Not by `eprintln`, which panics if standard error cannot be written to.
fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "roundel: {text}");
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
