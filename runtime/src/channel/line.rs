//! What the two ends of a channel share.
//!
//! Facts. There is room for so many values, and there are so many. A sender waits for room, a receiver for a value.
//!
//! What follows. Both are permits: `room` for the senders, `values` for the receivers. To send takes one of the first
//! and puts in one of the second; to receive does the reverse. That is all there is to a bounded channel: order,
//! fairness and what happens to those who are dropped while they wait are the permits' business (invariant 13). A
//! receiver that is called has a *claim* to a value, which itself stays where it is until the receiver comes; so the
//! order of the values does not depend on who comes.
//!
//! A channel of capacity 0 is a *rendezvous*: room for one value in passing, and a sender that leaves only when a
//! receiver has taken it. If the sender is dropped before that, it takes the value back.
//!
//! Invariants. Claims are never more than values, but for a value that was taken back or a channel that was
//! closed: so a receiver that is called and finds nothing asks again. 4: values are dropped with nothing borrowed.
//!
//! What it does not know: how many senders and receivers there are, and what a task is.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::channel::store::Store;
use crate::channel::{Closed, TryRecvError, TrySendError};
use crate::core::context;
use crate::core::panics::drop_each;
use crate::sync::permits::{Held, Permits};
use crate::waiting::{Left, Ticket, WaitQueue};

pub(crate) struct Line<T> {
    store: Store<T>,
    /// `None` for no limit.
    capacity: Option<usize>,
    room: Permits,
    values: Permits,
    /// Where the sender of a rendezvous waits until its value has been taken: true, or until the channel is closed.
    taken: WaitQueue<(), bool>,
    closed: Cell<bool>,
    /// Nothing will fetch what comes in: set by `clear`, for good.
    unwanted: Cell<bool>,
}

impl<T> Line<T> {
    pub(crate) fn new(store: Store<T>, capacity: Option<usize>) -> Line<T> {
        Line {
            store,
            capacity,
            room: Permits::new(capacity.map_or(0, |capacity| capacity.max(1)), "channel to be sent to"),
            values: Permits::new(0, "channel to be received from"),
            taken: WaitQueue::new("channel of no capacity"),
            closed: Cell::new(false),
            unwanted: Cell::new(false),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.store.len()
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Nothing goes in any more; what is in can still be fetched.
    pub(crate) fn close(&self) {
        if !self.closed.replace(true) {
            self.room.close();
            self.values.close();
            self.taken.call_all(false);
        }
    }

    /// Drops what is in, because nothing will fetch it.
    pub(crate) fn clear(&self) {
        self.unwanted.set(true);
        drop_each(std::iter::from_fn(|| self.store.pop()));
    }

    /// Waits for room, which is the caller's then; false if the channel is closed.
    #[inline]
    pub(crate) fn poll_room(&self, ticket: &mut Ticket, cx: &mut Context<'_>) -> Poll<bool> {
        if !ticket.has_place() && (self.capacity.is_none() || self.closed.get()) {
            return context::spend(cx.waker()).map(|()| !self.closed.get());
        }
        let taken = ready!(self.room.poll_take(ticket, 1, cx));
        // It may have been closed after we were given the room.
        if taken && self.closed.get() {
            self.room.give(1);
        }
        Poll::Ready(taken && !self.closed.get())
    }

    /// Waits for room no more; what had been given goes to the next.
    pub(crate) fn leave_room(&self, ticket: &mut Ticket) {
        self.room.leave(ticket, 1);
    }

    /// Gives back room that is not going to be used.
    pub(crate) fn give_room(&self) {
        if self.capacity.is_some() {
            self.room.give(1);
        }
    }

    /// Puts a value where there is room for it.
    #[inline]
    pub(crate) fn fill(&self, value: T) {
        let Store::Fifo(ring) = &self.store else { return self.sort_in(value) };
        ring.borrow_mut().push_back(value);
        drop(Held { permits: &self.values, n: 1 });
    }

    #[cold]
    fn sort_in(&self, value: T) {
        // Given when this is dropped: the value is in also if comparing it with the others panics.
        let _claim = Held { permits: &self.values, n: 1 };
        self.store.push(value);
        // To compare the values may have dropped the last receiver, which found none of them.
        if self.unwanted.get() {
            self.clear();
        }
    }

    #[inline]
    pub(crate) fn send(&self, value: T) -> Send<'_, T> {
        Send { line: self, value: Some(value), ticket: Ticket::default() }
    }

    /// Puts a value into a rendezvous, for as long as the sender keeps the place in `taken` that it has from here on.
    fn offer(&self, value: T, ticket: &mut Ticket, cx: &mut Context<'_>) -> Result<(), T> {
        // First the place, then the value: a receiver that comes while the value goes in calls the sender there.
        let _waits = self.taken.poll_uncounted(ticket, (), cx, || None);
        if self.closed.get() {
            // The sender's waker has closed it while it was cloned.
            self.taken.leave(ticket);
            self.room.give(1);
            return Err(value);
        }
        self.fill(value);
        Ok(())
    }

    /// The value in a rendezvous, if it is still there; its claim goes with it, if no receiver has that yet.
    fn take_back(&self) -> Option<T> {
        let value = self.store.pop()?;
        self.values.write_off(1);
        self.room.give(1);
        Some(value)
    }

    #[inline]
    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        if self.closed.get() {
            return Err(TrySendError::Closed(value));
        }
        let nobody_there = self.capacity == Some(0) && self.values.waiting() == 0;
        if nobody_there || (self.capacity.is_some() && !self.room.try_take(1)) {
            return Err(TrySendError::Full(value));
        }
        self.fill(value);
        Ok(())
    }

    /// Waits for a value. The short way is part of whoever awaits it: to call it would cost as much as half of it.
    #[inline(always)]
    pub(crate) fn poll_recv(&self, ticket: &mut Ticket, cx: &mut Context<'_>) -> Poll<Result<T, Closed>> {
        let waits = ticket.has_place();
        let counted = waits || context::try_spend();
        if counted
            && !waits
            && let Some(value) = self.take_next()
        {
            return Poll::Ready(Ok(value));
        }
        self.wait_for_value(ticket, cx, counted)
    }

    /// The next value of a plain line, if there is one and nobody stands in line for it: the way of nearly every message.
    /// The only foreign code on it is the waker of one who waited for room, when nothing is borrowed any more.
    #[inline]
    fn take_next(&self) -> Option<T> {
        let (Store::Fifo(ring), None | Some(1..)) = (&self.store, self.capacity) else { return None };
        if !self.values.try_take(1) {
            return None;
        }
        let value = ring.borrow_mut().pop_front()?;
        if self.capacity.is_some() {
            drop(Held { permits: &self.room, n: 1 });
        }
        Some(value)
    }

    /// Claims a value and fetches it. If the operation is not `counted`, the task has to give way: what there is to be
    /// claimed is claimed for it, and stays where it is until the task comes.
    #[cold]
    fn wait_for_value(
        &self,
        ticket: &mut Ticket,
        cx: &mut Context<'_>,
        counted: bool,
    ) -> Poll<Result<T, Closed>> {
        if self.store.is_out() {
            // We are called by what compares the values. A claim would find nothing now, and be lost.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut claim = match counted {
            true => self.values.poll_in_line(ticket, 1, cx),
            false => self.values.poll_without_budget(ticket, 1, cx),
        };
        loop {
            let open = ready!(claim);
            if let Some(value) = self.pop() {
                return Poll::Ready(Ok(value));
            }
            if !open {
                return Poll::Ready(Err(Closed(())));
            }
            claim = self.values.poll_in_line(ticket, 1, cx);
        }
    }

    /// The next value for a stream. Its `next` may be dropped without our hearing of it, and then nothing comes for what it
    /// was given. So it waits for word that there is a value, and has no claim to it.
    pub(crate) fn poll_next(&self, ticket: &mut Ticket, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if ticket.has_place() {
            ready!(self.values.poll_word(ticket, cx));
        }
        ready!(context::spend(cx.waker()));
        if self.store.is_out() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            match self.try_recv() {
                Ok(value) => return Poll::Ready(Some(value)),
                Err(TryRecvError::Closed) => return Poll::Ready(None),
                Err(TryRecvError::Empty) => ready!(self.values.poll_word(ticket, cx)),
            };
        }
    }

    /// A stream waits no more.
    pub(crate) fn leave_as_stream(&self, ticket: &mut Ticket) {
        self.values.leave_word(ticket);
    }

    /// A receiver waits no more; its claim goes to the next.
    pub(crate) fn leave(&self, ticket: &mut Ticket) {
        self.values.leave(ticket, 1);
    }

    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        if self.store.is_out() {
            return Err(TryRecvError::Empty);
        }
        let claimed = self.values.try_take(1) || self.closed.get();
        let value = if claimed { self.pop() } else { None };
        value.ok_or(if self.closed.get() { TryRecvError::Closed } else { TryRecvError::Empty })
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        // Held meanwhile: if comparing the values panics, one of them is gone, and its room is free.
        let mut room = Held { permits: &self.room, n: usize::from(self.capacity.is_some()) };
        let value = self.store.pop();
        if value.is_none() {
            room.n = 0;
        } else if self.capacity == Some(0) {
            // Before there is room for the next value, whose sender would be called instead.
            self.taken.call(true);
        }
        drop(room);
        value
    }
}

impl<T> Drop for Line<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T> fmt::Debug for Line<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .field("closed", &self.closed.get())
            .finish()
    }
}

/// See [`Sender::send`](crate::channel::Sender::send).
#[must_use = "futures do nothing unless awaited"]
pub struct Send<'a, T> {
    line: &'a Line<T>,
    /// Until it is in the channel.
    value: Option<T>,
    /// First in the line for room; then, in a rendezvous, where one waits to be rid of the value.
    ticket: Ticket,
}

// The value is moved, never pinned.
impl<T> Unpin for Send<'_, T> {}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), Closed<T>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Send { line, value, ticket } = &mut *self;
        if value.is_some() {
            let room = ready!(line.poll_room(ticket, cx));
            let Some(value) = value.take() else { unreachable!("it was there a moment ago") };
            if !room {
                return Poll::Ready(Err(Closed(value)));
            }
            if line.capacity != Some(0) {
                line.fill(value);
                return Poll::Ready(Ok(()));
            }
            if let Err(value) = line.offer(value, ticket, cx) {
                return Poll::Ready(Err(Closed(value)));
            }
        }
        if ready!(line.taken.poll_uncounted(ticket, (), cx, || None)) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(line.take_back().map_or(Ok(()), |value| Err(Closed(value))))
    }
}

impl<T> Send<'_, T> {
    /// Whether the value was not sent, or is taken back, when the wait ends here.
    #[cold]
    pub(crate) fn give_up(&mut self) -> bool {
        if self.value.is_some() {
            self.line.leave_room(&mut self.ticket);
            return true;
        }
        self.ticket.has_place() && self.take_back()
    }

    fn take_back(&mut self) -> bool {
        match self.line.taken.leave(&mut self.ticket) {
            Left::Waited | Left::Called(false) => self.line.take_back().is_some(),
            Left::NeverCame | Left::Called(true) => false,
        }
    }
}

impl<T> Drop for Send<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Nearly always neither is so, and this is all there is to it.
        if self.value.is_some() || self.ticket.has_place() {
            self.give_up();
        }
    }
}

impl<T> fmt::Debug for Send<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send").field("sent", &self.value.is_none()).finish_non_exhaustive()
    }
}
