//! The loop that runs on this thread.
//!
//! Facts. `spawn`, `sleep` and a waker are called with no loop at hand, in the middle of foreign code.
//! A thread runs at most one loop at a time.
//!
//! What follows. The one thread-local of the core: a reference to the running loop's parts, and what the running poll may
//! still do ([`budget`]). The reference is set while a `block_on` or a shutdown runs on this thread. It is read by taking
//! it out, so that nothing of it is borrowed while anything else runs (invariant 4).
//!
//! What it does not know: how the loop turns, and which threads help it.

pub(crate) mod budget;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::core::clock::Clock;
use crate::core::executor::{Executor, Home};
use crate::core::id::TaskId;
use crate::core::inbox::Inbox;
use crate::core::probe::{Event, Probe};
use crate::core::random::Random;
use crate::core::reactor::Reactor;
use crate::core::timers::Timers;

/// The parts of a loop that can be reached from inside it.
pub(crate) struct Context {
    /// The runtime's number, in every task's number.
    pub(crate) runtime: u16,
    /// The same while the loop has no watcher, and otherwise a number that no runtime has. So one comparison tells a wake
    /// that the task is ours and that no watcher has to be told. A loop notices at its next turn that it has a watcher.
    pub(crate) unwatched: Cell<u32>,
    pub(crate) clock: Clock,
    pub(crate) executor: Rc<Executor>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) reactor: Rc<Reactor>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) helpers: Box<dyn Helpers>,
    pub(crate) probe: Rc<Probe>,
    /// For what programs leave to chance; the schedule has its own.
    pub(crate) random: Random,
    /// Set when the shutdown begins: what need not be done any more should not be begun.
    pub(crate) ending: Cell<bool>,
    /// Tasks that other threads have started since then: the shutdown does not wait for them.
    pub(crate) from_threads: RefCell<Vec<TaskId>>,
    /// In a loop that is watched, while a child of a group is polled: its own waker, and one that our code keeps instead.
    pub(crate) twin: Cell<Option<(Waker, Waker)>>,
}

/// The threads that do jobs for a loop. The loop only sees to their end.
pub(crate) trait Helpers: Any {
    /// Drops the jobs that have not begun.
    fn clear(&self);
    /// Refuses jobs from now on.
    fn close(&self);
    /// Waits until the threads have ended, or until the limit has passed.
    fn wait(&self, limit: Duration);
}

/// What a thread knows of the loop that it runs.
struct Here {
    /// Not dropped with the thread, so that a waker still works in the last destructors of a thread. [`Entered`] takes
    /// out what it has put in here, always.
    context: Cell<Option<ManuallyDrop<Rc<Context>>>>,
    budget: Cell<u32>,
    refused: Cell<u32>,
    /// Whether the loop has a watcher. Every lock and every message asks, and here that takes one instruction.
    watched: Cell<bool>,
    /// Whether a loop turns or shuts down on this thread, perhaps one that waits until another one has dropped a task.
    busy: Cell<bool>,
}

thread_local! {
    static HERE: Here = const {
        Here {
            context: Cell::new(None),
            budget: Cell::new(0),
            refused: Cell::new(0),
            watched: Cell::new(false),
            busy: Cell::new(false),
        }
    };
}

/// The loop that runs on this thread.
#[inline]
pub(crate) fn current() -> Option<Rc<Context>> {
    look(|context| context.cloned())
}

/// Looks at the loop that runs on this thread. If there is none, it panics: `what` was called in the wrong place. `f` is
/// code of ours, because the loop is borrowed meanwhile.
#[inline]
#[track_caller]
pub(crate) fn with<R>(what: &str, f: impl FnOnce(&Rc<Context>) -> R) -> R {
    match look(|context| context.map(f)) {
        Some(result) => result,
        None => no_loop(what),
    }
}

/// Takes the loop out of its place, looks at it, and puts it back, also if that panics.
#[inline]
fn look<R>(f: impl FnOnce(Option<&Rc<Context>>) -> R) -> R {
    HERE.with(|here| {
        let looked_at = LookedAt { here, context: here.context.take() };
        f(looked_at.context.as_deref())
    })
}

struct LookedAt<'a> {
    here: &'a Here,
    context: Option<ManuallyDrop<Rc<Context>>>,
}

impl Drop for LookedAt<'_> {
    #[inline]
    fn drop(&mut self) {
        self.here.context.set(self.context.take());
    }
}

/// A reference to the loop that runs on this thread.
#[track_caller]
pub(crate) fn expect(what: &str) -> Rc<Context> {
    with(what, Rc::clone)
}

#[cold]
#[track_caller]
fn no_loop(what: &str) -> ! {
    panic!(
        "`{what}` was called outside a roundel loop: call it from inside `roundel::run` or `Runtime::block_on`"
    )
}

/// Whether the loop that runs on this thread has a watcher.
#[inline]
pub(crate) fn is_watched() -> bool {
    cfg!(feature = "diagnostics") && HERE.with(|here| here.watched.get())
}

/// Whether a loop turns or shuts down on this thread: a wait would stall it.
pub(crate) fn is_busy() -> bool {
    HERE.with(|here| here.busy.get())
}

/// Makes a loop the one that runs on this thread, until the guard is dropped. `busy` says that it turns or shuts down.
pub(crate) fn enter(context: Rc<Context>, busy: bool) -> Entered {
    HERE.with(|here| Entered {
        watched: here.watched.replace(context.probe.is_on()),
        busy: here.busy.replace(busy || here.busy.get()),
        before: here.context.replace(Some(ManuallyDrop::new(context))),
    })
}

/// What was so before a loop was entered.
pub(crate) struct Entered {
    before: Option<ManuallyDrop<Rc<Context>>>,
    watched: bool,
    busy: bool,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = HERE.with(|here| {
            here.watched.set(self.watched);
            here.busy.set(self.busy);
            here.context.replace(self.before.take())
        });
        drop(left.map(ManuallyDrop::into_inner));
    }
}

impl Home for Context {
    fn run(self: Rc<Self>, f: &mut dyn FnMut()) {
        let is_here = look(|context| context.is_some_and(|context| Rc::ptr_eq(context, &self)));
        let _entered = (!is_here).then(|| enter(self, false));
        f();
    }
}

/// Wakes a task of the loop that runs on this thread. False if it belongs to another loop, or if this one is watched.
#[inline]
pub(crate) fn wake_here(id: TaskId) -> bool {
    // Invariant 3: this only enqueues, so the loop may stay borrowed, if no watcher has to be told.
    look(|context| match context {
        Some(context) if context.unwatched.get() == u32::from(id.runtime()) => context.executor.try_wake(id),
        _ => false,
    })
}

impl Context {
    /// At the begin of a turn: takes note of whether there is a watcher. It may have come, or gone, since the last one.
    #[inline]
    pub(crate) fn look_for_watcher(&self) {
        let is_on = self.probe.is_on();
        if is_on == (self.unwatched.get() == self.runtime.into()) {
            self.unwatched.set(if is_on { u32::MAX } else { self.runtime.into() });
            self.executor.set_watched(is_on);
            HERE.with(|here| here.watched.set(is_on));
        }
    }

    /// Wakes a task of this loop.
    #[inline]
    pub(crate) fn wake_task(&self, id: TaskId) {
        if self.executor.wake(id) {
            self.probe.emit(|| Event::Wake { task: id, by: self.executor.running() });
        }
    }
}
