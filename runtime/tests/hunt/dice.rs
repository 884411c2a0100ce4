//! The same numbers for the same seed.

use std::cell::Cell;

pub(crate) struct Dice(Cell<u64>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(Cell::new(seed))
    }

    /// The next number of a splitmix64.
    pub(crate) fn roll(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }

    /// True one time in `n`.
    pub(crate) fn one_in(&self, n: usize) -> bool {
        self.below(n) == 0
    }
}
