//! A clock that can ring the kernel's poll at the exact time.
//!
//! Facts. `epoll_wait` counts milliseconds and may add a slack of its own, so a sleep of 1 ms ends after
//! 2. A `timerfd` is a file that becomes readable at a time given in nanoseconds, and any poll can wait
//! for it. To set one is a system call. To wait with a limit costs the kernel more than to wait without one.
//!
//! What follows. On Linux the loop waits without a limit, for one more file. The alarm is set only when
//! that changes anything: if it already stands at an earlier time, it is left there, at the price of
//! waking once for nothing. So a server that renews ten thousand timeouts a second sets it rarely.
//! The file is never read: it is registered edge-triggered, and each expiry is an edge.
//!
//! Elsewhere (kqueue) the poll itself takes nanoseconds, and `absent` is compiled in place of this file. So it is
//! without the feature `exact`, and under Miri, which has no such file.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::core::clock::Nanos;

pub(crate) struct Alarm {
    file: OwnedFd,
    /// The time at which it will ring, if it was set and has not rung.
    set_to: Option<Nanos>,
}

impl Alarm {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Alarm> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let file = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(&mut SourceFd(&file.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Alarm { file, set_to: None })
    }

    /// How long the poll may wait: without a limit, because this makes sure that the alarm rings at `deadline` or before.
    pub(crate) fn limit(&mut self, deadline: Nanos, now: Nanos) -> io::Result<Option<Duration>> {
        if self.set_to.is_none_or(|set| set > deadline) {
            // Zero would disarm it; one nanosecond is soon enough.
            let wait = Duration::from_nanos(deadline.saturating_sub(now).max(1));
            let value = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
            let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
            timerfd_settime(&self.file, TimerfdTimerFlags::empty(), &once)?;
            self.set_to = Some(deadline);
        }
        Ok(None)
    }

    /// The poll has seen it ring.
    pub(crate) fn rang(&mut self) {
        self.set_to = None;
    }
}
