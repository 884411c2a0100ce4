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
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::clock::Clock;
use crate::dice::Dice;
use crate::executor::Executor;
use crate::id::TaskId;
use crate::inbox::{Debt, Inbox};
use crate::pool::LazyPool;
use crate::probe::{Event, Probe};
use crate::reactor::Reactor;
use crate::timers::Timers;

/// What of a loop can be reached from inside it.
pub(crate) struct Context {
    /// The runtime's number, in every task's number.
    pub(crate) runtime: u16,
    pub(crate) clock: Clock,
    pub(crate) executor: Rc<Executor>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) reactor: Rc<Reactor>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) pool: LazyPool,
    pub(crate) probe: Rc<Probe>,
    pub(crate) budget: Budget,
    /// For what programs leave to chance; the schedule has its own.
    pub(crate) dice: Dice,
    /// The shutdown has begun: what need not be done any more should not be begun.
    pub(crate) ending: Cell<bool>,
}

/// How much the running poll may still do.
pub(crate) struct Budget(Cell<u32>);

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

/// Looks at the loop that runs on this thread; `what` is what was called in vain if there is none. For code of
/// ours only: the loop is borrowed meanwhile.
#[inline]
#[track_caller]
pub(crate) fn with<R>(what: &str, look: impl FnOnce(&Context) -> R) -> R {
    match CURRENT.with(|current| current.borrow().as_deref().map(|context| look(context))) {
        Some(result) => result,
        None => no_loop(what),
    }
}

/// A reference to the loop that runs on this thread.
#[track_caller]
pub(crate) fn expect(what: &str) -> Rc<Context> {
    // Not `unwrap_or_else`: a closure would not be at the caller's line.
    match current() {
        Some(context) => context,
        None => no_loop(what),
    }
}

/// Another thread is going to answer this loop. That is counted only for a loop on virtual time.
pub(crate) fn debt() -> Option<Debt> {
    CURRENT.with(|current| {
        let current = current.borrow();
        let context = current.as_deref().filter(|context| context.clock.is_virtual())?;
        Some(Inbox::owe(&context.inbox))
    })
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
    // Invariant 3: this only enqueues, so the loop may stay borrowed. A watcher is told afterwards.
    let woken = CURRENT.with(|current| {
        let current = current.borrow();
        let context = current.as_deref().filter(|context| context.runtime == id.runtime())?;
        Some(context.executor.wake(id) && context.executor.is_watched())
    });
    if woken == Some(true) {
        report_wake(id);
    }
    woken.is_some()
}

#[cold]
#[inline(never)]
fn report_wake(id: TaskId) {
    if let Some(context) = current() {
        context.probe.emit(|| Event::Wake { task: id, by: context.executor.running() });
    }
}

impl Context {
    /// Wakes a task of this loop.
    pub(crate) fn wake_task(&self, id: TaskId) {
        if self.executor.wake(id) {
            self.probe.emit(|| Event::Wake { task: id, by: self.executor.running() });
        }
    }
}

impl Budget {
    pub(crate) fn new() -> Budget {
        Budget(Cell::new(BUDGET))
    }

    /// A poll begins: it may do this much.
    #[inline]
    pub(crate) fn refill(&self) {
        self.0.set(BUDGET);
    }

    #[inline]
    fn spend(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

/// Whether somebody watches the loop that runs on this thread.
#[inline]
pub(crate) fn is_watched() -> bool {
    CURRENT.with(|current| current.borrow().as_deref().is_some_and(|context| context.executor.is_watched()))
}

/// Counts one operation against the poll's budget. `Pending` when it is used up: the task has been woken
/// and is to return, so that others get their turn. Outside a loop there is no budget.
#[inline]
pub(crate) fn spend(waker: &Waker) -> Poll<()> {
    let may_go_on =
        CURRENT.with(|current| current.borrow().as_deref().is_none_or(|context| context.budget.spend()));
    if may_go_on {
        return Poll::Ready(());
    }
    waker.wake_by_ref();
    Poll::Pending
}

/// A random number from zero up to, and without, one: from the running loop's dice, if there is one.
pub(crate) fn roll() -> f64 {
    let rolled = CURRENT.with(|current| current.borrow().as_deref().map(|context| context.dice.fraction()));
    rolled.unwrap_or_else(|| Dice::unseeded().fraction())
}
