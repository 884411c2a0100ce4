//! The one place that asks what time it is.
//!
//! Facts. The monotonic clock never goes back. An `Instant` cannot be made from a number, and its
//! addition can overflow. A test that really waits is slow and still not exact.
//!
//! What follows. Inside the loop, time is a count of nanoseconds since the runtime was built ([`Nanos`]):
//! it compares in one instruction, holds 584 years, and saturates at [`NEVER`]. A *virtual* clock is the
//! same count, moved by hand: the loop jumps it to the next deadline when nothing else can happen.
//!
//! `Instant::now()` appears in this file and in no other (the tidy test holds that).

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Nanoseconds since the runtime was built.
pub(crate) type Nanos = u64;

/// A deadline that does not come: 584 years away or more.
pub(crate) const NEVER: Nanos = u64::MAX;

#[derive(Clone)]
pub(crate) struct Clock {
    origin: Instant,
    /// The time of a virtual clock; `None` for the real one.
    hand: Option<Cell<Nanos>>,
    /// No two clocks of a process have the same.
    pub(crate) number: u64,
}

impl Clock {
    pub(crate) fn new(is_virtual: bool) -> Clock {
        static CLOCKS: AtomicU64 = AtomicU64::new(0);
        let hand = is_virtual.then(Cell::default);
        Clock { origin: Instant::now(), hand, number: CLOCKS.fetch_add(1, Relaxed) }
    }

    pub(crate) fn is_virtual(&self) -> bool {
        self.hand.is_some()
    }

    pub(crate) fn now(&self) -> Nanos {
        match &self.hand {
            None => self.nanos(Instant::now()),
            Some(hand) => hand.get(),
        }
    }

    /// Moves a virtual clock forward to `time`; never back, and never to [`NEVER`].
    pub(crate) fn jump(&self, time: Nanos) {
        if let Some(hand) = &self.hand
            && time != NEVER
        {
            hand.set(hand.get().max(time));
        }
    }

    /// The count at `instant`: zero for any time before the runtime was built.
    pub(crate) fn nanos(&self, instant: Instant) -> Nanos {
        saturating_nanos(instant.saturating_duration_since(self.origin))
    }

    pub(crate) fn instant(&self, time: Nanos) -> Instant {
        self.origin + Duration::from_nanos(time)
    }

    /// The deadline `duration` from now; [`NEVER`] if that is too far away to be counted.
    pub(crate) fn after(&self, duration: Duration) -> Nanos {
        self.now().saturating_add(saturating_nanos(duration))
    }
}

/// Measures how long something of this process takes, by the real clock.
pub(crate) type Stopwatch = Instant;

pub(crate) fn saturating_nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_clock_moves_only_forward_and_only_when_told() {
        let clock = Clock::new(true);
        assert_eq!(clock.now(), 0);
        clock.jump(7);
        clock.jump(3);
        clock.jump(NEVER);
        assert_eq!(clock.now(), 7);
        assert_eq!(clock.nanos(clock.instant(7)), 7);
    }

    #[test]
    fn hazard_23_no_duration_overflows() {
        let clock = Clock::new(false);
        for far in [Duration::MAX, Duration::from_secs(u64::MAX / 10), Duration::from_secs(1 << 35)] {
            assert_eq!(clock.after(far), NEVER);
        }
        assert_eq!(clock.nanos(clock.origin - Duration::from_secs(1)), 0);
    }
}
