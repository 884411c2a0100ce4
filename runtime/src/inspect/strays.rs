//! Waits that have ended without having been found.
//!
//! Facts. A future may be moved to another task before its wait ends. Then the table finds no such wait with the task that
//! ends it, and the task that began it would show it for ever. A table of 100,000 waits is shown, and each of them has to be
//! compared with these.
//!
//! What follows. The last thousand are remembered, by what was waited for and the place there. To look one up takes a few
//! steps, however many there are.
//!
//! What it does not know: tasks.

use std::collections::{HashMap, VecDeque};

use crate::core::clock::Nanos;
use crate::core::probe::Resource;
use crate::waits;

/// How many are remembered.
const STRAYS: usize = 1024;

/// What was waited for, as two numbers, and the place there.
type Key = ((u8, u64), u64);

/// The last waits that have ended and were not found.
#[derive(Default)]
pub(super) struct Strays {
    ended: HashMap<Key, Nanos>,
    /// In the order in which they came, with their times. One that has come again is in it twice.
    order: VecDeque<(Key, Nanos)>,
}

impl Strays {
    pub(super) fn add(&mut self, on: Resource, place: u64, now: Nanos) {
        if self.order.len() == STRAYS {
            self.forget_the_oldest();
        }
        let key = (waits::key(on), place);
        self.ended.insert(key, now);
        self.order.push_back((key, now));
    }

    fn forget_the_oldest(&mut self) {
        let Some((key, then)) = self.order.pop_front() else { return };
        if self.ended.get(&key) == Some(&then) {
            self.ended.remove(&key);
        }
    }

    /// Whether a wait that began then has ended since.
    pub(super) fn has_ended(&self, on: Resource, place: u64, since: Nanos) -> bool {
        !self.ended.is_empty() && self.ended.get(&(waits::key(on), place)).is_some_and(|at| *at >= since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_found_by_what_where_and_when() {
        let mut strays = Strays::default();
        let lock = |number| Resource::Line { what: "mutex", number };
        strays.add(lock(1), 7, 100);
        assert!(strays.has_ended(lock(1), 7, 100) && strays.has_ended(lock(1), 7, 99));
        assert!(!strays.has_ended(lock(1), 7, 101), "it began later");
        assert!(!strays.has_ended(lock(1), 8, 0) && !strays.has_ended(lock(2), 7, 0));
        assert!(!strays.has_ended(Resource::Timer(1), 7, 0));
        // The same wait comes again, and is remembered for as long as the last one.
        strays.add(lock(1), 7, 200);
        for number in 2..=STRAYS as u64 {
            strays.add(lock(number), 0, 300);
            assert!(strays.has_ended(lock(1), 7, 150), "after {number}");
            assert!(strays.order.len() <= STRAYS && strays.ended.len() <= strays.order.len());
        }
        strays.add(lock(0), 0, 300);
        assert!(!strays.has_ended(lock(1), 7, 0), "forgotten");
        assert!(strays.has_ended(lock(2), 0, 0) && strays.has_ended(lock(0), 0, 0));
    }
}
