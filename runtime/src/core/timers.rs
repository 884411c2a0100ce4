//! All pending timers of a loop: which waker to use at which time.
//!
//! Facts. Most timers never fire: they are timeouts, dropped long before. The loop asks for the nearest deadline each time
//! it parks. Deadlines are exact, so there are no ticks to round to.
//!
//! What follows. A key is a deadline and a serial that counts the insertions. Timers fire in the order of their keys. A
//! key also says where its timer is: among the [`newest`], or in which of the [`segments`]. A timer that is dropped is taken
//! out at once, so nothing has to be cleaned up later. The serial has 64 bits, so it does not wrap around.
//!
//! Invariants. 4: wakers are taken out, the borrow is released, and then the loop wakes them.
//! 9: a timer fires only if its deadline is not later than the time given. Timers that are due at the same
//! time fire in the order of their deadlines, then of their insertion. A timer fires at most once.
//!
//! What it does not know: tasks, clocks, the kernel. It is told the time.

mod newest;
mod segments;

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::task::Waker;

use crate::core::clock::{NEVER, Nanos};
use crate::core::panics;
use crate::core::probe::{Event, Probe};
pub(crate) use newest::Key;
use segments::Segments;

pub(crate) struct Timers {
    pending: RefCell<Segments>,
    inserted: Cell<u64>,
    /// When the runtime ended.
    closed: Cell<Option<Nanos>>,
    pub(crate) probe: Rc<Probe>,
}

impl Timers {
    pub(crate) fn new(probe: Rc<Probe>) -> Timers {
        Timers { pending: RefCell::default(), inserted: Cell::new(0), closed: Cell::new(None), probe }
    }

    pub(crate) fn insert(&self, deadline: Nanos, waker: Waker) -> Key {
        debug_assert!(deadline != NEVER);
        let key = Key { deadline, serial: self.inserted.get() };
        self.inserted.set(key.serial + 1);
        self.pending.borrow_mut().insert((key, waker));
        key
    }

    /// Whether the timer is still pending; if it is, it will wake `waker`.
    pub(crate) fn renew(&self, key: Key, waker: &Waker) -> bool {
        match self.pending.borrow_mut().get_mut(key) {
            None => return false,
            Some((_, kept)) if kept.will_wake(waker) => return true,
            Some(_) => {}
        }
        // The borrow is over: `clone` may run anything, even something that cancels this very timer.
        let mut waker = waker.clone();
        let swapped =
            self.pending.borrow_mut().get_mut(key).map(|(_, kept)| std::mem::swap(kept, &mut waker));
        // The same is true of dropping the old waker.
        drop(waker);
        swapped.is_some()
    }

    /// Takes the timer out, if it is still pending.
    pub(crate) fn cancel(&self, key: Key) {
        let timer = self.pending.borrow_mut().remove(key);
        drop(timer);
    }

    /// The nearest deadline, if there is any.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.pending().first().map(|key| key.deadline)
    }

    /// All pending timers, to be looked at.
    pub(crate) fn pending(&self) -> RefMut<'_, Segments> {
        self.pending.borrow_mut()
    }

    /// Takes out all that are due at `now`, in order. The caller wakes them.
    pub(crate) fn take_due(&self, now: Nanos, due: &mut Vec<Waker>) {
        loop {
            let Some((key, waker)) = self.pending.borrow_mut().take_due(now) else { return };
            self.probe.emit(|| Event::TimerFired { timer: key.serial });
            due.push(waker);
        }
    }

    /// The runtime ends `now`: nothing fires any more. A sleep that another loop awaits is woken to hear of it. Each waker
    /// is used by itself, because two of them may panic.
    pub(crate) fn close(&self, now: Nanos) {
        self.closed.set(Some(now));
        let mut pending = self.pending.take();
        std::iter::from_fn(|| pending.take_due(NEVER)).for_each(|(_, waker)| panics::wake(waker));
    }

    /// Whether the runtime ended before this deadline.
    pub(crate) fn is_closed_before(&self, deadline: Nanos) -> bool {
        self.closed.get().is_some_and(|now| now < deadline)
    }
}

#[cfg(test)]
impl Timers {
    pub(crate) fn check(&self) -> usize {
        self.pending.borrow().check()
    }
}
