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
use std::task::{Context, Poll, ready};

use crate::channel::store::Store;
use crate::channel::{Closed, TryRecvError, TrySendError};
use crate::sync::permits::{Held, Permits};
use crate::waiting::{Ticket, WaitQueue};

pub(crate) struct Line<T> {
    store: Store<T>,
    /// `None` for no limit.
    capacity: Option<usize>,
    room: Permits,
    values: Permits,
    /// Where the sender of a rendezvous waits until its value has been taken: true, or until the channel is closed.
    taken: WaitQueue<(), bool>,
    closed: Cell<bool>,
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

    /// Nobody will fetch what is in.
    pub(crate) fn clear(&self) {
        while let Some(value) = self.store.pop() {
            drop(value);
        }
    }

    /// Waits for room; it is the caller's until it is used or given back.
    pub(crate) async fn reserve(&self) -> Result<Room<'_, T>, Closed> {
        if self.closed.get() || (self.capacity.is_some() && !self.room.take(1).await) {
            return Err(Closed(()));
        }
        let room = Room { _held: self.hold_room(), line: self };
        // It may have been closed after we were given the room.
        if self.closed.get() { Err(Closed(())) } else { Ok(room) }
    }

    fn hold_room(&self) -> Held<'_> {
        Held { permits: &self.room, n: usize::from(self.capacity.is_some()) }
    }

    #[inline]
    pub(crate) async fn send(&self, value: T) -> Result<(), Closed<T>> {
        match self.reserve().await {
            Err(Closed(())) => Err(Closed(value)),
            Ok(room) if self.capacity == Some(0) => self.hand_over(room, value).await,
            Ok(room) => {
                room.fill(value);
                Ok(())
            }
        }
    }

    /// The rendezvous: waits until the value has been taken.
    async fn hand_over(&self, room: Room<'_, T>, value: T) -> Result<(), Closed<T>> {
        room.fill(value);
        let take_back = |called: Option<bool>| {
            if called.is_none() {
                drop(self.take_back());
            }
        };
        if self.taken.wait((), || None, take_back).await {
            return Ok(());
        }
        self.take_back().map_or(Ok(()), |value| Err(Closed(value)))
    }

    /// The one value that is in a rendezvous; its claim goes with it, if nobody has that yet.
    fn take_back(&self) -> Option<T> {
        let value = self.store.pop();
        self.values.write_off(1);
        self.room.give(1);
        value
    }

    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        if self.closed.get() {
            return Err(TrySendError::Closed(value));
        }
        let nobody_there = self.capacity == Some(0) && self.values.waiting() == 0;
        if nobody_there || (self.capacity.is_some() && !self.room.try_take(1)) {
            return Err(TrySendError::Full(value));
        }
        Room { _held: self.hold_room(), line: self }.fill(value);
        Ok(())
    }

    #[inline]
    pub(crate) fn poll_recv(&self, ticket: &mut Ticket, cx: &mut Context<'_>) -> Poll<Result<T, Closed>> {
        loop {
            let open = ready!(self.values.poll_take(ticket, 1, cx));
            if let Some(value) = self.pop() {
                return Poll::Ready(Ok(value));
            }
            if !open {
                return Poll::Ready(Err(Closed(())));
            }
        }
    }

    /// A receiver waits no more; its claim goes to the next.
    pub(crate) fn leave(&self, ticket: &mut Ticket) {
        self.values.leave(ticket, 1);
    }

    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        let claimed = self.values.try_take(1) || self.closed.get();
        let value = if claimed { self.pop() } else { None };
        value.ok_or(if self.closed.get() { TryRecvError::Closed } else { TryRecvError::Empty })
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        let value = self.store.pop()?;
        if self.capacity.is_some() {
            self.room.give(1);
            if self.capacity == Some(0) {
                self.taken.call(true);
            }
        }
        Some(value)
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

/// Room for one value; dropped, it is given back.
#[derive(Debug)]
pub(crate) struct Room<'a, T> {
    _held: Held<'a>,
    line: &'a Line<T>,
}

impl<T> Room<'_, T> {
    pub(crate) fn is_closed(&self) -> bool {
        self.line.closed.get()
    }

    /// Puts a value where there is room for it.
    #[inline]
    pub(crate) fn fill(mut self, value: T) {
        self._held.n = 0;
        self.line.store.push(value);
        self.line.values.give(1);
    }
}
