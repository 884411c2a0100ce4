//! The queue itself: two lanes of slots, each slot leading to the one behind it.
//!
//! Facts. Whom the world has woken (the kernel, a deadline, another thread) has waited for long, and does little. Whom
//! another task of this loop has woken, or the task itself, may come back for ever. In one queue, a task that
//! waits for a byte stands behind sixteen that burn 20 µs each, and is a third of a millisecond late.
//!
//! What follows. Two lanes, each first in, first out. While both have somebody, they take turns; so nobody waits for
//! more than the others in the same lane, twice over.
//!
//! ```text
//!   woken by the world ──► ▢ ▢ ▢ ──┐
//!                                  ├─ by turns ──► pop
//!   woken by a task    ──► ▢ ▢ ▢ ──┘
//! ```
//!
//! So those whose deadlines have passed run in the order of their deadlines, whatever else there is to do.
//!
//! What it does not know: what is in the slots, other than the link.

use super::{NOWHERE, Place, Slot};

pub(crate) struct Lanes {
    tasks: Lane,
    world: Lane,
    /// Whether it is the world that wakes, at present.
    arriving: bool,
    /// Whose turn it is, if both have somebody.
    worlds_turn: bool,
}

/// Both are [`NOWHERE`] while nobody stands here.
struct Lane {
    first: Place,
    last: Place,
}

impl Lanes {
    pub(crate) fn new() -> Lanes {
        let lane = || Lane { first: NOWHERE, last: NOWHERE };
        Lanes { tasks: lane(), world: lane(), arriving: false, worlds_turn: false }
    }

    /// From now on it is the world that wakes, or it is tasks again.
    #[inline]
    pub(crate) fn set_arriving(&mut self, arriving: bool) {
        self.arriving = arriving;
    }

    /// Puts a slot, which leads nowhere yet, behind the last.
    #[inline]
    pub(crate) fn push<T: Slot>(&mut self, slots: &mut [T], place: Place) {
        let lane = if self.arriving { &mut self.world } else { &mut self.tasks };
        match slots.get_mut(lane.last as usize) {
            Some(last) => last.mark().next = place,
            None => lane.first = place,
        }
        lane.last = place;
    }

    #[inline]
    pub(crate) fn pop<T: Slot>(&mut self, slots: &mut [T]) -> Option<Place> {
        if self.world.is_empty() {
            return self.tasks.pop(slots);
        }
        if !self.tasks.is_empty() {
            self.worlds_turn = !self.worlds_turn;
            if !self.worlds_turn {
                return self.tasks.pop(slots);
            }
        }
        self.world.pop(slots)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.world.is_empty()
    }
}

impl Lane {
    #[inline]
    fn is_empty(&self) -> bool {
        self.first == NOWHERE
    }

    #[inline]
    fn pop<T: Slot>(&mut self, slots: &mut [T]) -> Option<Place> {
        let place = self.first;
        self.first = slots.get_mut(place as usize)?.mark().next;
        if self.is_empty() {
            self.last = NOWHERE;
        }
        Some(place)
    }
}
