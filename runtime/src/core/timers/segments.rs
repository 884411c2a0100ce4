//! The pending timers, in segments: the first one sorted, the others not yet.
//!
//! Facts. The loop asks for one deadline only, the nearest. Most timers are taken out long before it comes, so work that
//! sorts them is wasted. All tasks wait while the loop works here, so no single step may be long.
//!
//! What follows. The timers are cut into segments of fewer than FULL. All timers of a segment come before those of the next
//! one, but inside a segment there is no order, except in the first. So the nearest timer is the first of the first
//! segment. A timer that is inserted later is pushed to the end of its segment; when one is taken out, the last one fills
//! the gap. When the first segment is empty, the second becomes the first and is sorted. A segment that is full is cut in
//! two, so the longest step is to sort or cut one segment and to move half of the list of segments.
//!
//! ```text
//!   start      (not read)        from 9 ms              from 40 ms
//!   timers     [3 4 4 6 7 8]     [15 9 31 20 12 28]     [61 40 44 …]
//! ```
//!
//! What it costs. The segment is found by halving, unless it is the first, the last, or the one that was found last. In the
//! first segment a timer is inserted by halving, and some others move. A timer that is taken out is searched one by one, unless
//! it is the first or last of its segment. The wakers are kept here, so there is no other table to update or to make smaller.
//!
//! Invariants. Each key is at or after the start of its segment and before the start of the next one; the start of the first
//! segment is not read. The first segment is sorted, and it is empty only if it is the only one. No segment has FULL
//! timers. Of two neighbours at least one has FEW timers or more, so few timers do not keep many segments.
//!
//! What it does not know: when wakers are woken, the time.

use std::cell::Cell;
use std::collections::VecDeque;
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

#[derive(Default)]
pub(crate) struct Segments {
    segments: VecDeque<Segment>,
    /// Which segment was found last. Most timers are looked for soon after they were inserted.
    found: Cell<usize>,
}

struct Segment {
    /// The least key that belongs here, even after its timer is gone.
    start: Key,
    timers: VecDeque<(Key, Waker)>,
}

/// Tests of debug builds have small segments, so that short programs fill them; those of release builds have real ones. But
/// they are not so small that cutting one sorts it.
const SMALL: bool = cfg!(all(test, debug_assertions));
/// A segment with this many timers is cut. With a larger limit, a timer is searched among more others; with a smaller one
/// there are more segments, and to add one takes longer.
const FULL: usize = if SMALL { 24 } else { 128 };
/// A segment with fewer timers than this is joined with a neighbour if both together hold no more than twice as many.
const FEW: usize = FULL / 4;

impl Segments {
    /// Inserts a timer whose serial is greater than those of all others.
    #[inline]
    pub(super) fn insert(&mut self, key: Key, waker: Waker) {
        let index = self.segment_of(key);
        let Some(Segment { timers, .. }) = self.segments.get_mut(index) else {
            let timers = VecDeque::from([(key, waker)]);
            return self.segments.push_back(Segment { start: key, timers });
        };
        match (timers.front(), timers.back()) {
            (Some((first, _)), _) if index == 0 && key.deadline < first.deadline => {
                timers.push_front((key, waker));
            }
            (_, Some((last, _))) if index == 0 && key.deadline < last.deadline => {
                let place = timers.partition_point(|(other, _)| other.deadline <= key.deadline);
                timers.insert(place, (key, waker));
            }
            _ => timers.push_back((key, waker)),
        }
        if timers.len() == FULL {
            self.cut(index);
        }
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Waker> {
        let index = self.segment_of(key);
        let timers = &mut self.segments.get_mut(index)?.timers;
        timers.get_mut(place_of(timers, key)?).map(|(_, waker)| waker)
    }

    #[inline]
    pub(super) fn remove(&mut self, key: Key) -> Option<Waker> {
        let index = self.segment_of(key);
        let place = place_of(&self.segments.get(index)?.timers, key)?;
        self.take(index, place).map(|(_, waker)| waker)
    }

    /// The key of the timer that fires next.
    #[inline]
    pub(super) fn first(&self) -> Option<Key> {
        self.segments.front()?.timers.front().map(|(key, _)| *key)
    }

    /// All timers, in no order.
    #[cfg(feature = "diagnostics")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Waker)> {
        self.segments.iter().flat_map(|segment| &segment.timers).map(|(key, waker)| (key, waker))
    }

    pub(super) fn into_wakers(self) -> impl Iterator<Item = Waker> {
        self.segments.into_iter().flat_map(|segment| segment.timers).map(|(_, waker)| waker)
    }

    /// The last segment whose start is not after `key`, or else the first one.
    #[inline]
    fn segment_of(&self, key: Key) -> usize {
        if self.segments.len() < 2 { 0 } else { self.segment_of_many(key) }
    }

    #[inline(never)]
    fn segment_of_many(&self, key: Key) -> usize {
        let last = self.segments.len() - 1;
        let is_from = |index: usize| self.segments[index].start <= key;
        let found = match self.found.get().min(last - 1) {
            _ if !is_from(1) => return 0,
            _ if is_from(last) => return last,
            found if is_from(found) && !is_from(found + 1) => found,
            _ => self.segments.partition_point(|segment| segment.start <= key) - 1,
        };
        self.found.set(found);
        found
    }

    /// Takes out the timer at this place of this segment.
    #[inline]
    pub(super) fn take(&mut self, index: usize, place: usize) -> Option<(Key, Waker)> {
        let timers = &mut self.segments.get_mut(index)?.timers;
        let taken = match index {
            0 if place == 0 => timers.pop_front(),
            0 => timers.remove(place),
            _ => timers.swap_remove_back(place),
        };
        let left = timers.len();
        // Only when it falls below FEW: if no neighbour had few then, the neighbour checks this one when its turn comes.
        if self.segments.len() > 1 && (left == FEW - 1 || left == 0 && index == 0) {
            self.join(index);
        }
        taken
    }

    /// Cuts a segment that is full.
    #[cold]
    fn cut(&mut self, index: usize) {
        // Most timers are inserted at the end of the list. None of those would fill the last segment up again.
        let is_last = index + 1 == self.segments.len();
        let kept = if is_last { FULL - 1 } else { FULL / 2 };
        let timers = &mut self.segments[index].timers;
        timers.make_contiguous().select_nth_unstable_by_key(kept, |(key, _)| *key);
        let later = timers.split_off(kept);
        self.segments.insert(index + 1, Segment { start: later[0].0, timers: later });
        self.sort_first();
    }

    /// Joins a segment that has few timers with the one before it or the one after it, if that one has few as well. The
    /// one after an empty first segment becomes the first.
    #[cold]
    fn join(&mut self, index: usize) {
        for earlier in [index.saturating_sub(1), index] {
            let length = |index: usize| self.segments.get(index).map_or(FULL, |segment| segment.timers.len());
            if length(earlier) + length(earlier + 1) <= 2 * FEW || index == 0 && length(0) == 0 {
                let later = self.segments.remove(earlier + 1);
                self.segments[earlier].timers.extend(later.into_iter().flat_map(|segment| segment.timers));
            }
        }
        self.sort_first();
        if self.segments.capacity() > 4 * self.segments.len() + FULL {
            self.segments.shrink_to(2 * self.segments.len());
        }
    }

    /// Makes sure that the first segment is sorted.
    fn sort_first(&mut self) {
        self.segments[0].timers.make_contiguous().sort_unstable_by_key(|(key, _)| *key);
    }
}

/// Where in a segment a timer stands, if it is there. Most of those that are dropped are the first or the last.
#[inline]
fn place_of(timers: &VecDeque<(Key, Waker)>, key: Key) -> Option<usize> {
    let is_it = |(other, _): &(Key, Waker)| other.serial == key.serial;
    // The last one first: it may have been inserted just now, and the others of a long list are far from the processor.
    match timers.back() {
        Some(last) if is_it(last) => Some(timers.len() - 1),
        _ if timers.front().is_some_and(is_it) => Some(0),
        _ => timers.iter().position(is_it),
    }
}

#[cfg(test)]
impl Segments {
    /// Checks the invariants. Returns how many segments there are.
    pub(super) fn check(&self) -> usize {
        let lengths: Vec<usize> = self.segments.iter().map(|segment| segment.timers.len()).collect();
        assert!(lengths.iter().all(|length| *length < FULL), "a segment is full: {lengths:?}");
        let enough = |two: &[usize]| two[0].max(two[1]) >= FEW;
        assert!(lengths.windows(2).all(enough), "two segments should be joined: {lengths:?}");
        assert!(lengths.len() < 2 || lengths[0] > 0, "the first segment is empty");
        let first = self.segments.front().map(|segment| &segment.timers);
        assert!(first.is_none_or(|timers| timers.iter().is_sorted_by_key(|(key, _)| *key)), "not sorted");
        for (index, segment) in self.segments.iter().enumerate().skip(1) {
            assert!(
                segment.timers.iter().all(|(key, _)| segment.start <= *key),
                "a timer is before its segment"
            );
            let earlier = &self.segments[index - 1].timers;
            assert!(earlier.iter().all(|(key, _)| *key < segment.start), "a timer is after its segment");
        }
        self.segments.len()
    }
}
