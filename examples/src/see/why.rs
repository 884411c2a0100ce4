//! Why a task was polled: the chain of causes, from its last poll back to the beginning.
//!
//! Facts. A poll has one cause: the wake or the spawn that queued the task. Behind a timer stands the poll that set it, behind
//! a source the poll that began to wait for it, behind a task its own poll, and so on.
//!
//! Contract. One line for each link, the newest first. A chain of many links is cut in the middle.

use std::collections::HashMap;

use roundel::record::{Trace, What};

use crate::see::names::{Names, time};
use crate::see::story::{Poll, polls};

/// So many links are shown of the newest, and so many of the oldest.
const SHOWN: usize = 20;

/// The lines for a task; none, if it was never polled.
#[must_use]
pub fn why(trace: &Trace, task: u32) -> Vec<String> {
    let polls = polls(trace);
    let Some(last) = polls.iter().rposition(|poll| poll.task == task) else { return Vec::new() };
    let chain = Chain { trace, names: Names::new(trace), polls: &polls, sets: sets(trace) };
    let (mut lines, mut next) = (Vec::new(), Some(last));
    while let Some(poll) = next {
        let (line, before) = chain.link(&polls[poll]);
        lines.push(line);
        // A cause comes before its effect; whatever a file says, this ends.
        next = before.filter(|before| *before < poll);
    }
    if lines.len() > 2 * SHOWN + 1 {
        let left_out = lines.len() - 2 * SHOWN;
        lines.splice(SHOWN..lines.len() - SHOWN, [format!("  … {left_out} more links …")]);
    }
    lines
}

/// Where each timer was set.
fn sets(trace: &Trace) -> HashMap<u32, usize> {
    let events = trace.events().iter().enumerate();
    events
        .filter_map(
            |(index, event)| {
                if let What::Set { timer, .. } = event.what { Some((timer, index)) } else { None }
            },
        )
        .collect()
}

struct Chain<'a> {
    trace: &'a Trace,
    names: Names<'a>,
    polls: &'a [Poll],
    sets: HashMap<u32, usize>,
}

impl Chain<'_> {
    /// What led to a poll, and the poll in which that began.
    fn link(&self, poll: &Poll) -> (String, Option<usize>) {
        let head = format!("{} was polled at {}", self.names.task(poll.task), time(poll.begin));
        let Some(queued) = poll.queued else {
            return (format!("{head}; what queued it is not in the trace"), None);
        };
        let event = self.trace.events()[queued];
        let at = time(event.at);
        match event.what {
            What::Wake { by: Some(by), .. } if by == poll.task => {
                (format!("{head}, because it woke itself at {at}"), self.poll_of(by, queued))
            }
            What::Wake { by: Some(by), .. } => {
                (format!("{head}, because {} woke it at {at}", self.names.task(by)), self.poll_of(by, queued))
            }
            What::Wake { cause: Some(cause), .. } => self.caused(&head, poll.task, cause, queued),
            What::Wake { .. } => (
                format!("{head}, because another thread, or code outside of the loop, woke it at {at}"),
                None,
            ),
            _ => self.spawned(&head, poll.task, queued),
        }
    }

    /// A timer or a source woke the task.
    fn caused(&self, head: &str, task: u32, cause: u32, queued: usize) -> (String, Option<usize>) {
        let name = self.names.resource(cause);
        if let Some(set) = self.sets.get(&cause).filter(|set| **set < queued) {
            let event = self.trace.events()[*set];
            let What::Set { task: by, .. } = event.what else { return (head.to_owned(), None) };
            let by_whom = by.map_or(String::new(), |by| format!(" by {}", self.names.task(by)));
            let fired = time(self.trace.events()[queued].at);
            let line =
                format!("{head}, because {name} fired at {fired}; it was set at {}{by_whom}", time(event.at));
            return (line, by.and_then(|by| self.poll_of(by, *set)));
        }
        let waits =
            |what: What| matches!(what, What::Wait { task: Some(by), on, .. } if by == task && on == cause);
        let begun = self.trace.events()[..queued].iter().rposition(|event| waits(event.what));
        let since = begun.map_or(String::new(), |begun| {
            format!("; it had waited since {}", time(self.trace.events()[begun].at))
        });
        (
            format!("{head}, because the kernel reported {name}{since}"),
            begun.and_then(|begun| self.poll_of(task, begun)),
        )
    }

    fn spawned(&self, head: &str, task: u32, queued: usize) -> (String, Option<usize>) {
        let at = time(self.trace.events()[queued].at);
        let place = self.names.place(task);
        let place = place.map_or(String::new(), |place| format!(" at {place}"));
        match self.trace.tasks()[task as usize].by {
            Some(by) => (
                format!("{head}, because {} spawned it at {at}{place}", self.names.task(by)),
                self.poll_of(by, queued),
            ),
            None if place.is_empty() => {
                (format!("{head}: it is the future of a `block_on`, which began at {at}"), None)
            }
            None => (
                format!(
                    "{head}, because no task, but another thread or a destructor spawned it at {at}{place}"
                ),
                None,
            ),
        }
    }

    /// The poll of a task in which an event happened, or the last one before it.
    fn poll_of(&self, task: u32, event: usize) -> Option<usize> {
        let before = self.polls.partition_point(|poll| poll.index < event);
        self.polls[..before].iter().rposition(|poll| poll.task == task)
    }
}
