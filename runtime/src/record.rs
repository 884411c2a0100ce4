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
//! Any program with the feature `diagnostics` can be recorded without being changed: `ROUNDEL_TRACE=FILE` in its environment makes each runtime record
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
mod entry;
mod error;
pub(crate) mod format;
mod keeper;
mod observer;
mod page;
pub(crate) mod queued;
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
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use self::format::Header;
use self::keeper::{Keeper, Store, with_number};
use self::observer::Observer;
use self::ring::Ring;
use self::store::Tape;
use self::survey::Told;
use crate::core::context::{self, Context};
use crate::core::probe::Event as Reported;
use crate::waits::{self, Sink};

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
    tapes: Rc<RefCell<Keeper>>,
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
        let (taken, stopped, told) = (false, false, None);
        let inner = Keeper { header, taken, stopped, observer, store, told, on_panic, on_deadlock, at_end };
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
        self.tapes.borrow_mut().dump(path.as_ref())
    }

    /// What has been recorded so far, as the bytes of a file.
    ///
    /// # Errors
    ///
    /// If the recorder's own file cannot be written or read.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
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

    /// Ends the recording: the loop goes on without it, and what was recorded stays.
    ///
    /// ```
    /// use roundel::record::{self, Recorder};
    ///
    /// roundel::run(async {
    ///     let recorder = Recorder::in_memory();
    ///     record::start(&recorder);
    ///     roundel::time::sleep(std::time::Duration::from_millis(1)).await;
    ///     recorder.stop();
    ///     let events = recorder.trace().unwrap().events().len();
    ///     roundel::time::sleep(std::time::Duration::from_millis(1)).await;
    ///     assert!(events > 0 && recorder.trace().unwrap().events().len() == events);
    /// });
    /// ```
    pub fn stop(&self) {
        self.tapes.borrow_mut().stop();
    }

    /// Makes this the recorder of a runtime that is being built. `None` if it has one already, or if its file cannot be
    /// written.
    pub(crate) fn sink(&self, is_virtual: bool, is_shuffled: bool) -> Option<Sink> {
        self.tapes.borrow_mut().begin(is_virtual, is_shuffled)?;
        let tapes = Rc::clone(&self.tapes);
        Some(Box::new(move |event, place| tapes.borrow_mut().see(event, place)))
    }

    /// Makes this a recorder of a loop that was built without it. It begins with the next turn.
    pub(crate) fn join(&self, context: &Context) {
        let (is_virtual, is_shuffled) = (context.clock.is_virtual(), context.executor.is_shuffled);
        let Some(sink) = self.sink(is_virtual, is_shuffled) else { return };
        self.tapes.borrow_mut().told = Some(Told::default());
        waits::add(&context.probe, sink);
    }
}

/// Records the running loop from its next turn on. The trace begins with what stands where then: the tasks, the queue, the
/// timers, and what is waited for. Two kinds of waits are not known then: waits for locks and channels that have begun before,
/// and waits for what has come already, until the task is polled.
///
/// ```
/// use roundel::record::{self, Recorder};
///
/// roundel::run(async {
///     let flight = Recorder::ring(1_000);
///     record::start(&flight);
///     roundel::time::sleep(std::time::Duration::from_millis(1)).await;
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

/// The recorder that the environment asks for.
pub(crate) fn from_environment() -> Option<Recorder> {
    static RUNTIMES: AtomicUsize = AtomicUsize::new(0);
    let path = std::env::var_os("ROUNDEL_TRACE").filter(|path| !path.is_empty())?;
    let number = RUNTIMES.fetch_add(1, Relaxed) + 1;
    let path = if number == 1 { path } else { with_number(path, number) };
    Some(Recorder::to_file(PathBuf::from(path)))
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

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
