//! The pending timers, in segments: the first one sorted, the others not yet.
//!
//! Facts. The loop asks for one deadline only, the nearest. Most timers are taken out long before it comes, so work that
//! sorts them is wasted. All tasks wait while the loop works here, so no single step may be long.
//!
//! What follows. A timer begins among the [`newest`](super::newest), and many end there. Those that last longer are cut
//! into segments of fewer than FULL. All timers of a segment come before those of the next one, but inside a segment there
//! is no order, except in the first. So the nearest timer is the first of the first segment, or one of the newest. A timer
//! that belongs in a later segment is pushed to its end; when one is taken out of it, the last one fills the gap. When the
//! first segment is empty, the second becomes the first and is sorted. A segment that is full is cut in two, so the longest
//! step is to sort or cut one segment.
//!
//! ```text
//!   start      (none)            from 9 ms              from 40 ms
//!   timers     [3 4 4 6 7 8]     [15 9 31 20 12 28]     [61 40 44 …]
//! ```
//!
//! What it costs. A segment is found in a tree of their starts. In the first segment a timer is found by halving, and some
//! others move when it comes or goes; in another segment it is searched one by one. The wakers are kept here, so there is no
//! other table to update or to make smaller.
//!
//! Invariants. Each key is at or after the start of its segment and before the start of the next one. The first segment is
//! sorted, and it is empty only if there is no other. No segment has FULL timers. None of the others is empty, and a segment
//! that loses timers gives memory back, so few timers do not keep much of it.
//!
//! What it does not know: when wakers are woken, the time.

use std::collections::{BTreeMap, VecDeque};

use crate::core::clock::Nanos;
use crate::core::timers::newest::{Key, Newest, SMALL, Timer};

#[derive(Default)]
pub(crate) struct Segments {
    newest: Newest,
    first: VecDeque<Timer>,
    /// By the least key that belongs there, even after its timer is gone.
    others: BTreeMap<Key, Vec<Timer>>,
}

/// A segment with this many timers is cut. With a larger limit, a timer is searched among more others; with a smaller one
/// there are more segments to be found.
const FULL: usize = if SMALL { 24 } else { 128 };

impl Segments {
    /// Inserts a timer whose serial is greater than those of all others.
    #[inline]
    pub(super) fn insert(&mut self, timer: Timer) {
        if let Some(oldest) = self.newest.insert(timer) {
            self.insert_old(oldest);
        }
    }

    /// Inserts a timer whose serial is greater than those of all others that are not among the newest.
    fn insert_old(&mut self, (key, waker): Timer) {
        let last = self.others.last_key_value().map(|(start, _)| *start);
        let later = match segment_of(&mut self.others, key) {
            Some((start, timers)) => {
                timers.push((key, waker));
                // Most timers are inserted at the end of the last segment. None of those would fill it up again.
                let kept = if last == Some(start) { FULL - 1 } else { FULL / 2 };
                (timers.len() == FULL).then(|| {
                    timers.select_nth_unstable_by_key(kept, |(key, _)| *key);
                    timers.split_off(kept)
                })
            }
            None => {
                let place = self.first.partition_point(|(other, _)| other.deadline <= key.deadline);
                self.first.insert(place, (key, waker));
                (self.first.len() == FULL).then(|| self.first.split_off(FULL / 2).into())
            }
        };
        later.into_iter().for_each(|later| _ = self.others.insert(later[0].0, later));
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Timer> {
        self.newest.get_mut(key).or_else(|| match place_of(&self.first, key) {
            Some(place) => self.first.get_mut(place),
            None => segment_of(&mut self.others, key)?.1.iter_mut().find(|(other, _)| *other == key),
        })
    }

    #[inline]
    pub(super) fn remove(&mut self, key: Key) -> Option<Timer> {
        self.newest.remove(key).or_else(|| match place_of(&self.first, key) {
            Some(place) => self.take(place),
            None => self.remove_later(key),
        })
    }

    fn remove_later(&mut self, key: Key) -> Option<Timer> {
        let (start, timers) = segment_of(&mut self.others, key)?;
        let place = timers.iter().position(|(other, _)| other.serial == key.serial)?;
        let removed = timers.swap_remove(place);
        if timers.is_empty() {
            self.others.remove(&start);
        } else if timers.len() < timers.capacity() / 4 {
            timers.shrink_to(2 * timers.len());
        }
        Some(removed)
    }

    /// The key of the timer that fires next.
    #[inline]
    pub(super) fn first(&mut self) -> Option<Key> {
        self.newest.first_or(self.first.front().map(|(key, _)| *key))
    }

    /// Takes out the timer that fires next, if it is due.
    pub(super) fn take_due(&mut self, now: Nanos) -> Option<Timer> {
        let key = self.first().filter(|key| key.deadline <= now)?;
        self.newest.remove(key).or_else(|| self.take(0))
    }

    /// All timers, in no order.
    #[cfg(feature = "diagnostics")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &std::task::Waker)> {
        let old = self.first.iter().chain(self.others.values().flatten());
        self.newest.iter().chain(old).map(|(key, waker)| (key, waker))
    }

    /// Takes out a timer of the first segment. If it was the only one there, the next segment becomes the first.
    fn take(&mut self, place: usize) -> Option<Timer> {
        let taken = self.first.remove(place);
        let next = if self.first.is_empty() { self.others.pop_first() } else { None };
        if let Some((_, mut timers)) = next {
            timers.sort_unstable_by_key(|(key, _)| *key);
            self.first = timers.into();
        }
        taken
    }
}

/// The segment to which this key belongs, and where it starts. None if it is the first segment.
fn segment_of(others: &mut BTreeMap<Key, Vec<Timer>>, key: Key) -> Option<(Key, &mut Vec<Timer>)> {
    // Most timers belong in the last one, where to look is quick.
    if others.last_key_value().is_some_and(|(last, _)| *last <= key) {
        return others.last_entry().map(|last| (*last.key(), last.into_mut()));
    }
    others.range_mut(..=key).next_back().map(|(start, timers)| (*start, timers))
}

/// Where in the first segment the timer stands, if it is there.
fn place_of(first: &VecDeque<Timer>, key: Key) -> Option<usize> {
    // Mostly, a timer that is not there comes after all of them.
    let may_be_there = first.back().is_some_and(|(last, _)| key <= *last);
    if may_be_there { first.binary_search_by_key(&key, |(other, _)| *other).ok() } else { None }
}

#[cfg(test)]
impl Segments {
    /// Checks the invariants. Returns how many segments there are.
    pub(super) fn check(&self) -> usize {
        let keys = |timers: &mut dyn Iterator<Item = &Timer>| timers.map(|(key, _)| *key).collect::<Vec<_>>();
        let (newest, first) = (keys(&mut self.newest.iter()), keys(&mut self.first.iter()));
        let others = self.others.iter().map(|(start, timers)| (Some(*start), keys(&mut timers.iter())));
        let segments: Vec<_> = [(None, first)].into_iter().chain(others).collect();
        assert!(segments[0].1.is_sorted(), "the first segment is not sorted");
        assert!(segments.iter().all(|(_, keys)| keys.len() < FULL), "a segment is full");
        assert!(
            segments.len() == 1 || segments.iter().all(|(_, keys)| !keys.is_empty()),
            "a segment is empty"
        );
        assert!(segments.iter().all(|(start, keys)| keys.iter().all(|key| Some(*key) >= *start)), "too late");
        assert!(segments.windows(2).all(|two| two[0].1.iter().all(|key| Some(*key) < two[1].0)), "too early");
        assert!(
            self.others.values().all(|timers| timers.capacity() <= 4 * timers.len() + 3),
            "too much memory"
        );
        let moved = segments.iter().flat_map(|(_, keys)| keys).map(|key| key.serial).max();
        assert!(newest.iter().all(|key| Some(key.serial) > moved), "a timer has moved before an older one");
        segments.len()
    }
}
