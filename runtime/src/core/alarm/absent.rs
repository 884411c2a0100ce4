//! The alarm of a loop that has none: the poll's own limit has to do.
//!
//! Facts. kqueue takes its limit in nanoseconds. `epoll_wait` takes milliseconds, and `mio` rounds them up.
//!
//! What follows. A sleep never ends early. On kqueue it is as exact as with an alarm. On Linux, without the feature `exact`
//! or under Miri, it may end about a millisecond late.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

use crate::core::clock::Nanos;

pub(crate) struct Alarm;

impl Alarm {
    pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Alarm> {
        Ok(Alarm)
    }

    /// How long the poll may wait: until the deadline.
    pub(crate) fn limit(&mut self, deadline: Nanos, now: Nanos) -> io::Result<Option<Duration>> {
        Ok(Some(Duration::from_nanos(deadline.saturating_sub(now))))
    }

    /// Nothing reports under its token, so this is never called.
    pub(crate) fn rang(&mut self) {}
}
