//! A child of a scope, and its handle.
//!
//! Facts. A child and its handle may end in either order, and each may have to wake the other: the child whoever awaits it,
//! the handle the child that is to stop.
//!
//! What follows. One counted cell between the two, and a future around the child's own that drops it when it is over, before
//! anybody hears of that.
//!
//! An output may hold the handle of another child, whose output holds the next, and so on. So an output that nothing has
//! fetched yet belongs to the scope as well, and a handle that is dropped inside the drop of an output leaves its own output
//! to the scope: a loop, not a recursion.
//!
//! Invariants. 4: wakers and outputs are taken out before they are used or dropped. 11: a panic is an outcome.
//!
//! What it does not know: scopes.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::core::context;
use crate::core::panics::{self, Payload, contain, swallow};
use crate::error::JoinError;
use crate::group::nest::Outcome;
use crate::group::rest::Rest;
use crate::waiter::Waiter;
use crate::waiting::Watched;

/// What a child and its handle share.
struct Shared<T> {
    output: Cell<Option<T>>,
    over: Cell<bool>,
    /// There is a handle.
    wanted: Cell<bool>,
    /// The child is to stop at its next poll.
    cancelled: Cell<bool>,
    /// Whoever awaits the handle.
    waiter: Cell<Option<Waiter>>,
    /// The child, if there is a handle that may want it to stop.
    child: Cell<Option<Waiter>>,
    /// The output's place among those that the scope keeps, if it is there.
    place: Cell<Option<usize>>,
    unfetched: Rc<Unfetched>,
    resource: Watched,
}

/// The outputs that a scope keeps, as the handles see them.
#[derive(Default)]
pub(super) struct Unfetched {
    /// Places of those whose handles are gone.
    free: RefCell<Vec<usize>>,
    /// An output is being dropped.
    dropping: Cell<bool>,
}

impl Unfetched {
    /// The place of an output that the scope need not keep any longer.
    pub(super) fn next_free(&self) -> Option<usize> {
        self.free.borrow_mut().pop()
    }

    /// Gives back the memory that is not used.
    pub(super) fn shrink(&self) {
        self.free.borrow_mut().shrink_to_fit();
    }

    /// Drops something in which there may be handles. Returns its panic.
    pub(super) fn release<T>(&self, value: T) -> Option<Payload> {
        let before = self.dropping.replace(true);
        let dropped = contain(|| drop(value));
        self.dropping.set(before);
        dropped.err()
    }
}

/// What a child and its handle share, as the scope sees it.
pub(super) trait Keep {
    /// The scope keeps it here.
    fn keep_at(&self, place: usize);
}

impl<T> Keep for Shared<T> {
    fn keep_at(&self, place: usize) {
        self.place.set(Some(place));
    }
}

/// A child and its handle. `judge` gives the output, or nothing if it is a failure.
pub(super) fn child<'a, F, T: 'a, J>(
    future: F,
    judge: J,
    unfetched: &Rc<Unfetched>,
) -> (Child<'a, F, T, J>, ScopedHandle<T>)
where
    F: Future,
    J: FnOnce(F::Output) -> Option<T>,
{
    let shared = Rc::new(Shared {
        output: Cell::new(None),
        over: Cell::new(false),
        wanted: Cell::new(true),
        cancelled: Cell::new(false),
        waiter: Cell::new(None),
        child: Cell::new(None),
        place: Cell::new(None),
        unfetched: Rc::clone(unfetched),
        resource: Watched::new("child of a scope"),
    });
    let handle = ScopedHandle { shared: Rc::clone(&shared), waiting: false };
    let end = Some(End(Rc::clone(&shared)));
    (
        Child {
            future: Some(future),
            judge: Some(judge),
            polled: false,
            shared,
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
        #[pin]
        future: Option<F>,
        judge: Option<J>,
        polled: bool,
        shared: Rc<Shared<T>>,
        // What the future left when it was cancelled.
        rest: Option<Rest>,
        // Dropped last: only then does anybody hear that the child is over.
        end: Option<End<T>>,
        scope: PhantomData<&'a ()>,
    }
}

/// Tells the handle, when it is dropped, that the child is over.
struct End<T>(Rc<Shared<T>>);

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
    type Output = Outcome<'a>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<'a>> {
        let mut this = self.project();
        if this.shared.cancelled.get() && this.future.is_some() {
            *this.rest = Rest::of(None, || this.future.set(None));
        }
        if let Some(rest) = this.rest {
            return match contain(|| Pin::new(rest).poll(cx)) {
                Ok(done) => done.map(|()| Outcome::Fine),
                Err(payload) => Poll::Ready(Outcome::Panicked(payload)),
            };
        }
        let first = !std::mem::replace(this.polled, true);
        if first && this.shared.wanted.get() {
            this.shared.child.set(Some(Waiter::new(cx.waker())));
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(Outcome::Fine) };
        let output = match contain(|| future.poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => output,
            Err(payload) => return Poll::Ready(Outcome::Panicked(payload)),
        };
        // Gone before anybody hears of it.
        if let Err(payload) = contain(|| this.future.set(None)) {
            swallow(|| drop(output));
            return Poll::Ready(Outcome::Panicked(payload));
        }
        let Some(judge) = this.judge.take() else { return Poll::Ready(Outcome::Fine) };
        let output = judge(output);
        if output.is_none() {
            return Poll::Ready(this.end.take().map_or(Outcome::Fine, |end| Outcome::Failed(Box::new(end))));
        }
        this.shared.output.set(output);
        let kept = this.shared.wanted.get().then(|| Rc::clone(this.shared) as Rc<dyn Keep>);
        Poll::Ready(kept.map_or(Outcome::Fine, Outcome::Kept))
    }
}

/// A child of a scope, as its spawner sees it. Awaiting it gives the child's output. Dropping it lets the child run on;
/// the scope waits for it all the same.
#[must_use = "to let a child run by itself, say `drop`: the scope waits for it all the same"]
pub struct ScopedHandle<T> {
    shared: Rc<Shared<T>>,
    /// Whether the probe has been told of a wait.
    waiting: bool,
}

impl<T> ScopedHandle<T> {
    /// Drops the child, at the scope's next turn; it is over when its cleanup is, if it has one. The other children, and
    /// the scope, go on.
    pub fn cancel(&self) {
        self.shared.cancelled.set(true);
        self.shared.child.take().into_iter().for_each(Waiter::wake);
    }

    /// Whether the child is over.
    pub fn is_finished(&self) -> bool {
        self.shared.over.get()
    }

    #[inline]
    fn announce(&mut self, waits: bool) {
        if std::mem::replace(&mut self.waiting, waits) != waits {
            self.shared.resource.announce(0, waits);
        }
    }
}

impl<T> Future for ScopedHandle<T> {
    /// An error only if the child was cancelled: a panic cancels everybody, and comes out of the scope.
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.shared.over.get() {
            let old = self.shared.waiter.replace(Some(Waiter::new(cx.waker())));
            drop(old);
        }
        // Asked again: to clone and to drop a waker is foreign code.
        let over = self.shared.over.get();
        self.announce(!over);
        if !over {
            return Poll::Pending;
        }
        context::spend(cx.waker()).map(|()| self.shared.output.take().ok_or_else(JoinError::job_cancelled))
    }
}

impl<T> Drop for ScopedHandle<T> {
    fn drop(&mut self) {
        self.announce(false);
        self.shared.wanted.set(false);
        let (waiter, child) = (self.shared.waiter.take(), self.shared.child.take());
        drop((waiter, child));
        let unfetched = &self.shared.unfetched;
        self.shared.place.take().into_iter().for_each(|place| unfetched.free.borrow_mut().push(place));
        if !unfetched.dropping.get() {
            unfetched.release(self.shared.output.take()).into_iter().for_each(panics::go_on);
        }
    }
}

impl<T> fmt::Debug for ScopedHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedHandle").field("finished", &self.is_finished()).finish()
    }
}
