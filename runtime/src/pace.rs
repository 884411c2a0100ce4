//! How many polls between two looks at the OS.
//!
//! Facts. A look costs a system call, some hundred nanoseconds; a poll may cost ten nanoseconds or
//! twenty milliseconds. A fixed number of polls is wrong for one of them: 61 polls of 20 µs keep an
//! incoming byte waiting for more than a millisecond.
//!
//! What follows. The number adapts, so that a busy loop looks about every [`LONG`]: halved when a full
//! batch took longer than that, doubled when it took less than a quarter. Only *full* batches are timed,
//! and only against the batch before: a loop that finds time to park never asks for the time here.
//!
//! With a virtual clock nothing may depend on real time, so there the number stays where it starts.

use std::cell::Cell;

use crate::clock::{Clock, Nanos};

/// A batch that takes longer makes I/O and timers wait too long.
const LONG: Nanos = 250_000;
/// Where the batch starts.
const START: u32 = 64;
/// At 10 ns a poll, a look every 40 µs: its cost is below one percent, so more would gain nothing.
const MOST: u32 = 4096;

#[derive(Debug)]
pub(crate) struct Pace {
    batch: Cell<u32>,
    /// When the last batch ended, if it was a full one.
    last_full: Cell<Option<Nanos>>,
}

impl Pace {
    pub(crate) fn new() -> Pace {
        Pace { batch: Cell::new(START), last_full: Cell::new(None) }
    }

    /// How many polls the next batch may have.
    pub(crate) fn batch(&self) -> u32 {
        self.batch.get()
    }

    /// The batch ended because nothing was ready: no reason to hurry, and none to measure.
    pub(crate) fn ran_dry(&self) {
        self.last_full.set(None);
    }

    /// The batch ended because it was full.
    pub(crate) fn ran_full(&self, clock: &Clock) {
        if clock.is_virtual() {
            return;
        }
        let now = clock.now();
        if let Some(before) = self.last_full.replace(Some(now)) {
            self.adapt(now - before);
        }
    }

    fn adapt(&self, took: Nanos) {
        let batch = self.batch.get();
        if took > LONG {
            self.batch.set((batch / 2).max(1));
        } else if took < LONG / 4 {
            self.batch.set((batch * 2).min(MOST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The batch after many batches whose every poll takes `poll` nanoseconds.
    fn settles_at(poll: Nanos) -> u32 {
        let pace = Pace::new();
        for _ in 0..50 {
            pace.adapt(poll * u64::from(pace.batch()));
        }
        pace.batch()
    }

    #[test]
    fn hazard_12_a_batch_lasts_no_longer_than_it_should() {
        for poll in [1_000, 20_000, 100_000] {
            assert!(u64::from(settles_at(poll)) * poll <= LONG, "{poll} ns a poll");
        }
        assert_eq!(settles_at(10_000_000), 1, "a poll of 10 ms: look after each");
        assert_eq!(settles_at(10), MOST, "a poll of 10 ns: look rarely");
    }
}
