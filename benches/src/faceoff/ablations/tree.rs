//! Who wants to be woken when, in the standard library's ordered map: what `runtime/src/timers.rs` would be without its heap.
//!
//! Facts. A `BTreeMap` keeps deadlines in order, finds the nearest, and takes any of them out, each in O(log n); and that
//! is all that is asked for. It moves its entries when it grows and shrinks, and allocates a node for about every eight.
//!
//! What follows. The key is (deadline, order of insertion), the value is the waker. No places to keep, nothing to sift.
//! This file takes the place of the real one in a copy of the sources, which the face-off builds and measures.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Waker;

use crate::clock::{NEVER, Nanos};
use crate::panics;
use crate::probe::{Event, Probe};

/// Names one pending timer. Once the timer has fired or was cancelled, the key fits nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    deadline: Nanos,
    serial: u64,
}

impl Key {
    /// The timer's number for the probe.
    pub(crate) fn number(self) -> u64 {
        self.serial
    }
}

#[derive(Debug)]
pub(crate) struct Timers {
    tree: RefCell<BTreeMap<Key, Waker>>,
    serial: Cell<u64>,
    closed: Cell<bool>,
    probe: Rc<Probe>,
}

impl Timers {
    pub(crate) fn new(probe: Rc<Probe>) -> Timers {
        Timers { tree: RefCell::default(), serial: Cell::new(0), closed: Cell::new(false), probe }
    }

    pub(crate) fn insert(&self, deadline: Nanos, waker: Waker) -> Key {
        debug_assert!(deadline != NEVER);
        let key = Key { deadline, serial: self.serial.get() };
        self.serial.set(key.serial + 1);
        self.tree.borrow_mut().insert(key, waker);
        key
    }

    /// Whether the timer is still pending; if it is, it will wake `waker`.
    pub(crate) fn renew(&self, key: Key, waker: &Waker) -> bool {
        match self.tree.borrow().get(&key) {
            None => return false,
            Some(own) if own.will_wake(waker) => return true,
            Some(_) => {}
        }
        // The borrow is over: `clone` may run anything, even something that cancels this very timer.
        let mut waker = waker.clone();
        let pending = match self.tree.borrow_mut().get_mut(&key) {
            Some(own) => {
                std::mem::swap(own, &mut waker);
                true
            }
            None => false,
        };
        drop(waker);
        pending
    }

    /// Takes the timer out, if it is still pending.
    pub(crate) fn cancel(&self, key: Key) {
        let waker = self.tree.borrow_mut().remove(&key);
        drop(waker);
    }

    /// The nearest deadline, if there is any.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.tree.borrow().first_key_value().map(|(key, _)| key.deadline)
    }

    /// Takes out all that are due at `now`, in order, for the caller to wake.
    pub(crate) fn take_due(&self, now: Nanos, due: &mut Vec<Waker>) {
        loop {
            let Some((key, waker)) = self.pop_due(now) else { return };
            self.probe.emit(|| Event::TimerFired { timer: key.number() });
            due.push(waker);
        }
    }

    fn pop_due(&self, now: Nanos) -> Option<(Key, Waker)> {
        let mut tree = self.tree.borrow_mut();
        let first = tree.first_entry().filter(|entry| entry.key().deadline <= now)?;
        Some(first.remove_entry())
    }

    /// The runtime is gone: nothing fires any more.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        let tree = self.tree.take();
        panics::swallow(|| drop(tree));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.probe
    }
}

/// What the model tests of the real file ask for.
#[cfg(test)]
impl Timers {
    pub(crate) fn starting_at(serial: u32, probe: Probe) -> Timers {
        let timers = Timers::new(Rc::new(probe));
        timers.serial.set(u64::from(serial));
        timers
    }

    pub(crate) fn check(&self) {}
}
