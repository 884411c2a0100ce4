//! The body of a scope and its children, in one future.
//!
//! Facts. A child may be spawned while others are being polled, by any of them, or when the scope is over already. Two may
//! fail in the same turn.
//!
//! What follows. Who spawns puts the child into a *nest*, from which the scope's own future takes it when nothing is being
//! polled. The body is the first of the children. If one fails, those who were to be polled in the same turn are polled
//! all the same, so that their errors are heard; then all are dropped.
//!
//! Invariants. 4: nothing is borrowed while a child is polled or dropped. 11: the first panic goes on, the others end here.
//!
//! What it does not know: results and handles.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use slab::Slab;

use crate::core::context;
use crate::core::panics::{self, Payload, contain, keep_first};
use crate::group::child::{Keep, Unfetched};
use crate::group::crowd::Crowd;
use crate::group::rest::Rest;
use crate::waiter::Waiter;

/// How the body or a child ended.
pub(super) enum Outcome<'a> {
    Fine,
    /// With an output that nothing has fetched yet.
    Kept(Rc<dyn Keep + 'a>),
    /// With what tells the child's handle that it is over, when it is dropped. Whoever awaits that handle is cancelled
    /// first, and is not to hear of it.
    Failed(Box<dyn Silence + 'a>),
    Panicked(Payload),
}

/// Something that says nothing until it is dropped.
pub(super) trait Silence {}

impl<T> Silence for T {}

pub(super) type Child<'a, 'env> = dyn Future<Output = Outcome<'env>> + 'a;

/// What the scope's future and those who spawn share.
pub(super) struct Nest<'env> {
    /// Spawned, and not yet among the others. `None` when the scope is over.
    pub(super) incoming: RefCell<Option<Vec<Pin<Box<Child<'env, 'env>>>>>>,
    /// The children are to be dropped, because somebody said so.
    pub(super) cancelled: Cell<bool>,
    /// Wakes the scope's own future.
    waiter: Cell<Option<Waiter>>,
    pub(super) unfetched: Rc<Unfetched>,
}

impl<'env> Nest<'env> {
    pub(super) fn new() -> Nest<'env> {
        Nest {
            incoming: RefCell::new(Some(Vec::new())),
            cancelled: Cell::new(false),
            waiter: Cell::new(None),
            unfetched: Rc::default(),
        }
    }

    pub(super) fn wake(&self) {
        self.waiter.take().into_iter().for_each(Waiter::wake);
    }

    /// Takes a child in. When the scope is over, it is dropped instead.
    pub(super) fn admit(&self, child: Pin<Box<Child<'env, 'env>>>) {
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

    /// Whether somebody has been spawned or is to be cancelled.
    fn has_work(&self) -> bool {
        self.cancelled.get() || self.incoming.borrow().as_ref().is_some_and(|incoming| !incoming.is_empty())
    }

    fn take_incoming(&self) -> Vec<Pin<Box<Child<'env, 'env>>>> {
        self.incoming.borrow_mut().as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// The future of a scope, without its result: runs the body and the children.
pub(super) struct Run<'a, 'env: 'a> {
    // The first child is the body.
    crowd: Crowd<Child<'a, 'env>>,
    body_lives: bool,
    silenced: Vec<Box<dyn Silence + 'env>>,
    /// Whether a child has failed, and the first panic.
    failed: bool,
    panic: Option<Payload>,
    /// Outputs that nothing has fetched yet.
    kept: Slab<Rc<dyn Keep + 'env>>,
    nest: Rc<Nest<'env>>,
    /// The scope has failed; this is what is left to be done.
    ending: Option<Rest>,
}

/// A table with room for more outputs than this is made smaller when fewer than `FEW` are in it.
const SHRINK_ABOVE: usize = 1024;
const FEW: usize = 64;

/// The body's place among the children, for as long as it lives.
const BODY: usize = 0;

impl<'a, 'env: 'a> Run<'a, 'env> {
    pub(super) fn new(nest: Rc<Nest<'env>>, body: Pin<Box<Child<'a, 'env>>>) -> Run<'a, 'env> {
        let mut crowd = Crowd::new();
        crowd.add(body);
        let (kept, ending) = (Slab::new(), None);
        Run { crowd, body_lives: true, silenced: Vec::new(), failed: false, panic: None, kept, nest, ending }
    }

    /// Polls the children that were woken, and notes whether one has failed, and the first panic.
    fn poll_woken(&mut self, cx: &mut Context<'_>) {
        let Run { crowd, body_lives, silenced, failed, panic, kept, .. } = self;
        let _ = crowd.poll(cx, |place, outcome| {
            *body_lives &= place != BODY;
            match outcome {
                Outcome::Fine => return ControlFlow::Continue(()),
                Outcome::Kept(output) => {
                    output.keep_at(kept.insert(Rc::clone(&output)));
                    return ControlFlow::Continue(());
                }
                Outcome::Failed(silence) => silenced.push(silence),
                Outcome::Panicked(payload) => keep_first(panic, payload),
            }
            *failed = true;
            ControlFlow::Continue(())
        });
        if let Some(payload) = self.let_go() {
            keep_first(&mut self.panic, payload);
            self.failed = true;
        }
    }

    /// Drops the outputs whose handles are gone: one of them may hold the handle of the next. Returns the first panic.
    fn let_go(&mut self) -> Option<Payload> {
        let (unfetched, mut panic) = (&self.nest.unfetched, None);
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

    /// Those who were spawned join the others.
    fn take_in(&mut self) {
        for child in self.nest.take_incoming() {
            self.crowd.add(child);
        }
    }

    /// Drops the children, but not the body. What they leave to be done is the scope's, like a child.
    fn cancel_children(&mut self) {
        // One by one with the others, each whatever the others do when they are dropped.
        self.take_in();
        let body = self.body_lives.then_some(BODY);
        if let Some(rest) = Rest::of(None, || self.crowd.clear_but(body)) {
            self.crowd.add(Box::pin(contained(async {
                rest.await;
                Outcome::Fine
            })));
        }
    }

    /// Nobody comes in any more, and all go.
    fn close(&mut self) {
        for child in self.nest.incoming.take().into_iter().flatten() {
            self.crowd.add(child);
        }
        let cleared = contain(|| self.crowd.clear_but(None));
        self.silenced.clear();
        let panic = panics::first(cleared.err(), self.let_go());
        panic.into_iter().for_each(panics::go_on);
    }
}

impl<'a, 'env: 'a> Future for Run<'a, 'env> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(context::spend(cx.waker()));
        let this = &mut *self;
        if let Some(rest) = &mut this.ending {
            return Pin::new(rest).poll(cx);
        }
        this.take_in();
        this.poll_woken(cx);
        if this.failed {
            // Children that were to be polled in the same turn are polled, so that their errors are heard, too; if need be
            // in the next poll, for which the crowd has woken us.
            if this.crowd.has_rest() {
                return Poll::Pending;
            }
            let panic = this.panic.take();
            this.ending = Rest::of(panic, || this.close());
            return this.ending.as_mut().map_or(Poll::Ready(()), |rest| Pin::new(rest).poll(cx));
        }
        if this.nest.cancelled.take() {
            this.cancel_children();
            // Those who came in to go at once were noted as woken: the next wake would not reach us.
            cx.waker().wake_by_ref();
        }
        if this.crowd.is_empty() && !this.nest.has_work() {
            this.close();
            return Poll::Ready(());
        }
        let old = this.nest.waiter.replace(Some(Waiter::new(cx.waker())));
        drop(old);
        // Who came meanwhile is polled next time: a body that spawns and gives way is to hold up nobody. (And to clone
        // and to drop a waker was foreign code.)
        if this.nest.has_work() {
            this.nest.wake();
        }
        Poll::Pending
    }
}

impl<'a, 'env: 'a> Drop for Run<'a, 'env> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Runs a child so that its panic becomes its outcome.
pub(super) async fn contained<'a>(child: impl Future<Output = Outcome<'a>>) -> Outcome<'a> {
    let mut child = pin!(child);
    std::future::poll_fn(|cx| match contain(|| child.as_mut().poll(cx)) {
        Ok(poll) => poll,
        Err(payload) => Poll::Ready(Outcome::Panicked(payload)),
    })
    .await
}
