//! A time, and the clock that told it.
//!
//! Facts. Each runtime counts time from the moment at which it was built. Something that outlives its runtime, or is used in
//! two of them, may compare the times of two clocks.
//!
//! Contract. Two moments of one clock have a distance. Two moments of different clocks have none.
//!
//! What it does not know: which loop runs.

use crate::core::clock::{Clock, Nanos};

/// A time, and the clock that told it: another one cannot say how long ago that was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    clock: u64,
    time: Nanos,
}

impl Moment {
    /// What this clock tells now.
    pub(crate) fn now(clock: &Clock) -> Moment {
        Moment { clock: clock.number, time: clock.now() }
    }

    /// How much time has passed since `then`, if the same clock told both.
    pub(crate) fn since(self, then: Moment) -> Option<Nanos> {
        (self.clock == then.clock).then(|| self.time.saturating_sub(then.time))
    }
}
