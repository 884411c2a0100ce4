//! What the loop tells a watcher.
//!
//! Facts. To understand a loop, one has to see it run. To trust it, a test has to see *why* each step
//! came. A loop that is not watched must not pay for being watchable.
//!
//! What follows. Every event is a small value of numbers, built only when there is a watcher. Without one,
//! a probe point is one branch. A watcher is foreign code, so it is called with nothing borrowed, and
//! it does not hear of what the loop does because of it.
//!
//! Contract. A sink that panics does no other harm: the panic hook reports the panic, the sink is dropped, and the loop
//! goes on without it. Waits are balanced: each [`WaitOn`](Event::WaitOn) is followed by one
//! [`WaitDone`](Event::WaitDone) with the same task and resource, at the latest when the runtime has been dropped. The
//! watcher sees to both (`runtime/src/waits.rs`): one watcher serves all sinks.
//!
//! What is not here: sinks, balancing, recording, formatting, analysis. They are built on top.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::core::id::TaskId;
use crate::core::panics::{Payload, contain, swallow};

/// One thing that the loop did.
///
/// Times are not in the events: a sink that wants them asks [`time::now`](crate::time::now).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A turn of the loop begins, with its first step: it polls tasks that are ready.
    Turn,
    /// A task was spawned; `by` is the task that was running, if one was.
    Spawn {
        /// The new task.
        task: TaskId,
        /// The task that spawned it.
        by: Option<TaskId>,
    },
    /// A task that has just been spawned has a [name](crate::task::name).
    Named {
        /// Which.
        task: TaskId,
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
    /// The running task has used up its budget: an operation makes it give way to the others.
    Spent {
        /// Which.
        task: Option<TaskId>,
    },
    /// A handle cancels a task that is not over.
    Cancel {
        /// Which.
        task: TaskId,
        /// The task that was running, if one was.
        by: Option<TaskId>,
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
    /// A task has returned an `Err`, and its handle was dropped without having been awaited.
    UnheardError {
        /// Which.
        task: TaskId,
    },
    /// A [`Mutex`](crate::sync::Mutex) was unlocked that had been held for a millisecond or longer. Its number is zero if no
    /// task has waited for it so far.
    Released {
        /// The lock.
        on: Resource,
        /// The task that had locked it.
        holder: TaskId,
        /// How long it had held it.
        held: Duration,
    },
    /// A [`Mutex`](crate::sync::Mutex) that tasks have waited for is held by another task from now on, or by none.
    Held {
        /// The lock.
        on: Resource,
        /// The task that has it.
        holder: Option<TaskId>,
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
    /// A source was registered with the loop.
    SourceOpened {
        /// The source's number, as in [`Resource::Source`].
        source: u64,
        /// The name of its type, or as much as is known of it.
        what: &'static str,
        /// Its descriptor, if that is known.
        descriptor: Option<i32>,
    },
    /// More is known of a source that has been registered: its descriptor, or its addresses. See
    /// [`Source::describe`](crate::source::Source::describe).
    SourceNamed {
        /// The source's number, as in [`Resource::Source`].
        source: u64,
    },
    /// A source leaves the loop. Reports of it will not come any more.
    SourceClosed {
        /// The source's number.
        source: u64,
    },
    /// A sleep was polled for the first time: from now on the loop waits for its deadline.
    TimerSet {
        /// The timer's number, as in [`Resource::Timer`].
        timer: u64,
        /// The deadline: the time since the runtime was built.
        deadline: Duration,
    },
    /// A sleep was dropped or reset before its deadline.
    TimerUnset {
        /// The timer's number.
        timer: u64,
    },
    /// A timer's deadline has passed.
    TimerFired {
        /// The timer's number, as in [`Resource::Timer`].
        timer: u64,
    },
    /// A task is about to wait for a lock, a channel or the like. It is the first wait there in this loop.
    FirstWait {
        /// What is waited for: a [`Resource::Line`].
        on: Resource,
        /// The name that the program has given it.
        name: Option<&'static str>,
        /// Where in the program it was made.
        made_at: &'static Location<'static>,
    },
    /// A task has begun to wait for something. [`WaitDone`](Event::WaitDone) follows, once.
    ///
    /// A wait begun with [`Source::poll_io`](crate::source::Source::poll_io), as by `AsyncRead` and `AsyncWrite`, lasts
    /// until the source is reported or dropped, or the task ends.
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
    /// The program has set a [mark](crate::record::mark).
    Mark {
        /// What the program says.
        text: &'static str,
        /// The task that was running, if one was.
        task: Option<TaskId>,
    },
    /// The loop has found a deadlock. What is done about it comes after this.
    Deadlock,
    /// The runtime is being dropped: its shutdown begins, or the next step of it does.
    Shutdown {
        /// 1: all tasks are cancelled. 2: what their destructors have left runs. 3: what is still there is dropped. 4: timers,
        /// sources and threads end.
        step: u32,
    },
    /// The runtime has been dropped. Events that follow come from handles that have outlived it.
    Closed,
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

/// Is told each event, and the place of a wait that begins or ends: a number that no other wait for the same resource has at
/// that time. It may be told of a wait that goes on, and of the end of a wait that has not begun. It says whether it wants
/// to be told more.
pub(crate) type Watcher = Box<dyn FnMut(&Event, u64) -> bool>;

/// Makes the watcher of a loop that runs already, from the one that it has had so far, if it has had one.
pub(crate) type Change = Box<dyn FnOnce(Option<Watcher>) -> Watcher>;

/// What a source says of itself, for traces and other views of the loop. What is not known is left out.
///
/// ```
/// let details = roundel::source::Details { descriptor: Some(9), ..Default::default() };
/// assert_eq!(details.peer, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The number of its descriptor.
    pub descriptor: Option<i32>,
    /// Its own address.
    pub local: Option<String>,
    /// The address of its peer.
    pub peer: Option<String>,
}

/// The name of a lock or a channel, if it has one, where it was made, and where it notes which task holds it.
pub(crate) type Made = (Option<&'static str>, &'static Location<'static>, Option<Holder>);

/// What a watcher leaves to be done when it has been told.
pub(crate) type Afterwards = Box<dyn FnOnce() -> Option<Payload>>;

/// The task that holds a lock, and since when, by the clock of its loop.
pub(crate) type Holder = Rc<Cell<Option<(TaskId, u64)>>>;

#[derive(Default)]
pub(crate) struct Probe {
    on: Cell<bool>,
    /// Whether a watcher looks for deadlocks: it is told where waits begin, and clones of the loop's wakers are counted.
    pub(crate) finds_deadlocks: Cell<bool>,
    /// Whether the watcher has no use for waits that the loop itself knows: those for deadlines and for sources.
    pub(crate) skips_known: Cell<bool>,
    /// How many things have been given a number so that they can be told apart.
    numbered: Cell<u64>,
    /// Out of its cell while it is told something: whatever it makes the loop do finds no watcher to tell.
    watcher: Cell<Option<Watcher>>,
    /// What becomes of the watcher before it is told the next event.
    change: Cell<Option<Change>>,
    /// Set by a watcher: what the loop does in step 4, or after its last turn. With a payload, its `block_on` ends.
    pub(crate) afterwards: RefCell<Option<Afterwards>>,
    /// Where in the program the wait begins of which the watcher is being told, and what is known of the line.
    pub(crate) place: Cell<Option<(&'static Location<'static>, Option<Made>)>>,
    /// What the source has said of which the watcher is being told.
    pub(crate) details: RefCell<Details>,
}

impl Probe {
    /// Changes the watcher before it is told the next event; at present it may be out of its cell.
    pub(crate) fn change(&self, change: Change) {
        let change: Change = match (self.on.replace(true), self.change.take()) {
            (false, _) => return self.watcher.set(Some(change(None))),
            (true, None) => change,
            (true, Some(earlier)) => Box::new(|watcher| change(Some(earlier(watcher)))),
        };
        self.change.set(Some(change));
    }

    /// Without the feature `diagnostics` nothing can watch, and the compiler leaves out all that is only done for a watcher.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        cfg!(feature = "diagnostics") && self.on.get()
    }

    /// A number that nothing else has.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbered.set(self.numbered.get() + 1);
        self.numbered.get()
    }

    /// A probe point. The event is built only if there is a watcher.
    #[inline(always)]
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if self.is_on() {
            self.tell(event(), 0);
        }
    }

    /// The same for the begin or the end of a wait at this place.
    #[cold]
    pub(crate) fn tell(&self, event: Event, place: u64) {
        let Some(mut watcher) = self.watcher.take() else { return };
        if let Some(change) = self.change.take() {
            watcher = change(Some(watcher));
        }
        if let Ok(true) = contain(|| watcher(&event, place)) {
            return self.watcher.set(Some(watcher));
        }
        self.on.set(false);
        self.change.take().into_iter().for_each(|change| self.change(change));
        swallow(|| drop(watcher));
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let watcher = self.watcher.take();
        swallow(|| drop(watcher));
    }
}
