//! A small random number generator (splitmix64).
//!
//! Facts. A test that looks for code which depends on the order of tasks has to shuffle that order, and has to be able to
//! repeat what it found. To spread retries, any numbers will do that are not the same everywhere.
//!
//! Contract. The same seed gives the same numbers, for ever. They are good enough for schedules and delays, and not for
//! secrets.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(Cell::new(seed))
    }

    /// With a random seed, as std's hash maps have one.
    pub(crate) fn unseeded() -> Random {
        Random::new(RandomState::new().hash_one(0))
    }

    /// A number below `limit`.
    pub(crate) fn below(&self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A number from zero up to, and without, one.
    pub(crate) fn fraction(&self) -> f64 {
        // As many bits as the number has.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut z = self.0.get();
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Numbers that are drawn at random.
pub(crate) struct Shuffle {
    random: Random,
    numbers: Vec<u32>,
}

impl Shuffle {
    pub(crate) fn new(seed: u64) -> Shuffle {
        Shuffle { random: Random::new(seed), numbers: Vec::new() }
    }

    /// Puts more numbers in, and draws one. With one number or none, no random number is used up: how often that happens may
    /// depend on the kernel and on other threads, and what is drawn must not.
    pub(crate) fn draw(&mut self, more: impl Iterator<Item = u32>) -> Option<u32> {
        self.numbers.extend(more);
        let chosen = if self.numbers.len() > 1 { self.random.below(self.numbers.len()) } else { 0 };
        (chosen < self.numbers.len()).then(|| self.numbers.swap_remove(chosen))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Gives back the memory that is not used.
    pub(crate) fn shrink(&mut self) {
        self.numbers.shrink_to_fit();
    }
}
