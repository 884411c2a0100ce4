//! The body of a scope and its children, in one future.
//!
//! Facts. A child may be spawned while others are being polled, by any of them, or after the scope is over. Two
//! children may fail in the same turn.
//!
//! What follows. The scope's future and everything that can spawn share a [`ScopeState`]. `spawn` puts the child there,
//! and the scope's future takes it when no child is being polled. The body is the first of the children. If a child
//! fails, the children that were due in the same turn are still polled, so that their errors are reported. Then all are
//! dropped.
//!
//! Invariants. 4: nothing is borrowed while a child is polled or dropped. 11: the first panic goes on, the others end
//! here.
//!
//! What it does not know: results and handles.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use slab::Slab;

use crate::core::context::budget;
use crate::core::panics::{self, Payload, contain, keep_first};
use crate::group::child::{ChildEnd, Keep, Silence, Unfetched};
use crate::group::children::Children;
use crate::group::rest::Rest;
use crate::waiter::Waiter;

/// A child of any type, or the body.
pub(super) type AnyChild<'a, 'env> = dyn Future<Output = ChildEnd<'env>> + 'a;

/// What the scope's future shares with everything that can spawn children in it.
pub(super) struct ScopeState<'env> {
    /// The children that were spawned and that the scope has not taken in. `None` when the scope is over.
    pub(super) incoming: RefCell<Option<Vec<Pin<Box<AnyChild<'env, 'env>>>>>>,
    /// Set by `Scope::cancel`, cleared when the scope drops the children at its next poll.
    pub(super) cancelled: Cell<bool>,
    /// Wakes the scope's own future. Set when that returns `Pending`, taken by the wake.
    waiter: Cell<Option<Waiter>>,
    /// The outputs that the scope keeps, as the handles see them.
    pub(super) unfetched: Rc<Unfetched>,
}

impl<'env> ScopeState<'env> {
    pub(super) fn new() -> ScopeState<'env> {
        ScopeState {
            incoming: RefCell::new(Some(Vec::new())),
            cancelled: Cell::new(false),
            waiter: Cell::new(None),
            unfetched: Rc::default(),
        }
    }

    pub(super) fn wake(&self) {
        self.waiter.take().into_iter().for_each(Waiter::wake);
    }

    /// Accepts a child. If the scope is over, the child is dropped at once.
    pub(super) fn admit(&self, child: Pin<Box<AnyChild<'env, 'env>>>) {
        let refused = match &mut *self.incoming.borrow_mut() {
            Some(incoming) => {
                incoming.push(child);
                None
            }
            None => Some(child),
        };
        drop(refused);
        self.wake();
    }

    /// Whether a child waits to be taken in, or the children are to be cancelled.
    fn has_work(&self) -> bool {
        self.cancelled.get() || self.incoming.borrow().as_ref().is_some_and(|incoming| !incoming.is_empty())
    }

    fn take_incoming(&self) -> Vec<Pin<Box<AnyChild<'env, 'env>>>> {
        self.incoming.borrow_mut().as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// The future of a scope, without its result: runs the body and the children.
pub(super) struct Run<'a, 'env: 'a> {
    /// The children; the first is the body.
    children: Children<AnyChild<'a, 'env>>,
    /// Cleared when the body has ended. From then on another child may have its place.
    body_lives: bool,
    /// The children that have failed. Their handles learn of it when these are dropped, after all children.
    silenced: Vec<Box<dyn Silence + 'env>>,
    /// Set when a child fails or panics, or an output panics while it is dropped. Never cleared: the scope ends.
    failed: bool,
    /// The first panic.
    panic: Option<Payload>,
    /// Outputs that their handles have not fetched yet.
    kept: Slab<Rc<dyn Keep + 'env>>,
    state: Rc<ScopeState<'env>>,
    /// Set when the scope has failed and all children are dropped: the cleanups that are left, then the panic.
    ending: Option<Rest>,
}

/// A table with room for more outputs than this is made smaller when it holds fewer than `FEW`.
const SHRINK_ABOVE: usize = 1024;
const FEW: usize = 64;

/// The body's place among the children, until the body ends.
const BODY: usize = 0;

impl<'a, 'env: 'a> Run<'a, 'env> {
    pub(super) fn new(state: Rc<ScopeState<'env>>, body: Pin<Box<AnyChild<'a, 'env>>>) -> Run<'a, 'env> {
        let mut children = Children::new();
        children.add(body);
        let (kept, ending) = (Slab::new(), None);
        Run {
            children,
            body_lives: true,
            silenced: Vec::new(),
            failed: false,
            panic: None,
            kept,
            state,
            ending,
        }
    }

    /// Polls the children that were woken. Records whether one has failed, and the first panic.
    fn poll_woken(&mut self, cx: &mut Context<'_>) {
        let Run { children, body_lives, silenced, failed, panic, kept, .. } = self;
        // Every child is polled, even after one has failed: this closure never says `Break`.
        let _ = children.poll(cx, |place, end| {
            *body_lives &= place != BODY;
            match end {
                ChildEnd::Fine => return ControlFlow::Continue(()),
                ChildEnd::Kept(output) => {
                    output.keep_at(kept.insert(Rc::clone(&output)));
                    return ControlFlow::Continue(());
                }
                ChildEnd::Failed(silence) => silenced.push(silence),
                ChildEnd::Panicked(payload) => keep_first(panic, payload),
            }
            *failed = true;
            ControlFlow::Continue(())
        });
        // Handles that were dropped during these polls have left their outputs here.
        if let Some(payload) = self.drop_unwanted() {
            keep_first(&mut self.panic, payload);
            self.failed = true;
        }
    }

    /// Drops the outputs whose handles are gone. One output may hold the handle of the next, so this is a loop. Returns
    /// the first panic.
    fn drop_unwanted(&mut self) -> Option<Payload> {
        let (unfetched, mut panic) = (&self.state.unfetched, None);
        while let Some(place) = unfetched.next_free() {
            let output = self.kept.try_remove(place);
            panic = panics::first(panic, unfetched.release(output));
        }
        if self.kept.capacity() > SHRINK_ABOVE && self.kept.len() < FEW {
            self.kept.shrink_to_fit();
            unfetched.shrink();
        }
        panic
    }

    /// Takes in the children that were spawned.
    fn take_in(&mut self) {
        for child in self.state.take_incoming() {
            self.children.add(child);
        }
    }

    /// Drops the children, but not the body. Their cleanups become one more child of the scope.
    fn cancel_children(&mut self) {
        // Take the new ones in first: `clear_but` drops each child even if another one panics.
        self.take_in();
        let body = self.body_lives.then_some(BODY);
        if let Some(rest) = Rest::of(None, || self.children.clear_but(body)) {
            self.children.add(Box::pin(contained(async {
                rest.await;
                ChildEnd::Fine
            })));
        }
    }

    /// Refuses new children, and drops all that there are.
    fn close(&mut self) {
        for child in self.state.incoming.take().into_iter().flatten() {
            self.children.add(child);
        }
        let cleared = contain(|| self.children.clear_but(None));
        self.silenced.clear();
        let panic = panics::first(cleared.err(), self.drop_unwanted());
        panic.into_iter().for_each(panics::go_on);
    }
}

impl<'a, 'env: 'a> Future for Run<'a, 'env> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(budget::spend(cx.waker()));
        let this = &mut *self;
        // A scope that has failed only waits for the cleanups.
        if let Some(rest) = &mut this.ending {
            return Pin::new(rest).poll(cx);
        }
        this.take_in();
        this.poll_woken(cx);
        if this.failed {
            // First poll all children that are due in this turn, so that their errors are reported too. If the budget
            // did not reach that far, `children` has woken us to go on.
            if this.children.has_rest() {
                return Poll::Pending;
            }
            // Then drop all children, and wait for their cleanups, if they left any.
            let panic = this.panic.take();
            this.ending = Rest::of(panic, || this.close());
            return this.ending.as_mut().map_or(Poll::Ready(()), |rest| Pin::new(rest).poll(cx));
        }
        if this.state.cancelled.take() {
            this.cancel_children();
            // Children that were taken in and dropped at once are still in the list of woken children. While the list
            // is not empty, the next wake does not reach us, so poll again.
            cx.waker().wake_by_ref();
        }
        // The scope is over when no child is left and none waits to be taken in.
        if this.children.is_empty() && !this.state.has_work() {
            this.close();
            return Poll::Ready(());
        }
        let old = this.state.waiter.replace(Some(Waiter::new(cx.waker())));
        drop(old);
        // A child that was spawned in the meantime is polled next time, so that a body that spawns and gives way does
        // not hold up other tasks. (Cloning and dropping a waker also run foreign code, which may spawn.)
        if this.state.has_work() {
            this.state.wake();
        }
        Poll::Pending
    }
}

impl<'a, 'env: 'a> Drop for Run<'a, 'env> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Runs a child so that a panic becomes its end.
pub(super) async fn contained<'a>(child: impl Future<Output = ChildEnd<'a>>) -> ChildEnd<'a> {
    let mut child = pin!(child);
    std::future::poll_fn(|cx| match contain(|| child.as_mut().poll(cx)) {
        Ok(poll) => poll,
        Err(payload) => Poll::Ready(ChildEnd::Panicked(payload)),
    })
    .await
}
