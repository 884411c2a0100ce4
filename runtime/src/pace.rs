//! How many polls between two looks at the OS.
//!
//! Facts. A look costs a system call, some hundred nanoseconds; a poll may cost ten nanoseconds or twenty
//! milliseconds. A fixed number of polls is wrong for one of them: 61 polls of 20 µs keep an incoming byte
//! waiting for more than a millisecond, and a look after every 61 polls of 10 ns doubles their cost.
//!
//! What follows. A busy loop looks at the OS [`LOOK_EVERY`] after its last look was over, by the clock. To look at the clock costs,
//! too, so that is done after a *stretch* of polls. The stretch adapts: halved when it took longer than
//! [`LONG`], doubled when it took less than a quarter of that. A loop that finds time to park never asks for
//! the time here.
//!
//! With a virtual clock nothing may depend on real time: there a look follows each stretch, all of one length.

use std::cell::Cell;

use crate::clock::{Clock, Nanos};

/// A stretch that takes longer makes I/O and timers wait too long.
const LONG: Nanos = 100_000;
/// Between two looks; a look costs about one percent of this.
const LOOK_EVERY: Nanos = 50_000;
/// The longest stretch, and the first: at 10 ns a poll, the clock then costs 0.4 ns a poll.
const MOST: u32 = 64;

#[derive(Debug)]
pub(crate) struct Pace {
    stretch: Cell<u32>,
    /// When the last stretch ended, unless the loop has had nothing to do since.
    ended: Cell<Option<Nanos>>,
    /// When we last looked.
    looked: Cell<Nanos>,
}

impl Pace {
    pub(crate) fn new() -> Pace {
        Pace { stretch: Cell::new(MOST), ended: Cell::new(None), looked: Cell::new(0) }
    }

    /// How many polls until the next look at the clock.
    pub(crate) fn stretch(&self) -> u32 {
        self.stretch.get()
    }

    /// Nothing was ready any more: no reason to hurry, and none to measure.
    pub(crate) fn ran_dry(&self) {
        self.ended.set(None);
    }

    /// The look is over: the time until the next one begins here. However long the kernel took for this one (under a tracer, a
    /// hundred times as long) says nothing about how long polls take.
    pub(crate) fn go_on(&self, clock: &Clock) {
        if self.ended.get().is_some() && !clock.is_virtual() {
            let now = clock.now();
            self.ended.set(Some(now));
            self.looked.set(now);
        }
    }

    /// After a full stretch: whether another may follow before the loop looks at the OS.
    pub(crate) fn may_go_on(&self, clock: &Clock) -> bool {
        !clock.is_virtual() && self.may_go_on_at(clock.now())
    }

    fn may_go_on_at(&self, now: Nanos) -> bool {
        // How long the first stretch took is not known, so do not bet on its having been short.
        let go_on = self.ended.replace(Some(now)).is_some_and(|before| {
            self.adapt(now - before);
            now - self.looked.get() < LOOK_EVERY
        });
        if !go_on {
            self.looked.set(now);
        }
        go_on
    }

    fn adapt(&self, took: Nanos) {
        let stretch = self.stretch.get();
        if took > LONG {
            self.stretch.set((stretch / 2).max(1));
        } else if took < LONG / 4 {
            self.stretch.set((stretch * 2).min(MOST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loop whose every poll takes `poll` nanoseconds: the longest time without a look, once it has
    /// settled, and how many polls there are for each look.
    fn busy(poll: Nanos) -> (Nanos, u64) {
        let pace = Pace::new();
        let (mut now, mut looked, mut longest, mut polls, mut looks) = (1, 1, 0, 0, 0);
        for round in 0..10_000 {
            now += poll * u64::from(pace.stretch());
            polls += u64::from(pace.stretch());
            if !pace.may_go_on_at(now) {
                looks += 1;
                if round > 20 {
                    longest = longest.max(now - looked);
                }
                looked = now;
            }
        }
        (longest, polls / looks)
    }

    #[test]
    fn hazard_12_a_look_comes_in_time_whatever_a_poll_costs() {
        for poll in [10, 100, 1_000, 4_000, 20_000, 100_000] {
            let (longest, _) = busy(poll);
            assert!(longest <= LONG, "{longest} ns without a look at {poll} ns a poll");
        }
        assert_eq!(busy(10_000_000).1, 1, "a poll of 10 ms: look after each");
    }

    #[test]
    fn short_polls_are_not_made_to_pay_for_looks() {
        let (_, polls) = busy(10);
        assert!(polls >= 4_000, "a look every {polls} polls of 10 ns");
    }

    #[test]
    fn hazard_12_after_many_short_polls_long_ones_are_noticed_within_one_stretch() {
        let pace = Pace::new();
        for stretch in 0..1_000 {
            pace.may_go_on_at(stretch * 640);
        }
        assert_eq!(pace.stretch(), MOST);
        // 64 polls of 20 µs, and at the end of them a look.
        assert!(!pace.may_go_on_at(640_000 + u64::from(MOST) * 20_000));
    }
}
