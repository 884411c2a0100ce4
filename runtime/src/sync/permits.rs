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
use std::task::{Context, Poll};

use crate::core::context;
use crate::task;
use crate::waiting::{Left, Ticket, WaitQueue};

#[derive(Debug)]
pub(crate) struct Permits {
    free: Cell<usize>,
    closed: Cell<bool>,
    /// What each waits for, and whether it got that (or heard that there are no more).
    queue: WaitQueue<Wanted, bool>,
}

/// What a waiter in the line wants.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// So many permits, which are its own when it is called.
    Permits(usize),
    /// Word that there is a permit, which it then has to take.
    Word,
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
        while let Some(wanted) = self.queue.first() {
            let free = self.free.get();
            let taken = match wanted {
                Wanted::Permits(n) if n <= free => n,
                Wanted::Word if free > 0 => 0,
                _ => return,
            };
            self.free.set(free - taken);
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
        if !context::try_spend() {
            return self.poll_without_budget(ticket, n, cx);
        }
        if self.try_take(n) { Poll::Ready(true) } else { self.poll_in_line(ticket, n, cx) }
    }

    /// The same without counting it as an operation of the task.
    pub(crate) fn poll_in_line(&self, ticket: &mut Ticket, n: usize, cx: &mut Context<'_>) -> Poll<bool> {
        let poll = self.queue.poll_uncounted(ticket, Wanted::Permits(n), cx, || self.attempt(n));
        self.note_holder(poll)
    }

    /// The same for a task that has to give way: see [`WaitQueue::poll_without_budget`].
    #[cold]
    pub(crate) fn poll_without_budget(
        &self,
        ticket: &mut Ticket,
        n: usize,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        let poll = self.queue.poll_without_budget(ticket, Wanted::Permits(n), cx, || self.attempt(n));
        self.note_holder(poll)
    }

    /// Waits until it is worth a try to take a permit, or there are no more, which is false. For a waiter that may vanish
    /// without leaving the line: nothing is handed to it that would be lost, and those after it are called, too.
    pub(crate) fn poll_word(&self, ticket: &mut Ticket, cx: &mut Context<'_>) -> Poll<bool> {
        self.queue.poll_uncounted(ticket, Wanted::Word, cx, || {
            let open = !self.closed.get();
            (!open || (self.free.get() > 0 && self.queue.is_empty())).then_some(open)
        })
    }

    /// Waits for word no more.
    pub(crate) fn leave_word(&self, ticket: &mut Ticket) {
        self.leave(ticket, 0);
    }

    fn attempt(&self, n: usize) -> Option<bool> {
        if self.try_take(n) { Some(true) } else { self.closed.get().then_some(false) }
    }

    fn note_holder(&self, poll: Poll<bool>) -> Poll<bool> {
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
