//! Many futures of one kind, polled when they were woken and not otherwise.
//!
//! Facts. A child may end, wake its siblings, and panic; children may come and go while others run.
//!
//! What follows. A slab of boxed futures and the [`Wakes`]. A new child counts as woken. In one poll of the parent each
//! child is polled at most once. To poll one is an operation of the parent's budget, and so is each operation that the child
//! does; when the budget is used up, the parent wakes itself and polls the rest next time. So many children do not hold
//! up the loop, and each is polled with enough of a budget (see `context`).
//!
//! Invariants. Polls are as many as wakes (plus one for each child). Children are dropped in the order of their places,
//! which is that of their coming as long as none has ended.
//!
//! What it does not know: what the outputs are for.

use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};

use slab::Slab;

use crate::core::context;
use crate::core::panics::drop_each;
use crate::group::wakes::Wakes;

pub(crate) struct Crowd<F: ?Sized> {
    children: Slab<Pin<Box<F>>>,
    wakes: Wakes,
    /// Those who were woken, from `next` on still to be polled.
    batch: Vec<usize>,
    next: usize,
}

/// A table with room for more than `LARGE` is made smaller when fewer than `FEW` are in it.
const LARGE: usize = 1024;
const FEW: usize = 64;

impl<F: Future + ?Sized> Crowd<F> {
    pub(crate) fn new() -> Crowd<F> {
        Crowd { children: Slab::new(), wakes: Wakes::new(), batch: Vec::new(), next: 0 }
    }

    /// Takes a child in; returns its place.
    pub(crate) fn add(&mut self, child: Pin<Box<F>>) -> usize {
        let place = self.children.insert(child);
        self.wakes.note(place);
        place
    }

    pub(crate) fn len(&self) -> usize {
        self.children.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Whether the last poll has left some of its batch for the next.
    pub(crate) fn has_rest(&self) -> bool {
        self.next < self.batch.len()
    }

    /// Polls the children that were woken, and tells `done` which are done, and with what. Stops early if `done` says so,
    /// or if the budget of the parent is used up; the others stay noted.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut done: impl FnMut(usize, F::Output) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.wakes.set_parent(cx.waker());
        let had_rest = self.has_rest();
        if !had_rest {
            if self.children.capacity() > LARGE && self.children.len() < FEW {
                self.shrink();
            }
            self.wakes.take(&mut self.batch);
            self.next = 0;
        }
        while self.has_rest() && context::try_spend() {
            let place = self.batch[self.next];
            self.next += 1;
            if let Some(output) = context::share(|| self.poll_child(place)) {
                done(place, output)?;
            }
        }
        // Children that were woken beside a rest have used up their wake of the parent.
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

    fn poll_child(&mut self, place: usize) -> Option<F::Output> {
        // Who is gone may still be woken.
        let child = self.children.get_mut(place)?;
        let mut cx = Context::from_waker(self.wakes.waker(place));
        let Poll::Ready(output) = child.as_mut().poll(&mut cx) else { return None };
        drop(self.children.remove(place));
        Some(output)
    }
}

impl<F: ?Sized> Crowd<F> {
    /// Drops all children, or all but one, each whatever the others do. The first panic among the drops goes on.
    pub(crate) fn clear_but(&mut self, spared: Option<usize>) {
        let places: Vec<usize> =
            self.children.iter().map(|(place, _)| place).filter(|place| Some(*place) != spared).collect();
        drop_each(places.into_iter().map(|place| self.children.remove(place)));
    }
}

impl<F: ?Sized> Drop for Crowd<F> {
    fn drop(&mut self) {
        if !self.children.is_empty() {
            self.clear_but(None);
        }
    }
}

impl<F: ?Sized> fmt::Debug for Crowd<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowd").field("children", &self.children.len()).finish_non_exhaustive()
    }
}
