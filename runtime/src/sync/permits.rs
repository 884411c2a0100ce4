//! A number of permits, and a line for those who want some: what mutexes, semaphores and channels are made of.
//!
//! Facts. A permit that comes back may go to the first in line, or to whoever asks next. If whoever asks next could
//! have it, a waiter might wait for ever.
//!
//! What follows. It goes to the first in line, *when it comes back*: when the waiter runs, the permit is its own
//! already. Nobody overtakes; who asks for many is not starved by those who ask for one. A waiter that is dropped
//! in between gives back what it had been given (invariant 13), and one that stood in the way of those behind it
//! lets them through.
//!
//! What it does not know: what the permits are for.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::context;
use crate::task;
use crate::waiting::{Left, Ticket, WaitQueue};

#[derive(Debug)]
pub(crate) struct Permits {
    free: Cell<usize>,
    closed: Cell<bool>,
    /// How many each waits for, and whether it got them (or heard that there are no more).
    queue: WaitQueue<usize, bool>,
}

impl Permits {
    pub(crate) const fn new(free: usize, what: &'static str) -> Permits {
        Permits { free: Cell::new(free), closed: Cell::new(false), queue: WaitQueue::new(what) }
    }

    pub(crate) fn free(&self) -> usize {
        self.free.get()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Takes `n`, if they are free and nobody waits.
    #[inline]
    pub(crate) fn try_take(&self, n: usize) -> bool {
        let free = self.free.get();
        if free < n || !self.queue.is_empty() {
            return false;
        }
        self.free.set(free - n);
        if context::is_watched() {
            self.queue.resource.holder.set(task::current());
        }
        true
    }

    /// Takes as many as there are, up to `n`, whoever waits: for permits that have ceased to mean anything.
    pub(crate) fn write_off(&self, n: usize) {
        self.free.set(self.free.get().saturating_sub(n));
    }

    /// Puts `n` back, or new ones in.
    #[inline]
    #[track_caller]
    pub(crate) fn give(&self, n: usize) {
        let Some(free) = self.free.get().checked_add(n) else {
            panic!("more permits were put in than a semaphore can count")
        };
        self.free.set(free);
        if !self.queue.is_empty() {
            self.hand_out();
        }
    }

    /// Gives the first in line what they wait for, for as long as there is enough.
    fn hand_out(&self) {
        while let Some(wanted) = self.queue.first()
            && wanted <= self.free.get()
        {
            self.free.set(self.free.get() - wanted);
            self.queue.call(true);
        }
    }

    /// No more permits for those who wait, now or later.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.queue.call_all(false);
    }

    /// Waits for `n`. False if the permits are closed and not so many are free.
    #[inline]
    pub(crate) fn poll_take(&self, ticket: &mut Ticket, n: usize, cx: &mut Context<'_>) -> Poll<bool> {
        if ticket.has_place() {
            return self.poll_in_line(ticket, n, cx);
        }
        ready!(context::spend(cx.waker()));
        if self.try_take(n) { Poll::Ready(true) } else { self.poll_in_line(ticket, n, cx) }
    }

    /// The same without counting it as an operation of the task.
    pub(crate) fn poll_in_line(&self, ticket: &mut Ticket, n: usize, cx: &mut Context<'_>) -> Poll<bool> {
        let poll = self.queue.poll(ticket, n, cx, || {
            if self.try_take(n) { Some(true) } else { self.closed.get().then_some(false) }
        });
        if poll.is_ready() && context::is_watched() {
            self.queue.resource.holder.set(task::current());
        }
        poll
    }

    /// Waits no more: what it had been given goes to the others.
    #[inline]
    pub(crate) fn leave(&self, ticket: &mut Ticket, n: usize) {
        if ticket.has_place() {
            self.leave_line(ticket, n);
        }
    }

    fn leave_line(&self, ticket: &mut Ticket, n: usize) {
        match self.queue.leave(ticket) {
            Left::NeverCame | Left::Called(false) => {}
            Left::Called(true) => self.give(n),
            Left::Waited => self.hand_out(),
        }
    }

    /// See [`poll_take`](Permits::poll_take).
    #[inline]
    pub(crate) fn take(&self, n: usize) -> Take<'_> {
        Take { permits: self, n, ticket: Ticket::default() }
    }
}

/// See [`Permits::take`].
#[derive(Debug)]
pub(crate) struct Take<'a> {
    permits: &'a Permits,
    n: usize,
    ticket: Ticket,
}

impl Take<'_> {
    pub(crate) fn is_in_line(&self) -> bool {
        self.ticket.has_place()
    }
}

impl Future for Take<'_> {
    type Output = bool;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let Take { permits, n, ticket } = &mut *self;
        permits.poll_take(ticket, *n, cx)
    }
}

impl Drop for Take<'_> {
    #[inline]
    fn drop(&mut self) {
        self.permits.leave(&mut self.ticket, self.n);
    }
}

/// Permits that are held; they go back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    pub(crate) permits: &'a Permits,
    pub(crate) n: usize,
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.permits.queue.resource.holder.take();
        // Saturates: this is no place to complain of one who has put in more than can be counted.
        self.permits.free.set(self.permits.free.get().saturating_add(self.n));
        if !self.permits.queue.is_empty() {
            self.permits.hand_out();
        }
    }
}
