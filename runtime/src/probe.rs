//! What the loop tells whoever wants to watch it.
//!
//! Facts. To understand a loop one has to see it run; to trust it, a test has to see *why* each step
//! came. A loop nobody watches must not pay for being watchable.
//!
//! What follows. Every event is a small value of numbers, built only when a sink is installed: when none
//! is, a probe point is one branch. The sink is foreign code, so it is called with nothing borrowed, and
//! what the loop does on behalf of the sink itself is not reported to it again.
//!
//! What is not here: recording, formatting, analysis. They are built on top.

use std::cell::{Cell, RefCell};
use std::fmt;

use crate::id::TaskId;

/// One thing that the loop did.
///
/// Times are not in the events: a sink that wants them asks [`time::now`](crate::time::now).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A task came to be; `by` is the task that was running, if one was.
    Spawn {
        /// The new task.
        task: TaskId,
        /// Who spawned it.
        by: Option<TaskId>,
    },
    /// A task was put on the ready queue. A wake that changes nothing (the task is queued already, or
    /// is gone) is no event.
    Wake {
        /// Who will run.
        task: TaskId,
        /// The task that was running when the wake came, if one was.
        by: Option<TaskId>,
    },
    /// A poll begins.
    PollBegin {
        /// Whose.
        task: TaskId,
    },
    /// The poll has ended; `ready` if it was the last one.
    PollEnd {
        /// Whose.
        task: TaskId,
        /// Whether the future is complete (or has panicked).
        ready: bool,
    },
    /// A task is over: its future has been dropped.
    Done {
        /// Which.
        task: TaskId,
        /// How it ended.
        end: End,
    },
    /// A task has panicked, and its handle is gone without having asked.
    Unheard {
        /// Which.
        task: TaskId,
    },
    /// The loop found nothing to do and goes to sleep in the kernel.
    Park,
    /// The kernel has let the loop go on.
    Unpark,
    /// The kernel reported a source as readable, writable, or both.
    SourceReady {
        /// The source's number, as in [`Resource::Source`].
        source: u64,
        /// Reading will not block.
        readable: bool,
        /// Writing will not block.
        writable: bool,
    },
    /// A timer's deadline has passed.
    TimerFired {
        /// The timer's number, as in [`Resource::Timer`].
        timer: u64,
    },
    /// A task has begun to wait for something.
    WaitOn {
        /// Who waits, if it is a task of this loop.
        task: Option<TaskId>,
        /// For what.
        on: Resource,
        /// Who has it, or has to bring it about: the task that is awaited, or (one of) those who hold the lock. `None`
        /// if that is no task, or is not known.
        holder: Option<TaskId>,
    },
    /// A task has what it waited for, or has stopped waiting.
    WaitDone {
        /// Who waited.
        task: Option<TaskId>,
        /// For what.
        on: Resource,
    },
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It returned its output.
    Returned,
    /// It was cancelled, by its handle or by the shutdown.
    Cancelled,
    /// It panicked, in a poll or in a drop.
    Panicked,
}

/// What a task can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// The end of a task.
    Task(TaskId),
    /// A deadline.
    Timer(u64),
    /// Readiness of an I/O source.
    Source(u64),
    /// A place in line at a lock, a channel or the like.
    Line {
        /// At what: `"mutex"`, `"channel"`, …
        what: &'static str,
        /// Which of them.
        number: u64,
    },
}

type Sink = Box<dyn FnMut(Event)>;

#[derive(Default)]
pub(crate) struct Probe {
    on: Cell<bool>,
    /// How many things have been given a number so that they can be told apart.
    numbered: Cell<u64>,
    sink: RefCell<Option<Sink>>,
}

impl Probe {
    pub(crate) fn new(sink: Option<Sink>) -> Probe {
        Probe { on: Cell::new(sink.is_some()), numbered: Cell::new(0), sink: RefCell::new(sink) }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.get()
    }

    /// A number that nothing else has.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbered.set(self.numbered.get() + 1);
        self.numbered.get()
    }

    /// A probe point. The event is built only if somebody watches.
    #[inline(always)]
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if self.on.get() {
            self.deliver(event());
        }
    }

    #[cold]
    fn deliver(&self, event: Event) {
        // Out of its cell while it runs: whatever it makes the loop do finds no sink to tell.
        let Some(mut sink) = self.sink.borrow_mut().take() else { return };
        sink(event);
        *self.sink.borrow_mut() = Some(sink);
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("on", &self.on.get()).finish_non_exhaustive()
    }
}
