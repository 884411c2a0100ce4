//! The order in which a host's addresses are tried, and when the next attempt begins (RFC 8305, "happy
//! eyeballs").
//!
//! Facts. A host has several addresses, often of both families, and some of them may lead nowhere. The kernel
//! repeats a packet that gets no answer again and again, for two minutes. An attempt that works takes a
//! fraction of a second. The system's resolver has sorted the addresses: the first is the best.
//!
//! What follows. The families alternate, so a broken family costs one attempt and not all of them. The next
//! attempt begins a quarter of a second after the last one, or as soon as one has failed. Earlier attempts go
//! on.
//!
//! Contract. Each address is given out once. As long as one is left, the schedule knows when its attempt
//! begins.
//!
//! What it does not know: sockets, and what the time is.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// RFC 8305 recommends this: it is longer than most answers take, and too short to be noticed.
pub(super) const DELAY: Duration = Duration::from_millis(250);

/// Which attempts still have to begin, and when.
#[derive(Debug)]
pub(super) struct Schedule {
    waiting: VecDeque<SocketAddr>,
    running: usize,
    /// When the next attempt begins. `None`: at once, because none was begun yet or one has failed.
    next_at: Option<Instant>,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Begin(SocketAddr),
    /// Wait for a running attempt; with a time, at most until then, when another one begins.
    Wait(Option<Instant>),
    /// All attempts have failed.
    Over,
}

impl Schedule {
    pub(super) fn new(addresses: Vec<SocketAddr>) -> Schedule {
        Schedule { waiting: alternate(addresses), running: 0, next_at: None }
    }

    pub(super) fn next(&mut self, now: Instant) -> Step {
        match self.next_at {
            _ if self.waiting.is_empty() && self.running == 0 => return Step::Over,
            _ if self.waiting.is_empty() => return Step::Wait(None),
            Some(at) if at > now => return Step::Wait(Some(at)),
            _ => {}
        }
        let address = self.waiting.pop_front().expect("it is not empty");
        self.running += 1;
        self.next_at = Some(now + DELAY);
        Step::Begin(address)
    }

    /// A running attempt has failed.
    pub(super) fn failed(&mut self) {
        self.running -= 1;
        self.next_at = None;
    }
}

/// Takes one address of each family in turn, beginning with the family of the first. Each family keeps its
/// order.
fn alternate(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    if addresses.len() < 2 {
        return addresses.into();
    }
    // Split the addresses by family; each list keeps its order.
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    // Then take one of each in turn, until a round adds none.
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = VecDeque::new();
    loop {
        let before = mixed.len();
        mixed.extend(first.next());
        mixed.extend(second.next());
        if mixed.len() == before {
            return mixed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses(families: &[bool]) -> Vec<SocketAddr> {
        let one = |(port, v6): (usize, &bool)| {
            let host = if *v6 { "[::1]" } else { "127.0.0.1" };
            format!("{host}:{}", port + 1).parse().unwrap()
        };
        families.iter().enumerate().map(one).collect()
    }

    fn ports(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<u16> {
        addresses.into_iter().map(|address| address.port()).collect()
    }

    #[test]
    fn families_alternate() {
        assert_eq!(ports(alternate(addresses(&[true, true, true, false, false]))), [1, 4, 2, 5, 3]);
        assert_eq!(ports(alternate(addresses(&[false, false, true]))), [1, 3, 2]);
        assert_eq!(ports(alternate(addresses(&[true, true]))), [1, 2]);
        assert!(alternate(vec![]).is_empty());
    }

    #[test]
    fn one_address_needs_no_timer() {
        let mut schedule = Schedule::new(addresses(&[true]));
        let now = Instant::now();
        assert!(matches!(schedule.next(now), Step::Begin(_)));
        assert_eq!(schedule.next(now), Step::Wait(None));
        schedule.failed();
        assert_eq!(schedule.next(now), Step::Over);
    }

    #[test]
    fn the_next_begins_after_the_delay_or_a_failure() {
        let mut schedule = Schedule::new(addresses(&[false; 4]));
        let begin = |port: usize| Step::Begin(addresses(&[false; 4])[port - 1]);
        let start = Instant::now();
        assert_eq!(schedule.next(start), begin(1));
        assert_eq!(schedule.next(start), Step::Wait(Some(start + DELAY)));
        assert_eq!(schedule.next(start + DELAY), begin(2));
        let soon = start + DELAY + DELAY / 2;
        assert_eq!(schedule.next(soon), Step::Wait(Some(start + 2 * DELAY)));
        schedule.failed();
        assert_eq!(schedule.next(soon), begin(3), "one has failed, so the next begins at once");
        assert_eq!(schedule.next(soon), Step::Wait(Some(soon + DELAY)), "counted from the last beginning");
    }

    /// When each attempt begins, in ms. `fails_after` says how long each attempt runs until it fails, in the
    /// order of the schedule. This is computed from the words of the RFC, without a queue or a state.
    fn naive(fails_after: &[u64]) -> Vec<u64> {
        let delay = DELAY.as_millis() as u64;
        let mut begun: Vec<u64> = Vec::new();
        for _ in fails_after {
            let Some(last) = begun.last().copied() else {
                begun.push(0);
                continue;
            };
            let failures = begun.iter().zip(fails_after).map(|(begin, after)| begin + after);
            let first_failure = failures.filter(|at| *at > last).min().unwrap_or(u64::MAX);
            begun.push(first_failure.min(last + delay));
        }
        begun
    }

    /// The same from the schedule, with a clock that the test turns.
    fn simulated(families: &[bool], fails_after: &[u64]) -> Vec<u64> {
        let (start, mut now) = (Instant::now(), 0);
        let mut schedule = Schedule::new(addresses(families));
        let (mut begun, mut failing) = (Vec::new(), Vec::new());
        loop {
            // Begin all attempts that are due at this time.
            let until = match schedule.next(start + Duration::from_millis(now)) {
                Step::Begin(_) => {
                    failing.push(now + fails_after[begun.len()]);
                    begun.push(now);
                    continue;
                }
                Step::Wait(until) => until.map(|at| (at - start).as_millis() as u64),
                Step::Over => return begun,
            };
            // Turn the clock to the next failure or the next attempt, whichever is earlier.
            let failure = failing.iter().copied().min().expect("a schedule that waits has something running");
            now = failure.min(until.unwrap_or(u64::MAX));
            if now == failure {
                failing.remove(failing.iter().position(|at| *at == failure).unwrap());
                schedule.failed();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn as_the_rfc_says(hosts in proptest::collection::vec((any::<bool>(), 0u64..1_000), 0..7)) {
            // The times are sums of different powers of two, plus multiples of the delay. So no two things
            // happen at once, and there is only one right order.
            let (families, times): (Vec<_>, Vec<_>) = hosts.into_iter().unzip();
            let times: Vec<u64> =
                times.iter().enumerate().map(|(index, time)| time / 100 * 250 + (1 << index)).collect();
            prop_assert_eq!(simulated(&families, &times), naive(&times));
        }

        #[test]
        fn nothing_is_lost_and_families_keep_their_order(families in proptest::collection::vec(any::<bool>(), 0..20)) {
            let given = addresses(&families);
            let mixed: Vec<SocketAddr> = alternate(given.clone()).into();
            for v6 in [true, false] {
                let of = |list: &[SocketAddr]| ports(list.iter().copied().filter(|address| address.is_ipv6() == v6));
                prop_assert_eq!(of(&given), of(&mixed));
            }
            let least = families.iter().filter(|v6| **v6).count().min(families.iter().filter(|v6| !**v6).count());
            for pair in mixed.windows(2).take((2 * least).saturating_sub(1)) {
                prop_assert_ne!(pair[0].is_ipv6(), pair[1].is_ipv6(), "{:?}", mixed);
            }
        }
    }
}
