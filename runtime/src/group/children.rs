//! Many futures of one kind, each polled only when it was woken.
//!
//! Facts. A child may end, wake its siblings, and panic; children may come and go while others run.
//!
//! What follows. A slab of boxed futures, and the list of woken children ([`Wakes`]). A new child counts as woken. One
//! poll of the parent polls each child at most once. Polling a child is an operation of the parent's budget, and so is
//! each operation that the child does. When the budget is used up, the parent wakes itself and polls the rest next
//! time. So many children do not hold up the loop, and each is polled with enough budget (see `context`).
//!
//! Invariants. There are as many polls as wakes, plus one for each child. Children are dropped in the order of their
//! places. As long as none has ended, that is the order in which they came.
//!
//! What it does not know: what the outputs are for.

use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::core::context::budget;
use crate::core::panics::drop_each;
use crate::group::wakes::Wakes;
use crate::share;

pub(crate) struct Children<F: ?Sized> {
    /// The children that have not ended. A child's index is its place.
    children: Slab<Pin<Box<F>>>,
    wakes: Wakes,
    /// The places of the children that were woken. Those from `next` on have still to be polled.
    batch: Vec<usize>,
    next: usize,
}

/// A table with room for more than `SHRINK_ABOVE` children is made smaller when it holds fewer than `FEW`.
const SHRINK_ABOVE: usize = 1024;
const FEW: usize = 64;

impl<F: Future + ?Sized> Children<F> {
    pub(crate) fn new() -> Children<F> {
        Children { children: Slab::new(), wakes: Wakes::new(), batch: Vec::new(), next: 0 }
    }

    /// Adds a child; returns its place.
    pub(crate) fn add(&mut self, child: Pin<Box<F>>) -> usize {
        let place = self.children.insert(child);
        self.wakes.mark_woken(place);
        place
    }

    pub(crate) fn len(&self) -> usize {
        self.children.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Whether the last poll has left a part of its batch for the next one.
    pub(crate) fn has_rest(&self) -> bool {
        self.next < self.batch.len()
    }

    /// Polls the children that were woken, and calls `done` with the place and the output of each that ends. Stops
    /// early if `done` says so, or if the budget of the parent is used up; the rest of the batch is kept for the next
    /// poll.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut done: impl FnMut(usize, F::Output) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.wakes.set_parent(cx.waker());
        // Take a new batch only when the old one is used up, so that no child is polled twice before another is polled
        // once.
        let had_rest = self.has_rest();
        if !had_rest {
            if self.children.capacity() > SHRINK_ABOVE && self.children.len() < FEW {
                self.shrink();
            }
            self.wakes.take(&mut self.batch);
            self.next = 0;
        }
        while self.has_rest() && budget::try_spend() {
            let place = self.batch[self.next];
            self.next += 1;
            if let Some(output) = share::share(|| self.poll_child(place, cx.waker())) {
                done(place, output)?;
            }
        }
        // If there was a rest, children may have been woken since without being in this batch. They have already used
        // up their wake of the parent, so wake it again for them.
        if had_rest || self.has_rest() {
            cx.waker().wake_by_ref();
        }
        ControlFlow::Continue(())
    }

    /// Gives back the memory of many children that have ended. The others keep their places.
    #[cold]
    fn shrink(&mut self) {
        self.children.shrink_to_fit();
        self.wakes.shrink(self.children.capacity());
        self.batch = Vec::new();
        self.next = 0;
    }

    fn poll_child(&mut self, place: usize, parent: &Waker) -> Option<F::Output> {
        // A wake may come after its child has ended.
        let child = self.children.get_mut(place)?;
        let output = self.wakes.poll(place, parent, |cx| match child.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })?;
        drop(self.children.remove(place));
        Some(output)
    }
}

impl<F: ?Sized> Children<F> {
    /// Drops all children, or all but one. Each is dropped even if another one panics; the first panic goes on.
    pub(crate) fn clear_but(&mut self, spared: Option<usize>) {
        let places: Vec<usize> =
            self.children.iter().map(|(place, _)| place).filter(|place| Some(*place) != spared).collect();
        drop_each(places.into_iter().map(|place| self.children.remove(place)));
    }
}

impl<F: ?Sized> Drop for Children<F> {
    fn drop(&mut self) {
        if !self.children.is_empty() {
            self.clear_but(None);
        }
    }
}

impl<F: ?Sized> fmt::Debug for Children<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children").field("children", &self.children.len()).finish_non_exhaustive()
    }
}
