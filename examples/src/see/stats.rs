//! What a trace amounts to: how much, how long, and what stands out.

use std::collections::{HashMap, HashSet};

use roundel::probe::End;
use roundel::record::{State, Trace, What};

use crate::see::names::{Names, time};
use crate::see::story::{Poll, length, polls};

/// How many of each kind stand out.
const SHOWN: usize = 5;

/// The event to look at first, and what is remarkable about it: the longest wait in the queue, the longest poll, or a task
/// that panicked.
#[must_use]
pub fn surprise(trace: &Trace) -> Option<(usize, String)> {
    let (polls, names) = (polls(trace), Names::new(trace));
    let at_panic = |what: What| matches!(what, What::Polled { panicked: true, .. });
    if let Some(index) = trace.events().iter().position(|event| at_panic(event.what))
        && let What::Polled { task, .. } = trace.events()[index].what
    {
        return Some((index, format!("{} panics", names.task(task))));
    }
    let queued = |poll: &Poll| poll.queued.map_or(0, |queued| poll.begin - trace.events()[queued].at);
    let longest = polls.iter().max_by_key(|poll| queued(poll).max(poll.took()))?;
    let (waited, took) = (queued(longest), longest.took());
    let what = match (waited.max(took) == 0, waited > took) {
        (true, _) => {
            return polls
                .last()
                .map(|poll| (poll.index, format!("the last poll, of {}", names.task(poll.task))));
        }
        (false, true) => format!("{} was queued for {}", names.task(longest.task), time(waited)),
        (false, false) => format!("{} ran for {}", names.task(longest.task), time(took)),
    };
    Some((longest.index, what))
}

/// The lines.
#[must_use]
pub fn stats(trace: &Trace) -> Vec<String> {
    let polls = polls(trace);
    let mut lines = totals(trace, &polls);
    let names = Names::new(trace);
    let mut section = |title: &str, rows: Vec<String>| {
        if !rows.is_empty() {
            lines.push(format!("{title}:"));
            lines.extend(rows.into_iter().map(|row| format!("  {row}")));
        }
    };
    let named =
        |(value, task, note): (String, u32, String)| format!("{value:>9}  {}{note}", names.task(task));
    section("longest polls", longest(&polls, Poll::took).map(named).collect());
    let in_queue = |poll: &Poll| poll.queued.map_or(0, |queued| poll.begin - trace.events()[queued].at);
    section("longest waits in the queue", longest(&polls, in_queue).map(named).collect());
    section("most polls", most_polled(&polls).into_iter().map(named).collect());
    section("never polled", never_polled(trace, &polls).into_iter().map(|task| names.task(task)).collect());
    section("panicked", panicked(trace).into_iter().map(|task| names.task(task)).collect());
    section("still waiting at the end", still_waiting(trace));
    lines
}

fn totals(trace: &Trace, polls: &[Poll]) -> Vec<String> {
    let count = |wanted: fn(&What) -> bool| trace.events().iter().filter(|event| wanted(&event.what)).count();
    let busy: u64 = polls.iter().map(Poll::took).sum();
    let length = length(trace);
    let clock = if trace.is_virtual() { "virtual time" } else { "real time" };
    let order = if trace.is_shuffled() { ", shuffled" } else { "" };
    let mut lines = vec![
        format!("{}: {} of {clock}{order}", trace.program(), time(length)),
        format!(
            "{} events, {} turns, {} sleeps in the kernel",
            trace.events().len(),
            count(|what| matches!(what, What::Turn { .. })),
            count(|what| matches!(what, What::Park { .. })),
        ),
        format!("{} tasks, {} polls, {} in them", trace.tasks().len(), polls.len(), time(busy)),
    ];
    if trace.is_virtual() {
        lines.push("Virtual time stands still while tasks run, and jumps to the next deadline when".into());
        lines.push("none can run. So a poll takes no time here, and a wait as long as its timer.".into());
    } else if length > 0 {
        let share = busy as f64 * 100.0 / length as f64;
        lines.push(format!("{share:.1} % of the time, a task ran"));
    }
    lines
}

type Row = (String, u32, String);

fn longest(polls: &[Poll], by: impl Fn(&Poll) -> u64) -> impl Iterator<Item = Row> {
    let mut sorted: Vec<(u64, &Poll)> =
        polls.iter().map(|poll| (by(poll), poll)).filter(|row| row.0 > 0).collect();
    sorted.sort_by_key(|(value, poll)| (std::cmp::Reverse(*value), poll.index));
    sorted.truncate(SHOWN);
    let row = |(value, poll): (u64, &Poll)| (time(value), poll.task, format!(" at {}", time(poll.begin)));
    sorted.into_iter().map(row).collect::<Vec<_>>().into_iter()
}

fn most_polled(polls: &[Poll]) -> Vec<Row> {
    let mut counts: HashMap<u32, (u64, u64)> = HashMap::new();
    for poll in polls {
        let count = counts.entry(poll.task).or_default();
        *count = (count.0 + 1, count.1 + poll.took());
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by_key(|(task, (count, _))| (std::cmp::Reverse(*count), *task));
    sorted.truncate(SHOWN);
    sorted
        .into_iter()
        .map(|(task, (count, took))| (count.to_string(), task, format!(", {}", time(took))))
        .collect()
}

/// Tasks that were spawned and never ran.
fn never_polled(trace: &Trace, polls: &[Poll]) -> Vec<u32> {
    let polled: HashSet<u32> = polls.iter().map(|poll| poll.task).collect();
    let spawned = trace.events().iter().filter_map(|event| {
        // A `block_on` of the shutdown has no future of its own, and no place.
        let What::Spawn { task } = event.what else { return None };
        Some(task).filter(|task| !polled.contains(task) && trace.tasks()[*task as usize].at.is_some())
    });
    spawned.collect()
}

fn panicked(trace: &Trace) -> Vec<u32> {
    let ended =
        |what: What| if let What::Done { task, end: End::Panicked } = what { Some(task) } else { None };
    trace.events().iter().filter_map(|event| ended(event.what)).collect()
}

/// The waits that have not ended. The trace of a runtime that was dropped has none.
fn still_waiting(trace: &Trace) -> Vec<String> {
    let (mut state, names) = (State::new(trace), Names::new(trace));
    trace.events().iter().for_each(|event| state.apply(&event.what));
    let wait = |waiter: roundel::record::Waiter| {
        let task = waiter.task.map_or("no task".into(), |task| names.task(task));
        format!("{task} for {}", names.resource(waiter.on))
    };
    state.waiters().map(wait).collect()
}
