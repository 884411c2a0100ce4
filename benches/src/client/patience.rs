//! How the client waits: for events, and no longer than its patience.

use std::io::{Error, ErrorKind};
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::faceoff::job::Miss;

pub(super) fn poll(poll: &mut Poll, events: &mut Events, wait: Option<Duration>) -> Result<(), Miss> {
    match poll.poll(events, wait) {
        Err(error) if error.kind() != ErrorKind::Interrupted => Err(no_poll(&error)),
        _ => Ok(()),
    }
}

pub(super) fn no_poll(error: &Error) -> Miss {
    Miss::Wrong(format!("the client cannot wait for events: {error}"))
}

/// An error if the server has sent nothing for longer than the patience.
pub(super) fn patient(heard: Instant, patience: Duration) -> Result<(), Miss> {
    match heard.elapsed() < patience {
        true => Ok(()),
        false => Err(Miss::Absent(format!("no answer within {patience:?}"))),
    }
}
