//! In which order a host's addresses are tried, and when the next one is begun. (RFC 8305, "happy eyeballs".)
//!
//! Facts. A host has several addresses, often of both families, and some of them may lead nowhere: a packet
//! that nobody answers is sent again and again, for two minutes. An attempt that works takes a fraction of a
//! second. The system's resolver has sorted the addresses: the first is the best.
//!
//! What follows. The families alternate, so that one that is broken costs one attempt and not all of them.
//! The next attempt begins a quarter of a second after the last one, or as soon as one has failed; those that
//! were begun go on.
//!
//! Contract. Each address is given out once. As long as one is left, it is known when it will be begun.
//!
//! What it does not know: sockets, and what the time is.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What RFC 8305 recommends: longer than most answers take, shorter than people notice.
pub(super) const DELAY: Duration = Duration::from_millis(250);

/// Which attempts are to be begun, and when.
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
    /// For one of those that run; until then, if another one is to be begun then.
    Wait(Option<Instant>),
    /// All have failed.
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

    /// One of those that run has failed.
    pub(super) fn failed(&mut self) {
        self.running -= 1;
        self.next_at = None;
    }
}

/// In turn one of each family, beginning with that of the first; within a family in the order given.
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
        assert_eq!(schedule.next(soon), begin(3), "one has failed: at once");
        assert_eq!(schedule.next(soon), Step::Wait(Some(soon + DELAY)), "counted from the last begin");
    }

    /// What happens at a host: for each address, in the order of the schedule, when its attempt fails after it
    /// was begun (in ms). Computed without a queue or a state, from the words of the RFC.
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

    /// The same from the schedule, with the clock turned by hand.
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
            // Sums of different powers of two, apart from multiples of the delay: no two things happen at once, so
            // the order is not a matter of taste.
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
