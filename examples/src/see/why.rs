//! Why a task was polled: the chain of causes back to the beginning.
//!
//! Facts. A poll has one cause: the wake or the spawn that queued the task. The cause of a timer is the poll that set it, the
//! cause of a source's report the poll that began to wait for it, the cause of a wake the poll in which it happened.
//!
//! Contract. Two lines for each link, the newest first: why, and then where in the trace and in the queue. A chain of many
//! links is cut in the middle.

use std::collections::HashMap;

use roundel::record::{State, Trace, What};

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
    let (mut links, mut next) = (Vec::new(), Some(last));
    while let Some(poll) = next {
        let (line, before) = chain.link(&polls[poll]);
        links.push((line, polls[poll]));
        // A cause comes before its effect; whatever a file says, this ends.
        next = before.filter(|before| *before < poll);
    }
    let left_out = links.len().saturating_sub(2 * SHOWN);
    if left_out > 1 {
        links.drain(SHOWN..links.len() - SHOWN);
    }
    let places = Places::of(trace, links.iter().map(|(_, poll)| poll));
    let mut lines = Vec::new();
    for (index, (line, poll)) in links.into_iter().enumerate() {
        if left_out > 1 && index == SHOWN {
            lines.push(format!("  … {left_out} more links …"));
        }
        lines.extend([line, places.line(&poll)]);
    }
    lines
}

/// Where polls and what queued their tasks stand in the story.
struct Places {
    /// By event: the turn and its step.
    turns: HashMap<usize, String>,
    /// By the event that queued a task: its lane, its place in it, and how many stood in the other one.
    lanes: HashMap<usize, String>,
}

impl Places {
    fn of<'a>(trace: &Trace, polls: impl Iterator<Item = &'a Poll>) -> Places {
        let wanted: HashMap<usize, Option<u32>> = polls
            .flat_map(|poll| {
                [(poll.index, None)].into_iter().chain(poll.queued.map(|at| (at, Some(poll.task))))
            })
            .collect();
        let (mut state, mut places) =
            (State::new(trace), Places { turns: HashMap::new(), lanes: HashMap::new() });
        for (index, event) in trace.events().iter().enumerate() {
            state.apply(&event.what);
            let Some(queued) = wanted.get(&index) else { continue };
            places.turns.insert(index, turn(&state));
            places.lanes.extend(queued.and_then(|task| Some((index, lane(&state, task)?))));
        }
        places
    }

    /// `    event 37, turn 2.1; queued at event 29 in turn 2.1, as the first of the tasks lane`
    fn line(&self, poll: &Poll) -> String {
        let turn = |event: usize| self.turns.get(&event).map_or("", String::as_str);
        let mut line = format!("    event {}, {}", poll.index, turn(poll.index));
        if let Some(queued) = poll.queued {
            line += &format!("; queued at event {queued}, {}", turn(queued));
            line += &self.lanes.get(&queued).map_or(String::new(), |lane| format!(", {lane}"));
        }
        line
    }
}

/// `turn 2.1`: the number of the turn and the step in it.
fn turn(state: &State) -> String {
    match state.step().number() {
        0 if state.turn() == 0 => "before the first turn".into(),
        0 => format!("after turn {}", state.turn()),
        step => format!("turn {}.{step}", state.turn()),
    }
}

/// `no. 2 of the tasks lane (outside lane: 1)`.
fn lane(state: &State, task: u32) -> Option<String> {
    let (tasks, outside): (Vec<u32>, Vec<u32>) =
        (state.tasks_lane().collect(), state.outside_lane().collect());
    let find = |lane: &[u32]| lane.iter().position(|queued| *queued == task).map(|place| place + 1);
    let (place, name, other, count) = match (find(&tasks), find(&outside)) {
        (Some(place), _) => (place, "tasks", "outside", outside.len()),
        (None, place) => (place?, "outside", "tasks", tasks.len()),
    };
    Some(format!("no. {place} of the {name} lane ({other} lane: {count})"))
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
        let name = self.names.full(cause);
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
