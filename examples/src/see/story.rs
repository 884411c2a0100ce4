//! The polls of a trace, with what led to each.
//!
//! Facts. A poll is two events. What queued its task, a wake or a spawn, is one before them, and comes after the task's
//! previous poll has begun.

use std::collections::HashMap;

use roundel::record::{Trace, What};

/// A poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The task.
    pub task: u32,
    /// The index of the event that is its begin.
    pub index: usize,
    /// When it began and ended, in nanoseconds. A poll that the trace does not end has lasted until the last event.
    pub begin: u64,
    /// See `begin`.
    pub end: u64,
    /// The index of the wake or the spawn that queued the task, if it is in the trace.
    pub queued: Option<usize>,
}

impl Poll {
    /// How long it took.
    #[must_use]
    pub fn took(&self) -> u64 {
        self.end - self.begin
    }
}

/// The polls in the order of their begins.
#[must_use]
pub fn polls(trace: &Trace) -> Vec<Poll> {
    let mut polls: Vec<Poll> = Vec::new();
    let mut queued = HashMap::new();
    let mut open: Option<usize> = None;
    for (index, event) in trace.events().iter().enumerate() {
        match event.what {
            What::Spawn { task } | What::Wake { task, .. } => _ = queued.insert(task, index),
            What::Poll { task } => {
                open = Some(polls.len());
                let (begin, queued) = (event.at, queued.remove(&task));
                polls.push(Poll { task, index, begin, end: begin, queued });
            }
            What::Polled { .. } => {
                if let Some(poll) = open.take().and_then(|open| polls.get_mut(open)) {
                    poll.end = event.at;
                }
            }
            _ => {}
        }
    }
    if let (Some(open), Some(last)) = (open, trace.events().last()) {
        polls[open].end = last.at;
    }
    polls
}

/// The time between a trace's first event and its last.
#[must_use]
pub fn length(trace: &Trace) -> u64 {
    let (first, last) = (trace.events().first(), trace.events().last());
    first.zip(last).map_or(0, |(first, last)| last.at - first.at)
}
