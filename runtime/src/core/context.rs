//! Which loop runs on this thread, and which of its tasks.
//!
//! Facts. `spawn`, `sleep` and a waker are called with no loop at hand, in the middle of foreign code.
//! A thread runs at most one loop at a time.
//!
//! What follows. The one thread-local of this crate: a reference to the running loop's parts. It is set
//! while a `block_on` or a shutdown runs on this thread, and it is read by taking a reference out, so that
//! nothing of it is borrowed while anything else runs (invariant 4).
//!
//! It also holds the *budget*. The rule: each await of a future of this crate is an operation; a poll of a task may do
//! 128 of them, and the next one gives way: it wakes its task and returns `Pending`. Without it, a source that
//! is always ready would keep one task running for ever.
//!
//! "The budget is used up" and "not ready" are both `Pending`, and a future that decides by what its children say must
//! not take the one for the other. So the combinators poll each child in a [`share`]: with half a budget at least, of which
//! they pay what the child used. A child that is `Pending` then is not ready, or has done 64 operations in this very poll. (A
//! foreign combinator that polls a child just once, like `now_or_never`, cannot tell the difference.)
//!
//! What it does not know: how the loop turns.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Poll, Waker, ready};

use crate::core::clock::Clock;
use crate::core::executor::{Executor, Home};
use crate::core::id::TaskId;
use crate::core::inbox::{Debt, Inbox};
use crate::core::probe::{Event, Probe};
use crate::core::random::Random;
use crate::core::reactor::Reactor;
use crate::core::timers::Timers;
use crate::pool::LazyPool;

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
    /// For what programs leave to chance; the schedule has its own.
    pub(crate) random: Random,
    /// The shutdown has begun: what need not be done any more should not be begun.
    pub(crate) ending: Cell<bool>,
    /// Tasks that other threads have started since then: the shutdown does not wait for them.
    pub(crate) from_threads: RefCell<Vec<TaskId>>,
}

/// How many operations one poll may do. Enough for a burst, not enough to be noticed by the others.
const BUDGET: u32 = 128;

/// What is left for the rest of the poll when an operation has given way: in a foreign combinator, the futures after the
/// one that used the budget up get something, too.
const RESERVE: u32 = 16;

/// After so many operations that gave way in one poll, it is an executor inside a task that asks again and again without
/// ever going back to the loop. It gets a new budget, or it would ask for ever.
const STUBBORN: u32 = 128;

/// What a thread knows of the loop that it runs.
struct Here {
    /// Not dropped with the thread, so that a waker still works in the last destructors of a thread: what is put in
    /// here is taken out again by [`Entered`], always.
    context: Cell<Option<ManuallyDrop<Rc<Context>>>>,
    /// How much the running poll may still do; without a loop, it does not count.
    budget: Cell<u32>,
    /// How many operations of the running poll have given way.
    refused: Cell<u32>,
    /// Whether the loop has a watcher. This and the budget are asked for at every lock and every message, so they lie
    /// where no borrow is needed to reach them.
    watched: Cell<bool>,
    /// Whether a loop turns or shuts down on this thread, perhaps below another one that only drops a task.
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

/// Looks at the loop that runs on this thread; `what` is what was called in vain if there is none. For code of
/// ours only: the loop is borrowed meanwhile.
#[inline]
#[track_caller]
pub(crate) fn with<R>(what: &str, f: impl FnOnce(&Context) -> R) -> R {
    match look(|context| context.map(|context| f(context))) {
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
    // Not `unwrap_or_else`: a closure would not be at the caller's line.
    match current() {
        Some(context) => context,
        None => no_loop(what),
    }
}

/// Another thread is going to answer this loop. That is counted only for a loop on virtual time.
pub(crate) fn debt() -> Option<Debt> {
    look(|context| {
        let context = context.filter(|context| context.clock.is_virtual())?;
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

/// Makes a loop the one that runs on this thread, until the guard is dropped. `busy` says that it turns or shuts down.
pub(crate) fn enter(context: Rc<Context>, busy: bool) -> Entered {
    HERE.with(|here| {
        let (watched, executor) = (context.executor.is_watched(), Rc::clone(&context.executor));
        let before = here.context.replace(Some(ManuallyDrop::new(context)));
        before.iter().for_each(|before| before.executor.set_at_home(false));
        executor.set_at_home(true);
        Entered {
            before,
            watched: here.watched.replace(watched),
            busy: here.busy.replace(busy || here.busy.get()),
        }
    })
}

/// Whether a loop turns or shuts down on this thread, which a wait would hold up.
pub(crate) fn is_busy() -> bool {
    HERE.with(|here| here.busy.get())
}

pub(crate) struct Entered {
    before: Option<ManuallyDrop<Rc<Context>>>,
    watched: bool,
    busy: bool,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let ours = HERE.with(|here| {
            here.watched.set(self.watched);
            here.busy.set(self.busy);
            let before = self.before.take();
            let at_home = before.as_ref().map(|before| Rc::clone(&before.executor));
            let ours = here.context.replace(before);
            ours.iter().for_each(|ours| ours.executor.set_at_home(false));
            at_home.into_iter().for_each(|executor| executor.set_at_home(true));
            ours
        });
        drop(ours.map(ManuallyDrop::into_inner));
    }
}

impl Home for Context {
    fn run(self: Rc<Self>, f: &mut dyn FnMut()) {
        let _entered = enter(self, false);
        f();
    }
}

/// Wakes a task of the loop that runs on this thread. False if it belongs to another one, or if somebody watches.
#[inline]
pub(crate) fn wake_here(id: TaskId) -> bool {
    // Invariant 3: this only enqueues, so the loop may stay borrowed, if no watcher has to be told.
    look(|context| match context {
        Some(context) if context.runtime == id.runtime() && !is_watched() => {
            context.executor.wake(id);
            true
        }
        _ => false,
    })
}

/// The same where somebody watches.
#[cold]
pub(crate) fn wake_here_and_tell(id: TaskId) -> bool {
    let context = current().filter(|context| context.runtime == id.runtime());
    context.map(|context| context.wake_task(id)).is_some()
}

impl Context {
    /// Wakes a task of this loop.
    #[inline]
    pub(crate) fn wake_task(&self, id: TaskId) {
        if self.executor.wake(id) {
            self.probe.emit(|| Event::Wake { task: id, by: self.executor.running() });
        }
    }
}

/// A poll begins: it may do this much.
#[inline]
pub(crate) fn refill_budget() {
    HERE.with(|here| {
        here.budget.set(BUDGET);
        here.refused.set(0);
    });
}

/// Whether somebody watches the loop that runs on this thread.
#[inline]
pub(crate) fn is_watched() -> bool {
    HERE.with(|here| here.watched.get())
}

/// Counts one operation against the poll's budget. `Pending` when it is used up: the task has been woken
/// and is to return, so that others get their turn. Outside a loop there is no budget.
#[inline]
pub(crate) fn spend(waker: &Waker) -> Poll<()> {
    if try_spend() { Poll::Ready(()) } else { give_way(waker) }
}

/// Counts one operation, if there is something left. If not, the operation has to ask [`spend`], which decides.
#[inline]
pub(crate) fn try_spend() -> bool {
    HERE.with(|here| {
        let left = here.budget.get();
        if left > 0 {
            here.budget.set(left - 1);
        }
        left > 0
    })
}

#[cold]
fn give_way(waker: &Waker) -> Poll<()> {
    let in_loop = current().is_some();
    HERE.with(|here| {
        let refused = here.refused.get() + 1;
        here.refused.set(refused);
        match refused {
            _ if !in_loop => refill_budget(),
            1 => here.budget.set(RESERVE),
            STUBBORN => refill_budget(),
            _ => {}
        }
    });
    if !in_loop {
        return Poll::Ready(());
    }
    waker.wake_by_ref();
    Poll::Pending
}

/// Polls a child of a combinator, by `poll`, with half a budget at least; what it uses is paid from ours.
#[inline]
pub(crate) fn share<R>(poll: impl FnOnce() -> R) -> R {
    // Nearly always there is enough, and the child spends from it directly.
    let enough = HERE.with(|here| here.budget.get() >= BUDGET / 2);
    let _debtor = (!enough).then(Debtor::new);
    poll()
}

/// For a combinator with one child: counts an operation, and polls the child in a [`share`]. What the child said is inside;
/// `Pending` outside means that the combinator itself gives way, and knows nothing.
#[inline]
pub(crate) fn poll_child<R>(
    cx: &mut task::Context<'_>,
    poll: impl FnOnce(&mut task::Context<'_>) -> R,
) -> Poll<R> {
    let enough = HERE.with(|here| {
        let left = here.budget.get();
        let enough = left > BUDGET / 2;
        if enough {
            here.budget.set(left - 1);
        }
        enough
    });
    if enough { Poll::Ready(poll(cx)) } else { poll_child_with_little(cx, poll) }
}

#[cold]
#[inline(never)]
fn poll_child_with_little<R>(
    cx: &mut task::Context<'_>,
    poll: impl FnOnce(&mut task::Context<'_>) -> R,
) -> Poll<R> {
    ready!(spend(cx.waker()));
    Poll::Ready(share(|| poll(cx)))
}

/// What the parent had when its child was given a new budget; it pays when the child has been polled, also if that panicked.
struct Debtor {
    budget: u32,
    refused: u32,
}

impl Debtor {
    #[cold]
    fn new() -> Debtor {
        let debtor = HERE.with(|here| Debtor { budget: here.budget.get(), refused: here.refused.get() });
        refill_budget();
        debtor
    }
}

impl Drop for Debtor {
    #[cold]
    fn drop(&mut self) {
        HERE.with(|here| {
            // A child that gave way has used up all there was.
            let left = if here.refused.get() > 0 { 0 } else { here.budget.get() };
            here.budget.set(self.budget.saturating_sub(BUDGET - left));
            here.refused.set(self.refused);
        });
    }
}

/// A random number from zero up to, and without, one: from the running loop's generator, if there is one.
pub(crate) fn random() -> f64 {
    let number = look(|context| context.map(|context| context.random.fraction()));
    number.unwrap_or_else(|| Random::unseeded().fraction())
}
