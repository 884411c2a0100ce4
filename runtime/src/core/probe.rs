//! What the loop tells a watcher.
//!
//! Facts. To understand a loop, one has to see it run. To trust it, a test has to see *why* each step
//! came. A loop that is not watched must not pay for being watchable.
//!
//! What follows. Every event is a small value of numbers, built only when a sink is installed. Without one,
//! a probe point is one branch. The sink is foreign code, so it is called with nothing borrowed, and
//! the sink does not hear of what the loop does because of it.
//!
//! Contract. A sink that panics does no other harm: the panic hook reports the panic, the sink is dropped, and the loop
//! goes on unwatched. Waits are balanced: each [`WaitOn`](Event::WaitOn) is followed by one
//! [`WaitDone`](Event::WaitDone) with the same task and resource, at the latest when the runtime has been dropped.
//!
//! What is not here: recording, formatting, analysis. They are built on top.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::core::id::TaskId;
use crate::core::panics::{contain, swallow};

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
        /// The task that spawned it.
        by: Option<TaskId>,
    },
    /// A task was put on the ready queue. A wake that changes nothing (the task is queued already, or
    /// is gone) is no event.
    Wake {
        /// The task that will run.
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
    /// A task has panicked, and its handle was dropped without having been awaited.
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
    /// A task has begun to wait for something. [`WaitDone`](Event::WaitDone) follows, once.
    ///
    /// A wait begun with [`Source::poll_io`](crate::source::Source::poll_io), as by `AsyncRead` and `AsyncWrite`, lasts
    /// until the source is reported or dropped, even if the task ends before.
    WaitOn {
        /// The task that waits, if it is one of this loop.
        task: Option<TaskId>,
        /// For what.
        on: Resource,
        /// The task that has it, or has to bring it about: the task that is awaited, or (one of) those that hold the lock.
        /// `None` if that is no task, or is not known.
        holder: Option<TaskId>,
    },
    /// A task has what it waited for, or has stopped waiting.
    WaitDone {
        /// The task that waited.
        task: Option<TaskId>,
        /// For what.
        on: Resource,
    },
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It returned its output.
    Returned,
    /// It was cancelled, by its handle or by the shutdown.
    Cancelled,
    /// It panicked, in a poll or in a drop.
    Panicked,
}

/// What a task can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

pub(crate) type Sink = Box<dyn FnMut(Event)>;

/// Calls a sink, if there is one. A sink that panics is dropped, because its state may be broken.
pub(crate) fn tell(sink: &mut Option<Sink>, event: Event) {
    let Some(told) = sink else { return };
    if let Err(payload) = contain(|| told(event)) {
        let broken = sink.take();
        swallow(|| drop(payload));
        swallow(|| drop(broken));
    }
}

#[derive(Default)]
pub(crate) struct Probe {
    on: Cell<bool>,
    /// How many things have been given a number so that they can be told apart.
    numbered: Cell<u64>,
    sink: RefCell<Option<Sink>>,
    /// The waits that were reported and have not ended: the task, by resource and place. A place is a number that no other
    /// wait for the resource has at that time. Ordered, so that the waits left at the end are reported in the same order
    /// in each run.
    waits: RefCell<BTreeMap<(Resource, u64), Option<TaskId>>>,
}

impl Probe {
    pub(crate) fn new(sink: Option<Sink>) -> Probe {
        let probe = Probe::default();
        probe.on.set(sink.is_some());
        probe.sink.replace(sink);
        probe
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

    /// A probe point. The event is built only if there is a watcher.
    #[inline(always)]
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if self.on.get() {
            self.deliver(event());
        }
    }

    #[cold]
    fn deliver(&self, event: Event) {
        // Out of its cell while it runs: whatever it makes the loop do finds no sink to tell.
        let mut sink = self.sink.borrow_mut().take();
        if sink.is_some() {
            tell(&mut sink, event);
            self.on.set(sink.is_some());
            *self.sink.borrow_mut() = sink;
        }
    }

    /// Whether events are dropped: the sink is being called, or there is none.
    fn is_telling(&self) -> bool {
        self.sink.borrow().is_none()
    }
}

/// A wait may end in another task than the one that began it, outside of the loop, or never, and the code that ends it may
/// not know whether its beginning was reported. So each wait is noted, and its end is reported with the task that began it.
impl Probe {
    /// A task begins to wait at a place, or goes on waiting there.
    #[cold]
    pub(crate) fn wait_begins(&self, on: Resource, place: u64, task: Option<TaskId>, holder: Option<TaskId>) {
        if self.is_telling() {
            return;
        }
        let before = self.waits.borrow_mut().insert((on, place), task);
        if before == Some(task) {
            return;
        }
        if let Some(task) = before {
            self.deliver(Event::WaitDone { task, on });
        }
        self.deliver(Event::WaitOn { task, on, holder });
    }

    /// The waits at these places end, if they have begun.
    #[cold]
    pub(crate) fn wait_ends(&self, on: Resource, places: RangeInclusive<u64>) {
        while !self.is_telling()
            && let Some(task) = self.take_wait(on, &places)
        {
            self.deliver(Event::WaitDone { task, on });
        }
    }

    fn take_wait(&self, on: Resource, places: &RangeInclusive<u64>) -> Option<Option<TaskId>> {
        let mut waits = self.waits.borrow_mut();
        let (key, _) = waits.range((on, *places.start())..=(on, *places.end())).next()?;
        let key = *key;
        waits.remove(&key)
    }

    /// The runtime is dropped: all waits that are left end.
    pub(crate) fn close(&self) {
        loop {
            let wait = self.waits.borrow_mut().pop_first();
            let Some(((on, _), task)) = wait else { return };
            self.deliver(Event::WaitDone { task, on });
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let sink = self.sink.take();
        swallow(|| drop(sink));
    }
}
