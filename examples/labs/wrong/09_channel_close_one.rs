//! Lab 9, wrong: closing wakes one of each line.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use labs::channel::{Channel, Line};

/// Values, a line of senders that wait for room, and a line of receivers that wait for values.
#[derive(Default)]
pub struct Bounded {
    values: RefCell<VecDeque<u32>>,
    capacity: usize,
    closed: Cell<bool>,
    senders: Line,
    receivers: Line,
}

impl Channel for Bounded {
    fn new(capacity: usize) -> Bounded {
        Bounded { capacity, ..Bounded::default() }
    }

    async fn send(&self, value: u32) -> Result<(), u32> {
        // Woken is not enough: another sender may have taken the room.
        while !self.closed.get() && self.values.borrow().len() == self.capacity {
            self.senders.wait().await;
        }
        if self.closed.get() {
            return Err(value);
        }
        self.values.borrow_mut().push_back(value);
        self.receivers.wake_one();
        Ok(())
    }

    async fn recv(&self) -> Option<u32> {
        loop {
            let value = self.values.borrow_mut().pop_front();
            if value.is_some() {
                self.senders.wake_one();
                return value;
            }
            if self.closed.get() {
                return None;
            }
            self.receivers.wait().await;
        }
    }

    fn close(&self) {
        self.closed.set(true);
        self.senders.wake_one();
        self.receivers.wake_one();
    }
}
