//! A time that can be compared with a later one, if the same clock told both.
//!
//! Facts. A lock or a pool may be used on several loops by turns, and each loop has its own clock.
//!
//! What it does not know: what the times are for.

use crate::core::clock::{Clock, Nanos};

/// A time, and the clock that told it: another one cannot say how long ago that was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    clock: u64,
    time: Nanos,
}

impl Moment {
    pub(crate) fn now(clock: &Clock) -> Moment {
        Moment { clock: clock.number, time: clock.now() }
    }

    /// How much time has passed since `then`, if the same clock told both.
    pub(crate) fn since(self, then: Moment) -> Option<Nanos> {
        (self.clock == then.clock).then(|| self.time.saturating_sub(then.time))
    }
}
