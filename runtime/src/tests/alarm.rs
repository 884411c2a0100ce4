//! The alarm against the kernel: it rings at the earliest deadline that it was given, and can be set again.

use std::time::Duration;

use mio::{Events, Poll, Token};

use crate::core::alarm::Alarm;
use crate::core::clock::Nanos;

const MILLISECOND: Nanos = 1_000_000;
const HOUR: Nanos = 3_600_000_000_000;
/// No alarm of these tests rings so late, unless it does not ring at all.
const LONG: Duration = Duration::from_secs(60);

/// An alarm, and the poll that sees it ring.
struct SetUp {
    poll: Poll,
    alarm: Alarm,
}

impl SetUp {
    fn new() -> SetUp {
        let poll = Poll::new().unwrap();
        let alarm = Alarm::new(poll.registry(), Token(7)).unwrap();
        SetUp { poll, alarm }
    }

    fn set(&mut self, after: Nanos) {
        assert_eq!(self.alarm.limit(after, 0).unwrap(), None, "the poll needs no limit");
    }

    fn rings(&mut self) -> bool {
        let mut events = Events::with_capacity(1);
        self.poll.poll(&mut events, Some(LONG)).unwrap();
        let rang = events.iter().any(|event| event.token() == Token(7));
        if rang {
            self.alarm.rang();
        }
        rang
    }
}

#[test]
fn an_alarm_that_has_rung_is_set_again() {
    let mut set_up = SetUp::new();
    for _ in 0..3 {
        set_up.set(MILLISECOND);
        assert!(set_up.rings());
    }
}

#[test]
fn an_earlier_deadline_moves_the_alarm_and_a_later_one_does_not() {
    for [first, second] in [[HOUR, MILLISECOND], [MILLISECOND, HOUR]] {
        let mut set_up = SetUp::new();
        set_up.set(first);
        set_up.set(second);
        assert!(set_up.rings(), "first {first}, then {second}");
    }
}
