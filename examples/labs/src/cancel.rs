//! Lab 7: cancel by dropping.
//!
//! Facts. A future does nothing by itself, so dropping it is all that is needed to end it. But the one that cancels is
//! seldom the one that owns: the future may be running at that moment, and its destructor may cancel again.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::check::{Check, ensure, same};
use crate::diary::{act, new_case};
use crate::hands::{Hand, calls};
use crate::outcome::Outcome;

/// Work that can be cancelled.
pub type Work = Pin<Box<dyn Future<Output = u32>>>;

/// The work was cancelled before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

/// What the learner writes: a future that owns the work.
pub trait Cancellable: Future<Output = Result<u32, Cancelled>> + Unpin + Sized + 'static {
    /// What cancels the work.
    type Handle: 'static;
    /// The work, and a handle to cancel it. Nothing is polled yet.
    fn new(work: Work) -> (Self, Self::Handle);
    /// Drops the work at once, or right after its poll if it runs now. Wakes the task that awaits it.
    fn cancel(handle: &Self::Handle);
}

/// The checks of lab 7.
#[must_use]
pub fn checks<A: Cancellable>() -> Vec<Check> {
    vec![
        Check::new("work that is not cancelled returns its result", undisturbed::<A>, OWN),
        Check::new("cancelling drops the work at once, not at the next poll", at_once::<A>, AT_ONCE),
        Check::new("the task that awaits the work is woken, and told", woken::<A>, WOKEN),
        Check::new("work that is cancelled before its first poll never begins", unbegun::<A>, AT_ONCE),
        Check::new("cancelling twice, or after the end, changes nothing", twice::<A>, LATE),
        Check::new("work can cancel itself while it runs", itself::<A>, RUNNING),
        Check::new("the destructor of the work may cancel, too", in_drop::<A>, DROPPED),
        Check::new("a waker may cancel, too", in_wake::<A>, DROPPED),
        Check::new("dropping the future drops the work, although a handle is left", owner::<A>, OWNER),
    ]
}

const OWN: &str =
    "The future polls the work with the context that it is given, and passes on what the work returns.";
const AT_ONCE: &str = "A task that was cancelled still holds its locks, sockets and memory until its future is dropped. Its \
    next poll may never come. So `cancel` itself has to reach the work.";
const WOKEN: &str =
    "The task that awaits will not look again by itself. What tells a task that something has changed?";
const LATE: &str = "A handle lives as long as its owner likes. For each state of the work, ask what is left to \
    cancel: not begun, waiting, running, done, cancelled.";
const RUNNING: &str = "While the work is polled, it cannot be dropped, and what is borrowed for the poll cannot be borrowed \
    again. Take the work out of its place for the poll. What tells you, after the poll, that it must not go back?";
const DROPPED: &str = "Destructors and wakers are foreign code, which may call `cancel`. Take out, let go of what is \
    borrowed, and only then drop or wake.";
const OWNER: &str = "The future owns the work; a handle can only reach it. If both share one place, which of them has to \
    empty it?";

/// Sets a flag when it is dropped.
struct Guard(Rc<Cell<bool>>);

impl Drop for Guard {
    fn drop(&mut self) {
        act("(the work is dropped)");
        self.0.set(true);
    }
}

/// Work that never ends, and the flag that its end sets.
fn endless() -> (Work, Rc<Cell<bool>>) {
    let gone = Rc::new(Cell::new(false));
    let guard = Guard(gone.clone());
    let work = Box::pin(async move {
        let _guard = guard;
        std::future::pending().await
    });
    (work, gone)
}

fn poll(hand: &mut Hand<Result<u32, Cancelled>>) -> bool {
    act("the future is polled");
    hand.poll()
}

fn cancel<A: Cancellable>(handle: &A::Handle) {
    act("cancel");
    A::cancel(handle);
}

fn output(hand: &Hand<Result<u32, Cancelled>>, expected: Option<Result<u32, Cancelled>>) -> Outcome {
    same("output", &expected, &hand.output)
}

fn undisturbed<A: Cancellable>() -> Outcome {
    act("work that waits once, then returns 7");
    let mut polls = 0;
    let (future, _handle) = A::new(Box::pin(poll_fn(move |cx| {
        polls += 1;
        cx.waker().wake_by_ref();
        if polls < 2 { Poll::Pending } else { Poll::Ready(7) }
    })));
    let mut hand = Hand::new(future);
    ensure(!poll(&mut hand), "it waits", "it is over")?;
    ensure(hand.is_woken(), "the work wakes the task", "it does not: it was polled with another waker")?;
    poll(&mut hand);
    output(&hand, Some(Ok(7)))
}

fn at_once<A: Cancellable>() -> Outcome {
    let (work, gone) = endless();
    let (future, handle) = A::new(work);
    let mut hand = Hand::new(future);
    poll(&mut hand);
    cancel::<A>(&handle);
    ensure(gone.get(), "the work is dropped before `cancel` returns", "it still exists")
}

fn woken<A: Cancellable>() -> Outcome {
    let (work, _) = endless();
    let (future, handle) = A::new(work);
    let mut hand = Hand::new(future);
    poll(&mut hand);
    cancel::<A>(&handle);
    ensure(hand.is_woken(), "the task is woken", "it is not")?;
    poll(&mut hand);
    output(&hand, Some(Err(Cancelled)))
}

fn unbegun<A: Cancellable>() -> Outcome {
    let (work, gone) = endless();
    let (future, handle) = A::new(work);
    cancel::<A>(&handle);
    ensure(gone.get(), "the work is dropped before `cancel` returns", "it still exists")?;
    let mut hand = Hand::new(future);
    poll(&mut hand);
    output(&hand, Some(Err(Cancelled)))
}

fn twice<A: Cancellable>() -> Outcome {
    let (work, _) = endless();
    let (future, handle) = A::new(work);
    let mut hand = Hand::new(future);
    poll(&mut hand);
    cancel::<A>(&handle);
    cancel::<A>(&handle);
    poll(&mut hand);
    cancel::<A>(&handle);
    output(&hand, Some(Err(Cancelled)))?;
    // And when the work is done.
    new_case();
    act("work that returns 7 at once");
    let (future, handle) = A::new(Box::pin(async { 7 }));
    let mut hand = Hand::new(future);
    poll(&mut hand);
    cancel::<A>(&handle);
    output(&hand, Some(Ok(7)))
}

/// A place for a handle that the work itself uses.
type Later<H> = Rc<RefCell<Option<Rc<H>>>>;

/// Cancels with the handle that has been put here.
fn cancel_with<A: Cancellable>(later: &Later<A::Handle>, caller: &str) {
    act(format_args!("{caller} calls cancel"));
    let handle = later.borrow().clone();
    handle.iter().for_each(|handle| A::cancel(handle));
}

fn itself<A: Cancellable>() -> Outcome {
    let later: Later<A::Handle> = Rc::default();
    let (own, gone) = (later.clone(), Rc::new(Cell::new(false)));
    let guard = Guard(gone.clone());
    let (future, handle) = A::new(Box::pin(async move {
        let _guard = guard;
        cancel_with::<A>(&own, "the work, during its poll,");
        std::future::pending().await
    }));
    later.replace(Some(Rc::new(handle)));
    let mut hand = Hand::new(future);
    let over = poll(&mut hand);
    ensure(gone.get(), "the work is dropped right after its poll", "it still exists")?;
    // The end may be told by the same poll, or by one more.
    let told = over || hand.is_woken();
    ensure(told, "the future is over, or its task is woken", "it waits, and nothing will wake it")?;
    hand.poll();
    output(&hand, Some(Err(Cancelled)))
}

/// Cancels when it is dropped.
struct Cancels<A: Cancellable>(Later<A::Handle>);

impl<A: Cancellable> Drop for Cancels<A> {
    fn drop(&mut self) {
        cancel_with::<A>(&self.0, "the destructor of the work");
    }
}

fn in_drop<A: Cancellable>() -> Outcome {
    let later: Later<A::Handle> = Rc::default();
    let cancels = Cancels::<A>(later.clone());
    let (future, handle) = A::new(Box::pin(async move {
        let _cancels = cancels;
        std::future::pending().await
    }));
    let handle = Rc::new(handle);
    later.replace(Some(handle.clone()));
    let mut hand = Hand::new(future);
    poll(&mut hand);
    cancel::<A>(&handle);
    poll(&mut hand);
    output(&hand, Some(Err(Cancelled)))?;
    // And after a poll in which the work has cancelled itself.
    new_case();
    let later: Later<A::Handle> = Rc::default();
    let (own, cancels) = (later.clone(), Cancels::<A>(later.clone()));
    let (future, handle) = A::new(Box::pin(async move {
        let _cancels = cancels;
        cancel_with::<A>(&own, "the work, during its poll,");
        std::future::pending().await
    }));
    later.replace(Some(Rc::new(handle)));
    let mut hand = Hand::new(future);
    poll(&mut hand);
    hand.poll();
    output(&hand, Some(Err(Cancelled)))
}

fn in_wake<A: Cancellable>() -> Outcome {
    let (work, _) = endless();
    let (future, handle) = A::new(work);
    let handle = Rc::new(handle);
    let again = handle.clone();
    let waker: Waker = calls(move || cancel::<A>(&again));
    let mut hand = Hand::new(future);
    act("the future is polled, with a waker that cancels when it is woken");
    hand.poll_with(&waker);
    cancel::<A>(&handle);
    hand.poll();
    output(&hand, Some(Err(Cancelled)))
}

fn owner<A: Cancellable>() -> Outcome {
    let (work, gone) = endless();
    let (future, handle) = A::new(work);
    let mut hand = Hand::new(future);
    poll(&mut hand);
    act("the future is dropped");
    hand.drop_future();
    ensure(gone.get(), "the work is dropped with the future", "it still exists")?;
    cancel::<A>(&handle);
    Ok(())
}
