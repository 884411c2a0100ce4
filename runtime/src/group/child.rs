//! A child of a scope, and its handle.
//!
//! Facts. A child and its handle may end in either order, and each may have to wake the other. A child that ends wakes
//! the task that awaits its handle; a handle that cancels wakes the child.
//!
//! What follows. The two share a counted [`Link`]. A wrapper around the child's own future drops that future when it is
//! over, before the handle can learn of the end.
//!
//! An output may hold the handle of another child, whose output holds the next handle, and so on. So the scope also
//! keeps each output that has not been fetched. A handle that is dropped while an output is being dropped leaves its
//! own output to the scope, which drops them in a loop instead of a recursion.
//!
//! Invariants. 4: wakers and outputs are taken out before they are used or dropped. 11: a panic is one way to end.
//!
//! What it does not know: scopes.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::core::context::budget;
use crate::core::panics::{self, Payload, contain, swallow};
use crate::error::JoinError;
use crate::group::rest::Rest;
use crate::waiter::Waiter;
use crate::waiting::Watched;
use crate::waits::Doubt;

/// How the body or a child ended.
pub(super) enum ChildEnd<'a> {
    /// It ended, and nothing is left to be done.
    Fine,
    /// It ended with an output that its handle has not fetched yet.
    Kept(Rc<dyn Keep + 'a>),
    /// It ended with an error. When the value inside is dropped, the child's handle learns that the child is over. That
    /// comes late: a child that awaits the handle is cancelled first, and is not to see this one end.
    Failed(Box<dyn Silence + 'a>),
    /// It panicked, with this.
    Panicked(Payload),
}

/// A value that does nothing until it is dropped.
pub(super) trait Silence {}

impl<T> Silence for T {}

/// What a child and its handle share.
struct Link<T> {
    /// The child's output, from its end until the handle fetches it.
    output: Cell<Option<T>>,
    /// Set when the child is over, after its future and its cleanups. Never cleared.
    over: Cell<bool>,
    /// Set while there is a handle. Without one, no output is kept and no waker of the child is needed.
    wanted: Cell<bool>,
    /// Set by the handle's `cancel`, never cleared: the child drops its future at its next poll.
    cancelled: Cell<bool>,
    /// The task that awaits the handle.
    waiter: Cell<Option<Waiter>>,
    /// The child. Set at its first poll, if there is a handle that could cancel it. The handle may leave the scope.
    child: Cell<Option<(Waiter, Option<Doubt>)>>,
    /// The output's place among those that the scope keeps. `None` until the scope has it, and after the handle is
    /// gone.
    place: Cell<Option<usize>>,
    unfetched: Rc<Unfetched>,
    /// The child as the probe knows it.
    resource: Watched,
}

/// The outputs that a scope keeps, as the handles see them.
#[derive(Default)]
pub(super) struct Unfetched {
    /// The places of outputs whose handles are gone: the scope is to drop them.
    free: RefCell<Vec<usize>>,
    /// Set while an output is being dropped. A handle that is dropped then does not drop its output itself.
    dropping: Cell<bool>,
}

impl Unfetched {
    /// The place of an output that the scope no longer has to keep.
    pub(super) fn next_free(&self) -> Option<usize> {
        self.free.borrow_mut().pop()
    }

    /// Gives back the memory that is not used.
    pub(super) fn shrink(&self) {
        self.free.borrow_mut().shrink_to_fit();
    }

    /// Drops a value that may hold handles. Returns its panic.
    pub(super) fn release<T>(&self, value: T) -> Option<Payload> {
        let before = self.dropping.replace(true);
        let dropped = contain(|| drop(value));
        self.dropping.set(before);
        dropped.err()
    }
}

/// The link of a child and its handle, as the scope sees it.
pub(super) trait Keep {
    /// The scope keeps the output at this place.
    fn keep_at(&self, place: usize);
}

impl<T> Keep for Link<T> {
    fn keep_at(&self, place: usize) {
        self.place.set(Some(place));
    }
}

/// Makes a child and its handle. `judge` returns the output, or `None` if the child has failed.
#[track_caller]
pub(super) fn child<'a, F, T: 'a, J>(
    future: F,
    judge: J,
    unfetched: &Rc<Unfetched>,
) -> (Child<'a, F, T, J>, ScopedHandle<T>)
where
    F: Future,
    J: FnOnce(F::Output) -> Option<T>,
{
    // The link is shared by the child, its handle, and the end that tells the handle.
    let link = Rc::new(Link {
        output: Cell::new(None),
        over: Cell::new(false),
        wanted: Cell::new(true),
        cancelled: Cell::new(false),
        waiter: Cell::new(None),
        child: Cell::new(None),
        place: Cell::new(None),
        unfetched: Rc::clone(unfetched),
        resource: Watched::new(&"child of a scope"),
    });
    let handle = ScopedHandle { link: Rc::clone(&link), waiting: false };
    let end = Some(End(Rc::clone(&link)));
    (
        Child {
            future: Some(future),
            judge: Some(judge),
            polled: false,
            link,
            rest: None,
            end,
            scope: PhantomData,
        },
        handle,
    )
}

pin_project! {
    /// See [`child`].
    pub(super) struct Child<'a, F, T, J> {
        // `None` when it has ended or was cancelled.
        #[pin]
        future: Option<F>,
        // `None` when it has been called.
        judge: Option<J>,
        // Set at the first poll, never cleared.
        polled: bool,
        link: Rc<Link<T>>,
        // The cleanups that the future has left when it was cancelled.
        rest: Option<Rest>,
        // Dropped after the fields above: only then does the handle learn that the child is over.
        end: Option<End<T>>,
        scope: PhantomData<&'a ()>,
    }
}

/// When this is dropped, the handle learns that the child is over.
struct End<T>(Rc<Link<T>>);

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        self.0.over.set(true);
        self.0.waiter.take().into_iter().for_each(Waiter::wake);
    }
}

impl<'a, F, T, J> Future for Child<'a, F, T, J>
where
    F: Future,
    T: 'a,
    J: FnOnce(F::Output) -> Option<T>,
{
    type Output = ChildEnd<'a>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ChildEnd<'a>> {
        let mut this = self.project();
        // A cancelled child drops its future, and is over when the cleanups are.
        if this.link.cancelled.get() && this.future.is_some() {
            *this.rest = Rest::of(None, || this.future.set(None));
        }
        if let Some(rest) = this.rest {
            return match contain(|| Pin::new(rest).poll(cx)) {
                Ok(done) => done.map(|()| ChildEnd::Fine),
                Err(payload) => Poll::Ready(ChildEnd::Panicked(payload)),
            };
        }
        // At the first poll, tell the handle how to wake the child.
        let first = !std::mem::replace(this.polled, true);
        if first && this.link.wanted.get() {
            this.link.child.set(Some((Waiter::new(cx.waker()), Doubt::here())));
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(ChildEnd::Fine) };
        let output = match contain(|| future.poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => output,
            Err(payload) => return Poll::Ready(ChildEnd::Panicked(payload)),
        };
        // The future is gone before the handle can learn of its end.
        if let Err(payload) = contain(|| this.future.set(None)) {
            swallow(|| drop(output));
            return Poll::Ready(ChildEnd::Panicked(payload));
        }
        let Some(judge) = this.judge.take() else { return Poll::Ready(ChildEnd::Fine) };
        // A failure is reported to the handle only when the scope drops `end`.
        let Some(output) = judge(output) else {
            let end = this.end.take();
            return Poll::Ready(end.map_or(ChildEnd::Fine, |end| ChildEnd::Failed(Box::new(end))));
        };
        // The output waits for the handle. The scope keeps it as well, if there is a handle.
        this.link.output.set(Some(output));
        let kept = this.link.wanted.get().then(|| Rc::clone(this.link) as Rc<dyn Keep>);
        Poll::Ready(kept.map_or(ChildEnd::Fine, ChildEnd::Kept))
    }
}

/// The handle of a child of a scope. Awaiting it gives the child's output. Dropping it lets the child run on, and the
/// scope still waits for the child.
#[must_use = "to let a child run by itself, say `drop`: the scope still waits for it"]
pub struct ScopedHandle<T> {
    link: Rc<Link<T>>,
    /// Set while the probe knows of our wait: from its report that the wait begins until its report that it ends.
    waiting: bool,
}

impl<T> ScopedHandle<T> {
    /// Drops the child at the scope's next turn. If it has a cleanup, the child is over when the cleanup is. The other
    /// children and the scope go on.
    pub fn cancel(&self) {
        self.link.cancelled.set(true);
        self.link.child.take().into_iter().for_each(|(child, _)| child.wake());
    }

    /// Whether the child is over.
    pub fn is_finished(&self) -> bool {
        self.link.over.get()
    }

    #[inline]
    #[track_caller]
    fn announce(&mut self, waits: bool) {
        if std::mem::replace(&mut self.waiting, waits) != waits {
            self.link.resource.announce(0, waits);
        }
    }
}

impl<T> Future for ScopedHandle<T> {
    /// An error only if the child was cancelled. A panic cancels all children and comes out of the scope.
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.link.over.get() {
            let old = self.link.waiter.replace(Some(Waiter::new(cx.waker())));
            drop(old);
        }
        // Asked again, because cloning and dropping a waker run foreign code, which may end the child.
        let over = self.link.over.get();
        self.announce(!over);
        if !over {
            return Poll::Pending;
        }
        budget::spend(cx.waker()).map(|()| self.link.output.take().ok_or_else(JoinError::job_cancelled))
    }
}

impl<T> Drop for ScopedHandle<T> {
    fn drop(&mut self) {
        self.announce(false);
        self.link.wanted.set(false);
        let (waiter, child) = (self.link.waiter.take(), self.link.child.take());
        drop((waiter, child));
        // If the scope keeps the output, tell it to drop it. If no output is being dropped now, drop ours at once.
        let unfetched = &self.link.unfetched;
        self.link.place.take().into_iter().for_each(|place| unfetched.free.borrow_mut().push(place));
        if !unfetched.dropping.get() {
            unfetched.release(self.link.output.take()).into_iter().for_each(panics::go_on);
        }
    }
}

impl<T> fmt::Debug for ScopedHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedHandle").field("finished", &self.is_finished()).finish()
    }
}
