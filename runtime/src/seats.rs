//! So many at a time; the others wait in the order in which they came.
//!
//! Facts. Who waits may stop waiting at any time, also at the very moment when it is its turn.
//!
//! What follows. A seat that is given up is handed to the first in the queue, and not put back for anybody to
//! take. Invariant 13: who is handed a seat and is dropped before it has noticed passes it on.
//!
//! What it does not know: what the seats are for.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Poll, Waker};

pub(crate) struct Seats {
    free: Cell<usize>,
    queue: RefCell<VecDeque<Rc<Ticket>>>,
}

/// A place in the queue.
#[derive(Default)]
struct Ticket {
    stage: Cell<Stage>,
    waker: Cell<Option<Waker>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Queued,
    /// Out of the queue: the seat is there, but has not been taken.
    Called,
    Seated,
}

/// One of the seats, for as long as this lives.
pub(crate) struct Seat<'a>(&'a Seats);

impl Seats {
    pub(crate) fn new(count: usize) -> Seats {
        Seats { free: Cell::new(count), queue: RefCell::default() }
    }

    /// Waits for a seat.
    pub(crate) async fn take(&self) -> Seat<'_> {
        if let Some(left) = self.free.get().checked_sub(1) {
            self.free.set(left);
            return Seat(self);
        }
        let ticket = Rc::<Ticket>::default();
        self.queue.borrow_mut().push_back(Rc::clone(&ticket));
        let waiting = Waiting { seats: self, ticket };
        std::future::poll_fn(|cx| {
            if waiting.ticket.stage.get() == Stage::Called {
                waiting.ticket.stage.set(Stage::Seated);
                return Poll::Ready(());
            }
            // Clone and drop a waker with nothing borrowed: both are foreign code.
            let old = waiting.ticket.waker.replace(Some(cx.waker().clone()));
            drop(old);
            Poll::Pending
        })
        .await;
        Seat(self)
    }

    fn give(&self) {
        let next = self.queue.borrow_mut().pop_front();
        let Some(ticket) = next else { return self.free.set(self.free.get() + 1) };
        ticket.stage.set(Stage::Called);
        if let Some(waker) = ticket.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.give();
    }
}

/// Somebody in the queue.
struct Waiting<'a> {
    seats: &'a Seats,
    ticket: Rc<Ticket>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        match self.ticket.stage.get() {
            Stage::Queued => self.seats.queue.borrow_mut().retain(|other| !Rc::ptr_eq(other, &self.ticket)),
            Stage::Called => self.seats.give(),
            Stage::Seated => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    fn poll<'a>(future: std::pin::Pin<&mut impl Future<Output = Seat<'a>>>) -> Option<Seat<'a>> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(seat) => Some(seat),
            Poll::Pending => None,
        }
    }

    #[test]
    fn in_the_order_in_which_they_came() {
        let seats = Seats::new(1);
        let seat = poll(pin!(seats.take())).unwrap();
        let (mut first, mut second) = (pin!(seats.take()), pin!(seats.take()));
        assert!(poll(first.as_mut()).is_none() && poll(second.as_mut()).is_none());
        drop(seat);
        assert!(poll(pin!(seats.take())).is_none(), "nobody jumps the queue");
        assert!(poll(second.as_mut()).is_none());
        let seat = poll(first.as_mut()).unwrap();
        assert!(poll(second.as_mut()).is_none());
        drop(seat);
        assert!(poll(second.as_mut()).is_some());
        assert_eq!((seats.free.get(), seats.queue.borrow().len()), (1, 0));
    }

    #[test]
    fn a_seat_that_is_handed_to_someone_who_leaves_is_passed_on() {
        let seats = Seats::new(1);
        let seat = poll(pin!(seats.take())).unwrap();
        let mut second = pin!(seats.take());
        {
            let mut first = pin!(seats.take());
            assert!(poll(first.as_mut()).is_none() && poll(second.as_mut()).is_none());
            drop(seat);
        }
        drop(poll(second.as_mut()).expect("the first has left"));
        assert_eq!((seats.free.get(), seats.queue.borrow().len()), (1, 0));
    }
}
