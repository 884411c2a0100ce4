//! How many polls between two looks at the OS.
//!
//! Facts. A look costs a system call, some hundred nanoseconds; a poll may cost ten nanoseconds or twenty
//! milliseconds. A fixed number of polls is wrong for one of them: 61 polls of 20 µs keep an incoming byte
//! waiting for more than a millisecond, and a look after every 61 polls of 10 ns doubles their cost.
//!
//! What follows. A busy loop looks at the OS before [`LOOK_EVERY`] has passed since its last look was over, by the clock: it
//! does not begin a poll that would end later if it took as long as the last ones. If a look itself takes long (in a
//! sandbox, under a tracer), this time is up to four times as long, because looks should cost a small share of the time. To
//! read the clock costs something, too, so the loop reads it after a *stretch* of polls: as many as would fit into the time
//! until the next look if they took as long as those of the last stretch, but at least one, at most [`MOST`], and at most
//! twice as many as before. A loop that finds time to park never reads the clock here.
//!
//! With a virtual clock nothing may depend on real time: there a look follows each stretch, all of one length.

use std::cell::Cell;

use crate::core::clock::{Clock, Nanos};

/// Between two looks; a look costs about one percent of this.
const LOOK_EVERY: Nanos = 40_000;
/// If a look takes long, the next one comes after this many times what it took, up to four times the above.
const TIMES_A_LOOK: Nanos = 20;
/// The longest stretch: at 10 ns a poll, the clock then costs 0.4 ns a poll.
const MOST: u32 = 64;
/// The first stretch, when nothing is known. With half of the longest, long polls are noticed in half the time.
const FIRST: u32 = MOST.div_ceil(2);

pub(crate) struct Pace {
    stretch: Cell<u32>,
    /// When the last stretch ended, unless the loop has had nothing to do since.
    ended: Cell<Option<Nanos>>,
    /// When we last looked.
    looked: Cell<Nanos>,
    /// How long until the next look.
    every: Cell<Nanos>,
}

impl Pace {
    pub(crate) fn new() -> Pace {
        Pace {
            stretch: Cell::new(FIRST),
            ended: Cell::new(None),
            looked: Cell::new(0),
            every: Cell::new(LOOK_EVERY),
        }
    }

    /// How many polls until the next look at the clock.
    pub(crate) fn stretch(&self) -> u32 {
        self.stretch.get()
    }

    /// Nothing is ready any more, or the loop is about to sleep: there is nothing to measure.
    pub(crate) fn ran_dry(&self) {
        self.ended.set(None);
    }

    /// The look is over, and the time until the next one begins here. What the look took (under a tracer, a hundred times as
    /// long) says nothing about how long polls take.
    pub(crate) fn look_is_over(&self, clock: &Clock) {
        if self.ended.get().is_some() && !clock.is_virtual() {
            self.look_is_over_at(clock.now());
        }
    }

    fn look_is_over_at(&self, now: Nanos) {
        let took = now - self.looked.get();
        self.every.set((took * TIMES_A_LOOK).clamp(LOOK_EVERY, LOOK_EVERY * 4));
        self.ended.set(Some(now));
        self.looked.set(now);
    }

    /// After a full stretch: whether another may follow before the loop looks at the OS.
    pub(crate) fn may_go_on(&self, clock: &Clock) -> bool {
        !clock.is_virtual() && self.may_go_on_at(clock.now())
    }

    fn may_go_on_at(&self, now: Nanos) -> bool {
        // It is not known how long the first stretch took, so do not assume that it was short.
        let go_on = self.ended.replace(Some(now)).is_some_and(|before| self.adapt(now - before, now));
        if !go_on {
            self.looked.set(now);
        }
        go_on
    }

    /// The last stretch took `took`. Whether another poll as long as its polls would end before the next look is due.
    fn adapt(&self, took: Nanos, now: Nanos) -> bool {
        let (every, stretch) = (self.every.get(), u64::from(self.stretch.get()));
        let poll = (took / stretch).max(1);
        let left = every.saturating_sub(now - self.looked.get());
        let fitting = if left >= poll { left / poll } else { every / poll };
        // Shorter at once, but longer by degrees: a short poll says nothing about long ones that follow.
        self.stretch.set(fitting.clamp(1, u64::from(MOST).min(2 * stretch)) as u32);
        left >= poll
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
        for poll in [10, 100, 1_000, 4_000, 20_000, 21_000, 40_000, 100_000] {
            let (longest, _) = busy(poll);
            assert!(longest <= LOOK_EVERY.max(poll), "{longest} ns without a look at {poll} ns a poll");
        }
        assert_eq!(busy(10_000_000).1, 1, "a poll of 10 ms: look after each");
    }

    #[test]
    fn hazard_12_a_short_poll_among_long_ones_makes_no_long_stretch() {
        let pace = Pace::new();
        let (mut now, mut looked, mut longest) = (1, 1, 0);
        for poll in 0..10_000 {
            // Every seventh stretch is one short poll, or begins with one.
            let (short, stretch) = (u64::from(poll % 7 == 0), u64::from(pace.stretch()));
            now += 21_000 * (stretch - short) + 100 * short;
            if !pace.may_go_on_at(now) {
                longest = if poll > 20 { longest.max(now - looked) } else { 0 };
                looked = now;
            }
        }
        assert!(longest <= 2 * LOOK_EVERY, "{longest} ns without a look");
    }

    #[test]
    fn looks_that_take_long_are_fewer_but_not_few() {
        for (look, every) in [(400, LOOK_EVERY), (4_000, 80_000), (50_000, 160_000), (10_000_000, 160_000)] {
            let pace = Pace::new();
            assert!(!pace.may_go_on_at(1_000_000));
            let over = 1_000_000 + look;
            pace.look_is_over_at(over);
            assert!(pace.may_go_on_at(over + every - every / 8), "a look of {look} ns");
            assert!(!pace.may_go_on_at(over + every), "a look of {look} ns");
        }
    }

    #[test]
    fn a_look_that_slept_was_not_a_long_one() {
        let (pace, clock) = (Pace::new(), Clock::new(false));
        assert!(!pace.may_go_on_at(1));
        pace.ran_dry();
        std::thread::sleep(std::time::Duration::from_millis(1));
        pace.look_is_over(&clock);
        assert_eq!(pace.every.get(), LOOK_EVERY);
    }

    #[test]
    fn short_polls_are_not_made_to_pay_for_looks() {
        let (_, polls) = busy(10);
        assert!(polls * 10 > LOOK_EVERY * 9 / 10, "a look every {polls} polls of 10 ns");
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
