//! How often times of each size have occurred.
//!
//! Facts. A mean hides what matters: one poll in a thousand that takes 20 ms. To keep every time needs memory without end.
//!
//! What follows. A table of counters. Each power of two is cut into sixteen equal parts, so a time is known to a sixteenth,
//! whatever its size. To record one is to add to one counter.
//!
//! What it does not know: what the times are.

use std::fmt;
use std::time::Duration;

use crate::core::clock::saturating_nanos;

/// Each power of two has this many counters, written as a power of two itself.
const PART_BITS: u32 = 4;
const PARTS: u64 = 1 << PART_BITS;
/// Enough for every number of 64 bits.
const COUNTERS: usize = ((64 - PART_BITS as usize) << PART_BITS) + PARTS as usize;

/// How often times of each size have occurred. A quantile is exact to a sixteenth.
///
/// ```
/// use std::time::Duration;
/// let mut times = roundel::inspect::Histogram::default();
/// (1..=100).for_each(|number| times.add(Duration::from_micros(number)));
/// assert_eq!((times.count(), times.max()), (100, Duration::from_micros(100)));
/// let median = times.quantile(0.5);
/// assert!(median >= Duration::from_micros(50) && median <= Duration::from_micros(54));
/// ```
#[derive(Clone)]
pub struct Histogram {
    counters: Box<[u64]>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counters: vec![0; COUNTERS].into(), count: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts a time.
    pub fn add(&mut self, time: Duration) {
        self.add_nanos(saturating_nanos(time));
    }

    #[inline]
    pub(crate) fn add_nanos(&mut self, nanos: u64) {
        self.counters[place(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    /// How many times were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest of them; zero if there is none.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The time that this share of them (from 0 to 1) did not exceed: `0.99` for the 99th percentile. At most a sixteenth
    /// above the exact one; zero if there is none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = ((share.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counters.iter().position(|counter| {
            seen += counter;
            seen >= rank
        });
        Duration::from_nanos(found.map_or(self.max, |place| last(place).min(self.max)))
    }
}

/// The counter of a time.
#[inline]
fn place(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(PART_BITS + 1);
    ((u64::from(shift) << PART_BITS) + (nanos >> shift)) as usize
}

/// The longest time of a counter.
fn last(place: usize) -> u64 {
    let shift = (place as u64 >> PART_BITS).saturating_sub(1);
    let part = place as u64 - (shift << PART_BITS);
    // One less than where the next counter begins, which may be one more than the largest number.
    (part << shift) | ((1 << shift) - 1)
}

impl fmt::Display for Histogram {
    /// `p50 1.2 µs, p99 30.1 µs, max 2.0 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (half, most) = (self.quantile(0.5), self.quantile(0.99));
        write!(f, "p50 {}, p99 {}, max {}", Fine(half), Fine(most), Fine(self.max()))
    }
}

/// A time in the largest unit in which it is not below one: `410 ns`, `1.1 µs`, `30.0 ms`, `2.5 s`.
pub(super) struct Fine(pub(super) Duration);

impl fmt::Display for Fine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        match nanos {
            0..1_000 => write!(f, "{nanos} ns"),
            1_000..1_000_000 => write!(f, "{:.1} µs", nanos as f64 / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} ms", nanos as f64 / 1e6),
            _ => write!(f, "{:.1} s", self.0.as_secs_f64()),
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Histogram({} times, {self})", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_its_counter_and_no_counter_is_wider_than_a_sixteenth() {
        let mut before = 0;
        for place_of_it in 0..COUNTERS {
            let (first, last) = (if place_of_it == 0 { 0 } else { before + 1 }, last(place_of_it));
            assert_eq!((place(first), place(last)), (place_of_it, place_of_it), "{first} to {last}");
            assert!(last - first <= first / PARTS, "{first} to {last}");
            before = last;
        }
        assert_eq!(before, u64::MAX);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_list_to_a_sixteenth() {
        let (mut times, mut list, mut number) = (Histogram::default(), Vec::new(), 1_u64);
        for round in 0..10_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round);
            list.push(number >> (20 + round % 40));
            times.add_nanos(list[list.len() - 1]);
        }
        list.sort_unstable();
        for share in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((share * list.len() as f64).ceil() as usize).max(1);
            let (exact, found) = (list[rank - 1], times.quantile(share).as_nanos() as u64);
            assert!(found >= exact && found - exact <= exact / PARTS, "{share}: {exact}, {found}");
        }
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }
}
