//! A line of waiters: the one queue under every lock, semaphore, event, barrier and channel.
//!
//! Facts. Somebody who waits may be dropped at any time: before it is called, or after it was called and
//! before it came. Whoever calls cannot know. Most who wait are called in the order in which they came.
//!
//! What follows. A doubly linked list inside a slab: to join the line at its end, to be called from its front
//! and to leave from the middle each take the same few steps, however long the line is. Who is called leaves
//! the line at once, but keeps its *place*, in which lies what it was called with (`G`), until it comes and
//! fetches it. If it never comes, [`leave`](WaitQueue::leave) gives that back to the primitive, which passes it
//! on: nothing that was meant for somebody who is gone is lost (invariant 13).
//!
//! ```text
//!              poll: join                call                 poll: collect
//!   ticket ───────────────► waiting ─────────────► called(G) ───────────────► Ready(G)
//!                              │                      │
//!                              └──── leave: Waited ───┴──── leave: Called(G) ───► pass it on
//! ```
//!
//! A task whose budget is used up has to give way, even if what it asks for is there. So that it does not lose its turn, it
//! is called at once and comes for it in its next poll: first come, first served, also then.
//!
//! Invariants. 3: to call is to enqueue. 4: a waker is cloned, woken and dropped with nothing borrowed. Because
//! to clone a waker may run foreign code, which may change what is waited for, the attempt is made again
//! between that and joining: no wake can fall into the gap.
//!
//! What it does not know: what is waited for. `R` is what a waiter asks for (so many permits), `G` what it is
//! given. It works under any executor; the probe hears of a wait only inside a loop of ours.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::core::context;
use crate::core::id::TaskId;
use crate::core::panics::swallow;
use crate::core::probe::Resource;
use crate::waiter::Waiter;
use crate::waits;

pub(crate) struct WaitQueue<R = (), G = ()> {
    line: RefCell<Line<R, G>>,
    /// How many stand in line: known without a borrow, for it is asked at every turn.
    waiting: Cell<usize>,
    /// What the waiters see of it, for the probe.
    pub(crate) resource: Watched,
}

struct Line<R, G> {
    places: Slab<Place<R, G>>,
    first: usize,
    last: usize,
    /// An empty list, for those who are called together.
    spare: Vec<Waiter>,
}

enum Place<R, G> {
    Waiting { request: R, waiter: Waiter, before: usize, after: usize },
    Called(G),
}

/// A table with room for more than `CROWD` is made smaller when fewer than `FEW` are in it.
const CROWD: usize = 1024;
const FEW: usize = 64;

/// Beyond either end of the line.
const NOBODY: usize = usize::MAX;

/// What a waiter holds in its hand: where its place is, once it has one.
#[derive(Debug)]
pub(crate) struct Ticket(usize);

impl Default for Ticket {
    fn default() -> Ticket {
        Ticket(NOBODY)
    }
}

impl Ticket {
    pub(crate) fn has_place(&self) -> bool {
        self.0 != NOBODY
    }
}

/// How somebody left who did not come when it was called, or was not called.
pub(crate) enum Left<G> {
    NeverCame,
    Waited,
    Called(G),
}

impl<R: Copy, G> WaitQueue<R, G> {
    pub(crate) const fn new(what: &'static str) -> WaitQueue<R, G> {
        let line = Line { places: Slab::new(), first: NOBODY, last: NOBODY, spare: Vec::new() };
        WaitQueue { line: RefCell::new(line), waiting: Cell::new(0), resource: Watched::new(what) }
    }

    /// How many wait who have not been called.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.waiting.get()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.get() == 0
    }

    /// What the first in line asks for.
    #[inline]
    pub(crate) fn first(&self) -> Option<R> {
        if self.is_empty() { None } else { self.line.borrow().first() }
    }

    /// Asks for what is waited for: `attempt` gives it at once, or the ticket gets a place in line, or has been
    /// called. The first time, that is one operation of the task's budget.
    #[inline]
    pub(crate) fn poll(
        &self,
        ticket: &mut Ticket,
        request: R,
        cx: &mut Context<'_>,
        attempt: impl FnMut() -> Option<G>,
    ) -> Poll<G> {
        if ticket.has_place() || context::try_spend() {
            return self.poll_uncounted(ticket, request, cx, attempt);
        }
        self.poll_without_budget(ticket, request, cx, attempt)
    }

    /// The same when the operation has been counted already.
    #[inline]
    pub(crate) fn poll_uncounted(
        &self,
        ticket: &mut Ticket,
        request: R,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> Option<G>,
    ) -> Poll<G> {
        if ticket.has_place() {
            return self.poll_place(ticket, cx);
        }
        if let Some(grant) = attempt() {
            return Poll::Ready(grant);
        }
        let waiter = Waiter::new(cx.waker());
        if let Waiter::Other(_) = waiter
            && let Some(grant) = attempt()
        {
            return Poll::Ready(grant);
        }
        self.join(ticket, request, waiter);
        Poll::Pending
    }

    /// The task has to give way, but must not lose its turn by that: what it could have now is kept for it in a place
    /// of its own, as if it had been called; if there is nothing, it joins the line.
    #[cold]
    pub(crate) fn poll_without_budget(
        &self,
        ticket: &mut Ticket,
        request: R,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> Option<G>,
    ) -> Poll<G> {
        // Foreign code, both of it, so before anything is taken.
        let may_go_on = context::spend(cx.waker()).is_ready();
        let waiter = Waiter::new(cx.waker());
        match attempt() {
            Some(grant) if may_go_on => return Poll::Ready(grant),
            Some(grant) => self.keep(ticket, grant),
            None => self.join(ticket, request, waiter),
        }
        Poll::Pending
    }

    fn keep(&self, ticket: &mut Ticket, grant: G) {
        ticket.0 = self.line.borrow_mut().places.insert(Place::Called(grant));
        self.resource.announce(ticket.0, true);
    }

    fn join(&self, ticket: &mut Ticket, request: R, waiter: Waiter) {
        ticket.0 = self.line.borrow_mut().join(request, waiter);
        self.waiting.set(self.waiting.get() + 1);
        self.resource.announce(ticket.0, true);
    }

    fn poll_place(&self, ticket: &mut Ticket, cx: &mut Context<'_>) -> Poll<G> {
        let place = ticket.0;
        let mut called = self.line.borrow_mut().collect(ticket);
        if called.is_none() && self.line.borrow().is_stale(place, cx.waker()) {
            let waiter = Waiter::new(cx.waker());
            let old = self.line.borrow_mut().renew(place, waiter);
            drop(old);
            self.resource.announce(place, true);
            // To clone and to drop was foreign code, and we may have been called by it.
            called = self.line.borrow_mut().collect(ticket);
        }
        let Some(grant) = called else { return Poll::Pending };
        self.resource.announce(place, false);
        Poll::Ready(grant)
    }

    /// Gives the ticket's place up.
    #[inline]
    pub(crate) fn leave(&self, ticket: &mut Ticket) -> Left<G> {
        if ticket.has_place() { self.leave_place(ticket) } else { Left::NeverCame }
    }

    fn leave_place(&self, ticket: &mut Ticket) -> Left<G> {
        let place = std::mem::take(ticket).0;
        let left = self.line.borrow_mut().remove(place);
        self.resource.announce(place, false);
        match left {
            Place::Called(grant) => Left::Called(grant),
            Place::Waiting { waiter, .. } => {
                self.waiting.set(self.waiting.get() - 1);
                // Its panic must not keep the caller from letting others pass.
                swallow(|| drop(waiter));
                Left::Waited
            }
        }
    }

    /// Calls the first in line. False if nobody waits.
    #[inline]
    pub(crate) fn call(&self, grant: G) -> bool {
        if self.is_empty() {
            return false;
        }
        let waiter = self.line.borrow_mut().call_first(grant);
        self.waiting.set(self.waiting.get() - 1);
        waiter.wake();
        true
    }

    /// Calls all who wait now; who joins meanwhile is not meant.
    pub(crate) fn call_all(&self, grant: G)
    where
        G: Copy,
    {
        if self.is_empty() {
            return;
        }
        let mut called = self.line.borrow_mut().call_all(grant);
        self.waiting.set(0);
        called.drain(..).for_each(Waiter::wake);
        // Keep its memory for the next call, but not that of very many.
        called.shrink_to(CROWD);
        self.line.borrow_mut().spare = called;
    }

    /// Waits in line. If it is dropped there, `missed` hears of it, with what it had been called with, if it had.
    #[inline]
    pub(crate) fn wait<A, M>(&self, request: R, attempt: A, missed: M) -> Wait<'_, R, G, A, M>
    where
        A: FnMut() -> Option<G>,
        M: FnMut(Option<G>),
    {
        Wait { queue: self, ticket: Ticket::default(), request, attempt, missed }
    }
}

/// See [`WaitQueue::wait`].
pub(crate) struct Wait<'a, R: Copy, G, A: FnMut() -> Option<G>, M: FnMut(Option<G>)> {
    queue: &'a WaitQueue<R, G>,
    ticket: Ticket,
    request: R,
    attempt: A,
    missed: M,
}

// Nothing in it is ever pinned.
impl<R: Copy, G, A: FnMut() -> Option<G>, M: FnMut(Option<G>)> Unpin for Wait<'_, R, G, A, M> {}

impl<R: Copy, G, A: FnMut() -> Option<G>, M: FnMut(Option<G>)> Future for Wait<'_, R, G, A, M> {
    type Output = G;

    #[inline]
    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<G> {
        let this = &mut *self;
        this.queue.poll(&mut this.ticket, this.request, cx, &mut this.attempt)
    }
}

impl<R: Copy, G, A: FnMut() -> Option<G>, M: FnMut(Option<G>)> Drop for Wait<'_, R, G, A, M> {
    #[inline]
    fn drop(&mut self) {
        match self.queue.leave(&mut self.ticket) {
            Left::NeverCame => {}
            Left::Waited => (self.missed)(None),
            Left::Called(grant) => (self.missed)(Some(grant)),
        }
    }
}

impl<R, G> fmt::Debug for WaitQueue<R, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitQueue").field("waiting", &self.waiting.get()).finish_non_exhaustive()
    }
}

impl<R: Copy, G> Line<R, G> {
    fn first(&self) -> Option<R> {
        match self.places.get(self.first)? {
            Place::Waiting { request, .. } => Some(*request),
            Place::Called(_) => None,
        }
    }

    fn join(&mut self, request: R, waiter: Waiter) -> usize {
        let place = self.places.insert(Place::Waiting { request, waiter, before: self.last, after: NOBODY });
        *self.after(self.last) = place;
        self.last = place;
        place
    }

    /// The link that leads from `place` to the next one; from nobody to the first one.
    fn after(&mut self, place: usize) -> &mut usize {
        match self.places.get_mut(place) {
            Some(Place::Waiting { after, .. }) => after,
            _ => &mut self.first,
        }
    }

    fn before(&mut self, place: usize) -> &mut usize {
        match self.places.get_mut(place) {
            Some(Place::Waiting { before, .. }) => before,
            _ => &mut self.last,
        }
    }

    fn unlink(&mut self, before: usize, after: usize) {
        *self.after(before) = after;
        *self.before(after) = before;
    }

    /// The first in line has been called with `grant`.
    fn call_first(&mut self, grant: G) -> Waiter {
        let called = std::mem::replace(&mut self.places[self.first], Place::Called(grant));
        let Place::Waiting { waiter, before, after, .. } = called else {
            unreachable!("who is in line has not been called")
        };
        self.unlink(before, after);
        waiter
    }

    /// All who are in line have been called with `grant`, each.
    fn call_all(&mut self, grant: G) -> Vec<Waiter>
    where
        G: Copy,
    {
        let mut waiters = std::mem::take(&mut self.spare);
        let mut next = std::mem::replace(&mut self.first, NOBODY);
        self.last = NOBODY;
        while next != NOBODY {
            let called = std::mem::replace(&mut self.places[next], Place::Called(grant));
            let Place::Waiting { waiter, after, .. } = called else {
                unreachable!("who is in line has not been called")
            };
            waiters.push(waiter);
            next = after;
        }
        waiters
    }

    /// What the ticket was called with, if it was; then it has no place any more.
    fn collect(&mut self, ticket: &mut Ticket) -> Option<G> {
        if matches!(self.places[ticket.0], Place::Waiting { .. }) {
            return None;
        }
        match self.take(std::mem::take(ticket).0) {
            Place::Called(grant) => Some(grant),
            Place::Waiting { .. } => None,
        }
    }

    #[inline]
    fn take(&mut self, place: usize) -> Place<R, G> {
        let taken = self.places.remove(place);
        if self.places.capacity() > CROWD && self.places.len() < FEW {
            self.places.shrink_to_fit();
        }
        taken
    }

    fn remove(&mut self, place: usize) -> Place<R, G> {
        let place = self.take(place);
        if let Place::Waiting { before, after, .. } = place {
            self.unlink(before, after);
        }
        place
    }

    /// Whether who waits at this place would be woken by the wrong waker.
    fn is_stale(&self, place: usize, fresh: &Waker) -> bool {
        matches!(&self.places[place], Place::Waiting { waiter, .. } if !waiter.is(fresh))
    }

    /// Another waiter in the same place; the one that is not needed comes back.
    fn renew(&mut self, place: usize, fresh: Waiter) -> Waiter {
        match &mut self.places[place] {
            Place::Waiting { waiter, .. } => std::mem::replace(waiter, fresh),
            Place::Called(_) => fresh,
        }
    }
}

/// Something that is waited for, as the probe sees it. It gets a number when the first wait is announced.
pub(crate) struct Watched {
    what: &'static str,
    number: Cell<u64>,
    /// Who has it, as far as is known: noted only while somebody watches.
    pub(crate) holder: Cell<Option<TaskId>>,
}

impl Watched {
    pub(crate) const fn new(what: &'static str) -> Watched {
        Watched { what, number: Cell::new(0), holder: Cell::new(None) }
    }

    /// Tells the probe that the wait at this place begins or ends.
    #[inline]
    pub(crate) fn announce(&self, place: usize, begins: bool) {
        if context::is_watched() {
            self.tell(place, begins);
        }
    }

    #[cold]
    fn tell(&self, place: usize, begins: bool) {
        tell(self.what, &self.number, place, self.holder.get(), begins);
    }
}

/// The same for something without a holder, with one waiter at most, that keeps its number itself.
#[inline]
pub(crate) fn announce(what: &'static str, number: &Cell<u64>, begins: bool) {
    if context::is_watched() {
        tell(what, number, 0, None, begins);
    }
}

#[cold]
fn tell(what: &'static str, number: &Cell<u64>, place: usize, holder: Option<TaskId>, begins: bool) {
    let Some(context) = context::current() else { return };
    if number.get() == 0 {
        number.set(context.probe.next_number());
    }
    let on = Resource::Line { what, number: number.get() };
    waits::tell(&context.probe, on, place as u64, holder, begins);
}
