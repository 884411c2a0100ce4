//! The buffer that the two ends of a channel share.
//!
//! Facts. A buffer holds a number of values and has room for a number of further ones. A sender waits for room, a
//! receiver for a value.
//!
//! What follows. Both numbers are permits: `room` for the senders, `values` for the receivers. Sending takes a permit
//! from `room` and adds one to `values`; receiving does the reverse. A bounded channel needs no more than that: the
//! permits decide the order, keep it fair, and deal with waiters that are dropped (invariant 13). A receiver that has
//! been called has a *claim* to a value. The value itself stays in the buffer until the receiver is polled, so the
//! order of the values does not depend on which receiver comes first.
//!
//! A channel of capacity 0 is a *rendezvous*. It has room for one value in passing, and its sender waits until a
//! receiver has taken that value. If the sender is dropped before that, it takes the value back.
//!
//! Invariants. There are never more claims than values, with two exceptions: a value that was taken back, and a channel
//! that was closed. So a receiver that is called and finds no value waits again. 4: values are dropped with nothing
//! borrowed.
//!
//! What it does not know: how many senders and receivers there are, and what a task is.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::channel::closed::{Closed, TryRecvError, TrySendError};
use crate::channel::store::Store;
use crate::core::context::budget;
use crate::core::panics::drop_each;
use crate::sync::permits::{Held, Permits};
use crate::waiting::{Left, WaitKey, WaitQueue};

pub(crate) struct Buffer<T> {
    store: Store<T>,
    /// `None` if there is no limit.
    capacity: Option<usize>,
    /// One permit for each value that still fits. Not used if there is no limit.
    room: Permits,
    /// One permit for each value that no receiver has a claim to.
    values: Permits,
    /// The senders of a rendezvous whose value is in the buffer. They are called with true when a receiver has taken
    /// it, with false when the channel is closed.
    taken: WaitQueue<(), bool>,
    /// Set by `close`, never cleared. From then on no value goes in.
    closed: Cell<bool>,
    /// Set by `clear`, never cleared: no receiver is left, so a value that still goes in is dropped.
    unwanted: Cell<bool>,
}

impl<T> Buffer<T> {
    #[track_caller]
    pub(crate) fn new(store: Store<T>, capacity: Option<usize>) -> Buffer<T> {
        Buffer {
            store,
            capacity,
            room: Permits::new(capacity.map_or(0, |capacity| capacity.max(1)), &"channel to be sent to"),
            values: Permits::new(0, &"channel to be received from"),
            taken: WaitQueue::new(&"channel of no capacity"),
            closed: Cell::new(false),
            unwanted: Cell::new(false),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.store.len()
    }

    /// Gives all three lines a name for people who watch the loop.
    pub(crate) fn set_name(&self, name: &'static str) {
        self.room.set_name(name);
        self.values.set_name(name);
        self.taken.resource.set_name(name);
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// From now on nothing can be sent; the values in the buffer can still be received.
    pub(crate) fn close(&self) {
        if !self.closed.replace(true) {
            self.room.close();
            self.values.close();
            self.taken.call_all(false);
        }
    }

    /// Drops the values in the buffer, because no receiver is left.
    pub(crate) fn clear(&self) {
        self.unwanted.set(true);
        drop_each(std::iter::from_fn(|| self.store.pop()));
    }

    /// Waits for room, which then belongs to the caller; false if the channel is closed.
    #[inline]
    #[track_caller]
    pub(crate) fn poll_room(&self, key: &mut WaitKey, cx: &mut Context<'_>) -> Poll<bool> {
        if !key.is_set() && (self.capacity.is_none() || self.closed.get()) {
            return budget::spend(cx.waker()).map(|()| !self.closed.get());
        }
        let taken = ready!(self.room.poll_take(key, 1, cx));
        // The channel may have been closed after we were given the room.
        if taken && self.closed.get() {
            self.room.give(1);
        }
        Poll::Ready(taken && !self.closed.get())
    }

    /// Stops waiting for room. If room had already been given to this sender, the next sender gets it.
    pub(crate) fn leave_room(&self, key: &mut WaitKey) {
        self.room.leave(key, 1);
    }

    /// Gives back room that will not be used.
    pub(crate) fn give_room(&self) {
        if self.capacity.is_some() {
            self.room.give(1);
        }
    }

    /// Puts a value into the buffer; the caller has the room for it. The permit goes to a receiver.
    #[inline(always)]
    pub(crate) fn fill(&self, value: T) {
        let Store::Fifo(ring) = &self.store else { return self.sort_in(value) };
        ring.borrow_mut().push_back(value);
        self.values.add_one();
    }

    /// `fill`, if the buffer is not a plain ring.
    #[cold]
    fn sort_in(&self, value: T) {
        // The permit is given when this is dropped: even if comparing the values panics, the new one is in the buffer.
        let _claim = Held { permits: &self.values, n: 1 };
        self.store.push(value);
        // Comparing the values may have dropped the last receiver, which found the buffer empty.
        if self.unwanted.get() {
            self.clear();
        }
    }

    #[inline]
    pub(crate) fn send(&self, value: T) -> Send<'_, T> {
        Send { buffer: self, value: Some(value), key: WaitKey::default() }
    }

    /// Puts a value into a rendezvous and joins the line in `taken`. The value may stay as long as the sender stands
    /// there.
    #[track_caller]
    fn offer(&self, value: T, key: &mut WaitKey, cx: &mut Context<'_>) -> Result<(), T> {
        // Join first, then put the value in: a receiver that takes the value while it goes in calls the sender in line.
        let _waits = self.taken.poll_uncounted(key, (), cx, || None);
        if self.closed.get() {
            // Cloning the sender's waker ran foreign code, which has closed the channel.
            self.taken.leave(key);
            self.room.give(1);
            return Err(value);
        }
        self.fill(value);
        Ok(())
    }

    /// Takes the value of a rendezvous back, if it is still there. Its permit is taken back as well, unless a receiver
    /// has already claimed it.
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
        let no_receiver = self.capacity == Some(0) && self.values.waiting() == 0;
        if no_receiver || (self.capacity.is_some() && !self.room.try_take(1)) {
            return Err(TrySendError::Full(value));
        }
        self.fill(value);
        Ok(())
    }

    /// Waits for a value. The short path is inlined into the awaiting future, because a call would add half its cost.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn poll_recv(&self, key: &mut WaitKey, cx: &mut Context<'_>) -> Poll<Result<T, Closed>> {
        let waits = key.is_set();
        let counted = waits || budget::try_spend();
        if counted
            && !waits
            && let Some(value) = self.take_next()
        {
            return Poll::Ready(Ok(value));
        }
        self.wait_for_value(key, cx, counted)
    }

    /// The next value of a plain ring, if there is one and no other receiver has a claim to it. Nearly every message
    /// takes this path. The only foreign code on it is the waker of a sender that waited for room; nothing is borrowed
    /// then.
    #[inline(always)]
    fn take_next(&self) -> Option<T> {
        let (Store::Fifo(ring), None | Some(1..)) = (&self.store, self.capacity) else { return None };
        if !self.values.try_take(1) {
            return None;
        }
        let value = ring.borrow_mut().pop_front()?;
        if self.capacity.is_some() {
            self.room.add_one();
        }
        Some(value)
    }

    /// Claims a value and fetches it. If the operation is not `counted`, the budget is used up and the task has to give
    /// way. A value that is free is then claimed for the task, and stays in the buffer until its next poll.
    #[cold]
    #[track_caller]
    fn wait_for_value(
        &self,
        key: &mut WaitKey,
        cx: &mut Context<'_>,
        counted: bool,
    ) -> Poll<Result<T, Closed>> {
        if self.store.is_out() {
            // A comparison of two values is calling us. A claim would find no value now, and would be lost.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut claim = match counted {
            true => self.values.poll_in_line(key, 1, cx),
            false => self.values.poll_without_budget(key, 1, cx),
        };
        // A claim may find no value (see the invariants); then claim again, unless the channel is closed.
        loop {
            let open = ready!(claim);
            if let Some(value) = self.pop() {
                return Poll::Ready(Ok(value));
            }
            if !open {
                return Poll::Ready(Err(Closed(())));
            }
            claim = self.values.poll_in_line(key, 1, cx);
        }
    }

    /// The next value for a stream. The future of its `next` can be dropped without our hearing of it, and then a value
    /// that was given to it would be stuck. So a stream waits for word that there is a value, and never has a claim.
    #[track_caller]
    pub(crate) fn poll_next(&self, key: &mut WaitKey, cx: &mut Context<'_>) -> Poll<Option<T>> {
        // Still in line from an earlier poll: only go on when word has come.
        if key.is_set() {
            ready!(self.values.poll_word(key, cx));
        }
        ready!(budget::spend(cx.waker()));
        // A comparison of two values is calling us: try again when it is over.
        if self.store.is_out() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // Another receiver may take the value between the word and this attempt: then wait for the next word.
        loop {
            match self.try_recv() {
                Ok(value) => return Poll::Ready(Some(value)),
                Err(TryRecvError::Closed) => return Poll::Ready(None),
                Err(TryRecvError::Empty) => ready!(self.values.poll_word(key, cx)),
            };
        }
    }

    /// A stream stops waiting.
    pub(crate) fn leave_as_stream(&self, key: &mut WaitKey) {
        self.values.leave_word(key);
    }

    /// A receiver stops waiting; if it has a claim, the next receiver gets it.
    pub(crate) fn leave(&self, key: &mut WaitKey) {
        self.values.leave(key, 1);
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
        // Given back when this is dropped: if comparing the values panics, one value is gone, and its room is free.
        let mut room = Held { permits: &self.room, n: usize::from(self.capacity.is_some()) };
        let value = self.store.pop();
        if value.is_none() {
            room.n = 0;
        } else if self.capacity == Some(0) {
            // Call our sender before giving back the room, or the sender of the next value would be called instead.
            self.taken.call(true);
        }
        drop(room);
        value
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T> fmt::Debug for Buffer<T> {
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
    buffer: &'a Buffer<T>,
    /// Taken when the value goes into the channel.
    value: Option<T>,
    /// While `value` is here: its entry in the line for room. After that, in a rendezvous: its entry in the line
    /// `taken`.
    key: WaitKey,
}

// The value is moved, never pinned.
impl<T> Unpin for Send<'_, T> {}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), Closed<T>>;

    #[inline]
    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Send { buffer, value, key } = &mut *self;
        if value.is_some() {
            // First wait for room.
            let room = ready!(buffer.poll_room(key, cx));
            let Some(value) = value.take() else { unreachable!("it was there a moment ago") };
            if !room {
                return Poll::Ready(Err(Closed(value)));
            }
            // With a capacity, the value goes in and that is all; a rendezvous goes on.
            if buffer.capacity != Some(0) {
                buffer.fill(value);
                return Poll::Ready(Ok(()));
            }
            if let Err(value) = buffer.offer(value, key, cx) {
                return Poll::Ready(Err(Closed(value)));
            }
        }
        // The value of a rendezvous is in: wait until a receiver has taken it, or the channel is closed.
        if ready!(buffer.taken.poll_uncounted(key, (), cx, || None)) {
            return Poll::Ready(Ok(()));
        }
        // Closed. A receiver may have taken the value all the same.
        Poll::Ready(buffer.take_back().map_or(Ok(()), |value| Err(Closed(value))))
    }
}

impl<T> Send<'_, T> {
    /// Stops sending. True if the value was not sent, or if it could be taken back.
    #[cold]
    pub(crate) fn give_up(&mut self) -> bool {
        if self.value.is_some() {
            self.buffer.leave_room(&mut self.key);
            return true;
        }
        self.key.is_set() && self.take_back()
    }

    fn take_back(&mut self) -> bool {
        match self.buffer.taken.leave(&mut self.key) {
            Left::Waited | Left::Called(false) => self.buffer.take_back().is_some(),
            Left::NeverCame | Left::Called(true) => false,
        }
    }
}

impl<T> Drop for Send<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Nearly always the value has been sent and neither is true.
        if self.value.is_some() || self.key.is_set() {
            self.give_up();
        }
    }
}

impl<T> fmt::Debug for Send<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send").field("sent", &self.value.is_none()).finish_non_exhaustive()
    }
}
