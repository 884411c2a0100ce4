//! The queue itself: two lanes of slots, each slot leading to the next one.
//!
//! Facts. A task that was woken from outside (by the kernel, a deadline, another thread) has waited for long, and does
//! little. A task that was woken by another task of this loop, or by itself, may come back for ever. In one queue, a task that
//! waits for a byte stands after sixteen that burn 20 µs each, and is a third of a millisecond late.
//!
//! What follows. Two lanes, each first in, first out. While neither is empty, they take turns. So a task waits at most
//! for those before it in its own lane, and for as many of the other.
//!
//! ```text
//!   woken from outside ──► ▢ ▢ ▢ ──┐
//!                                  ├─ alternately ──► pop
//!   woken by a task    ──► ▢ ▢ ▢ ──┘
//! ```
//!
//! Tasks whose deadlines have passed run in the order of their deadlines, whatever else there is to do.
//!
//! What it does not know: what is in the slots, other than the link.

use super::mark::{Index, NOWHERE, Slot};

pub(crate) struct Queue {
    pub(crate) tasks: Lane,
    pub(crate) outside: Lane,
    /// Set in the steps of a turn that bring wakes from outside: they go to that lane.
    arriving: bool,
    /// Set when the next pop is to take from the outside lane. It matters only while neither is empty.
    pub(crate) outside_is_next: bool,
}

/// Both ends are [`NOWHERE`] while the lane is empty. The link of the last slot may lead anywhere.
pub(crate) struct Lane {
    pub(crate) first: Index,
    pub(crate) last: Index,
}

impl Queue {
    pub(super) fn new() -> Queue {
        let lane = || Lane { first: NOWHERE, last: NOWHERE };
        Queue { tasks: lane(), outside: lane(), arriving: false, outside_is_next: false }
    }

    /// Says what wakes from now on: the kernel, timers and other threads, or tasks.
    #[inline]
    pub(crate) fn set_arriving(&mut self, arriving: bool) {
        self.arriving = arriving;
    }

    /// Puts a slot at the end of its lane. Where it led before does not matter.
    #[inline]
    pub(super) fn push<T: Slot>(&mut self, slots: &mut [T], index: Index) {
        let lane = if self.arriving { &mut self.outside } else { &mut self.tasks };
        match slots.get_mut(lane.last as usize) {
            Some(last) => last.mark().next = index,
            None => lane.first = index,
        }
        lane.last = index;
    }

    /// The slot that is next, out of the queue, and its index.
    #[inline]
    pub(super) fn pop<'a, T: Slot>(&mut self, slots: &'a mut [T]) -> Option<(Index, &'a mut T)> {
        let lane = self.next_lane();
        let index = lane.first;
        let slot = slots.get_mut(index as usize)?;
        lane.first = slot.mark().next;
        // The last slot of a lane leads nowhere, but its link does not say so: a wake would have to write that each time.
        if index == lane.last {
            *lane = Lane { first: NOWHERE, last: NOWHERE };
        }
        Some((index, slot))
    }

    /// The lane of the next pop: alternately one and the other, while neither is empty.
    #[inline]
    fn next_lane(&mut self) -> &mut Lane {
        if self.outside.is_empty() {
            return &mut self.tasks;
        }
        if !self.tasks.is_empty() {
            self.outside_is_next = !self.outside_is_next;
            if !self.outside_is_next {
                return &mut self.tasks;
            }
        }
        &mut self.outside
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.outside.is_empty()
    }
}

impl Lane {
    #[inline]
    fn is_empty(&self) -> bool {
        self.first == NOWHERE
    }
}
