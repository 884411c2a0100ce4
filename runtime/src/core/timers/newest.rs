//! The timers that were inserted last: each of them until MOST others have been inserted.
//!
//! Facts. Most timers are timeouts, and most of those are taken out soon, because what they limit is over. To find a place
//! among many timers takes time, and a timer that is taken out soon does not need one.
//!
//! What follows. A timer is put here first, at the place that its serial says. There it is found again without a search. It
//! moves to the others when the place is needed for a newer timer. So a timeout that is over soon costs as much beside a
//! million timers as it does alone.
//!
//! Invariants. A timer at place p has a serial that is p modulo MOST. All timers here are newer than those that have moved, and
//! they move in the order of their serials.
//!
//! What it does not know: where a timer goes from here.

use std::task::Waker;

use crate::core::clock::Nanos;

/// Names one pending timer. Once the timer has fired or was cancelled, the key fits nothing any more. Keys are ordered as
/// their timers fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) deadline: Nanos,
    /// How many timers were inserted before this one. The probe calls the timer by this number.
    pub(crate) serial: u64,
}

/// A timer, and whom it wakes.
pub(crate) type Timer = (Key, Waker);

#[derive(Default)]
pub(super) struct Newest {
    timers: [Option<Timer>; MOST],
    pending: usize,
    /// No timer here fires before this one, which may have been taken out.
    least: Option<Key>,
}

/// Tests of debug builds have few places and small segments, so that short programs fill them; those of release builds have
/// real ones. But a segment is not so small that cutting it sorts it.
pub(super) const SMALL: bool = cfg!(all(test, debug_assertions));
/// With more places, more timeouts at a time, and longer ones, need no place among the others. But to find the one that
/// fires next takes longer.
const MOST: usize = if SMALL { 4 } else { 16 };

impl Newest {
    /// Inserts the next timer. Returns the one that had its place.
    #[inline]
    pub(super) fn insert(&mut self, (key, waker): Timer) -> Option<Timer> {
        if self.pending == 0 || self.least.is_none_or(|least| key < least) {
            self.least = Some(key);
        }
        let oldest = self.timers[place_of(key)].replace((key, waker));
        self.pending += usize::from(oldest.is_none());
        oldest
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Timer> {
        self.timers[place_of(key)].as_mut().filter(|(other, _)| *other == key)
    }

    #[inline]
    pub(super) fn remove(&mut self, key: Key) -> Option<Timer> {
        let removed = self.timers[place_of(key)].take_if(|(other, _)| *other == key)?;
        self.pending -= 1;
        Some(removed)
    }

    /// The key of the timer that fires next, or `other` if that is before it.
    #[inline]
    pub(super) fn first_or(&mut self, other: Option<Key>) -> Option<Key> {
        // Often `other` is before all that can be here.
        let least = self.least.filter(|least| self.pending > 0 && other.is_none_or(|other| *least < other));
        if least.is_some_and(|least| self.get_mut(least).is_none()) {
            self.least = self.iter().map(|(key, _)| *key).min();
            return self.least.into_iter().chain(other).min();
        }
        least.or(other)
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Timer> {
        self.timers.iter().flatten()
    }
}

fn place_of(key: Key) -> usize {
    key.serial as usize % MOST
}
