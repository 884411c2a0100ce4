//! Which loop runs on this thread, and which of its tasks.
//!
//! Facts. `spawn`, `sleep` and a waker are called with no loop at hand, in the middle of foreign code.
//! A thread runs at most one loop at a time.
//!
//! What follows. The one thread-local of this crate: a reference to the running loop's parts. It is set
//! while a `block_on` or a shutdown runs on this thread, and it is read by taking a reference out, so that
//! nothing of it is borrowed while anything else runs (invariant 4).
//!
//! It also holds the *budget*: how many operations the running poll may still do before it has to give way.
//! A source that is always ready would otherwise keep one task running for ever.
//!
//! What it does not know: how the loop turns.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::clock::Clock;
use crate::executor::Executor;
use crate::id::TaskId;
use crate::inbox::Inbox;
use crate::probe::{Event, Probe};
use crate::reactor::Reactor;
use crate::ready::Ready;
use crate::timers::Timers;

/// What of a loop can be reached from inside it.
pub(crate) struct Context {
    pub(crate) clock: Clock,
    pub(crate) ready: Rc<Ready>,
    pub(crate) executor: Rc<Executor>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) reactor: Rc<Reactor>,
    pub(crate) inbox: std::sync::Arc<Inbox>,
    pub(crate) probe: Rc<Probe>,
    budget: Cell<u32>,
}

/// How many operations one poll may do. Enough for a burst, not enough to be noticed by the others.
const BUDGET: u32 = 128;

thread_local! {
    /// Not dropped with the thread, so that a waker still works in the last destructors of a thread: what
    /// is put in here is taken out again by [`Entered`], always.
    static CURRENT: RefCell<Option<ManuallyDrop<Rc<Context>>>> = const { RefCell::new(None) };
}

/// The loop that runs on this thread.
#[inline]
pub(crate) fn current() -> Option<Rc<Context>> {
    CURRENT.with(|current| current.borrow().as_deref().cloned())
}

/// The loop that runs on this thread; `what` is what was called in vain if there is none.
#[inline]
#[track_caller]
pub(crate) fn expect(what: &str) -> Rc<Context> {
    match current() {
        Some(context) => context,
        None => no_loop(what),
    }
}

#[cold]
#[track_caller]
fn no_loop(what: &str) -> ! {
    panic!(
        "`{what}` was called outside a roundel loop: call it from inside `roundel::run` or `Runtime::block_on`"
    )
}

/// Makes a loop the one that runs on this thread, until the guard is dropped.
pub(crate) fn enter(context: Rc<Context>) -> Entered {
    let before = CURRENT.with(|current| current.borrow_mut().replace(ManuallyDrop::new(context)));
    Entered { before }
}

pub(crate) struct Entered {
    before: Option<ManuallyDrop<Rc<Context>>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let ours = CURRENT.with(|current| std::mem::replace(&mut *current.borrow_mut(), self.before.take()));
        drop(ours.map(ManuallyDrop::into_inner));
    }
}

/// Wakes a task of the loop that runs on this thread. False if it belongs to another one.
#[inline]
pub(crate) fn wake_here(id: TaskId) -> bool {
    match current() {
        Some(context) if context.ready.runtime() == id.runtime() => {
            context.wake(id);
            true
        }
        _ => false,
    }
}

impl Context {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        clock: Clock,
        ready: Rc<Ready>,
        executor: Rc<Executor>,
        timers: Rc<Timers>,
        reactor: Rc<Reactor>,
        inbox: std::sync::Arc<Inbox>,
        probe: Rc<Probe>,
    ) -> Context {
        Context { clock, ready, executor, timers, reactor, inbox, probe, budget: Cell::new(BUDGET) }
    }

    /// Invariant 3: this only enqueues.
    #[inline]
    pub(crate) fn wake(&self, id: TaskId) {
        if self.ready.wake(id) {
            self.probe.emit(|| Event::Wake { task: id, by: self.executor.running() });
        }
    }

    /// A poll begins: it may do this much.
    #[inline]
    pub(crate) fn refill_budget(&self) {
        self.budget.set(BUDGET);
    }
}

/// Counts one operation against the poll's budget. `Pending` when it is used up: the task has been woken
/// and is to return, so that others get their turn. Outside a loop there is no budget.
#[inline]
pub(crate) fn spend(waker: &Waker) -> Poll<()> {
    let Some(context) = current() else { return Poll::Ready(()) };
    match context.budget.get().checked_sub(1) {
        Some(left) => {
            context.budget.set(left);
            Poll::Ready(())
        }
        None => {
            waker.wake_by_ref();
            Poll::Pending
        }
    }
}
