//! What a trace can say that has happened.
//!
//! Facts. The file names a task by its slot and serial, and a resource by its kind and number, so that each record can be
//! read by itself. A trace in memory names both by their places in its tables.
//!
//! What follows. One list of all that can happen, in which `T` stands for a task and `R` for a resource.
//!
//! What it does not know: bytes, files, times.

use crate::core::probe::End;

/// What has happened. In a [`Trace`](crate::record::Trace), tasks, resources and texts are the indices of its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What<T = u32, R = u32> {
    /// A turn of the loop begins.
    Turn {
        /// Its number; the first is 1.
        number: u64,
    },
    /// A task came to be, and is queued.
    Spawn {
        /// Which.
        task: T,
    },
    /// A task was queued.
    Wake {
        /// Which.
        task: T,
        /// The task that was running, if one was.
        by: Option<T>,
        /// The timer or the source that has woken it. If there is neither a task nor a cause, another thread has, or code
        /// outside of the loop.
        cause: Option<R>,
    },
    /// A poll begins.
    Poll {
        /// Whose.
        task: T,
    },
    /// The poll has ended.
    Polled {
        /// Whose.
        task: T,
        /// It was the last one.
        complete: bool,
        /// It ended with a panic.
        panicked: bool,
    },
    /// A task is over.
    Done {
        /// Which.
        task: T,
        /// How it ended.
        end: End,
    },
    /// A task has panicked, and no handle will tell.
    Unheard {
        /// Which.
        task: T,
    },
    /// The loop goes to sleep in the kernel.
    Park {
        /// How many nanoseconds it may sleep at most; `None` if there is no limit. If it is zero, the loop only looks.
        limit: Option<u64>,
    },
    /// The loop is awake again.
    Unpark,
    /// The kernel has reported a source.
    Ready {
        /// Which.
        source: R,
        /// Reading will not block.
        readable: bool,
        /// Writing will not block.
        writable: bool,
    },
    /// A deadline has passed.
    Fired {
        /// The timer.
        timer: R,
    },
    /// A task begins to wait.
    Wait {
        /// Which, if it is one.
        task: Option<T>,
        /// For what.
        on: R,
        /// The task that has it, or has to bring it about, if that is known.
        holder: Option<T>,
    },
    /// A wait has ended.
    Waited {
        /// The task that waited.
        task: Option<T>,
        /// For what.
        on: R,
    },
    /// A timer was set.
    Set {
        /// Which.
        timer: R,
        /// Its deadline, in nanoseconds since the runtime was built.
        deadline: u64,
        /// The task that was running.
        task: Option<T>,
    },
    /// A timer was dropped before its deadline.
    Unset {
        /// Which.
        timer: R,
    },
    /// A source was registered.
    Open {
        /// Which.
        source: R,
        /// Its descriptor, if that is known.
        descriptor: Option<u32>,
    },
    /// A source has left.
    Close {
        /// Which.
        source: R,
    },
    /// A handle cancels a task.
    Cancel {
        /// Which.
        task: T,
        /// The task that was running, if one was.
        by: Option<T>,
    },
    /// A task gives way, because its budget is used up.
    Spent {
        /// Which.
        task: Option<T>,
    },
    /// The program has set a mark.
    Mark {
        /// What it says: a text.
        text: u32,
        /// The task that was running, if one was.
        task: Option<T>,
    },
    /// The shutdown begins, or its next step does.
    Shutdown {
        /// 1: all tasks are cancelled. 2: what their destructors have left runs. 3: what is still there is dropped. 4: timers,
        /// sources and threads end.
        step: u32,
    },
    /// Here, events are missing.
    Gap {
        /// How many.
        dropped: u64,
    },
}

impl<T: Copy, R: Copy> What<T, R> {
    /// The same, with other names for tasks and resources.
    pub(crate) fn map<U, S>(
        self,
        mut of_task: impl FnMut(T) -> U,
        mut of_resource: impl FnMut(R) -> S,
    ) -> What<U, S> {
        use What::{
            Cancel, Close, Done, Fired, Gap, Mark, Open, Park, Poll, Polled, Ready, Set, Shutdown, Spawn,
            Spent, Turn, Unheard, Unpark, Unset, Wait, Waited, Wake,
        };
        let (mut t, mut r) = (|task| of_task(task), |resource| of_resource(resource));
        match self {
            Turn { number } => Turn { number },
            Spawn { task } => Spawn { task: t(task) },
            Wake { task, by, cause } => Wake { task: t(task), by: by.map(t), cause: cause.map(r) },
            Poll { task } => Poll { task: t(task) },
            Polled { task, complete, panicked } => Polled { task: t(task), complete, panicked },
            Done { task, end } => Done { task: t(task), end },
            Unheard { task } => Unheard { task: t(task) },
            Park { limit } => Park { limit },
            Unpark => Unpark,
            Ready { source, readable, writable } => Ready { source: r(source), readable, writable },
            Fired { timer } => Fired { timer: r(timer) },
            Wait { task, on, holder } => Wait { task: task.map(&mut t), on: r(on), holder: holder.map(t) },
            Waited { task, on } => Waited { task: task.map(t), on: r(on) },
            Set { timer, deadline, task } => Set { timer: r(timer), deadline, task: task.map(t) },
            Unset { timer } => Unset { timer: r(timer) },
            Open { source, descriptor } => Open { source: r(source), descriptor },
            Close { source } => Close { source: r(source) },
            Cancel { task, by } => Cancel { task: t(task), by: by.map(t) },
            Spent { task } => Spent { task: task.map(t) },
            Mark { text, task } => Mark { text, task: task.map(t) },
            Shutdown { step } => Shutdown { step },
            Gap { dropped } => Gap { dropped },
        }
    }
}
