//! What a trace amounts to: how much, how long, and what stands out.

use std::collections::{HashMap, HashSet};

use roundel::probe::End;
use roundel::record::{State, Trace, What};

use crate::see::circles::{Circle, circles};
use crate::see::names::{Names, counted, time};
use crate::see::story::{Poll, length, polls};

/// How many of each kind stand out.
const SHOWN: usize = 5;

/// The event to look at first, and what is remarkable about it: a task that panicked, tasks that wait for each other, the
/// longest wait in the queue, or the longest poll.
#[must_use]
pub fn surprise(trace: &Trace) -> Option<(usize, String)> {
    let (polls, names) = (polls(trace), Names::new(trace));
    let at_panic = |what: What| matches!(what, What::Polled { panicked: true, .. });
    if let Some(index) = trace.events().iter().position(|event| at_panic(event.what))
        && let What::Polled { task, .. } = trace.events()[index].what
    {
        return Some((index, format!("{} panics", names.task(task))));
    }
    if let Some(Circle { tasks, begin, .. }) = circles(trace).first() {
        return Some((*begin, in_a_circle(names, tasks)));
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
    section("deadlocks", deadlocks(trace));
    section("longest polls", longest(&polls, Poll::took).map(named).collect());
    let in_queue = |poll: &Poll| poll.queued.map_or(0, |queued| poll.begin - trace.events()[queued].at);
    section("longest waits in the queue", longest(&polls, in_queue).map(named).collect());
    section("latest timers", latest_timers(trace));
    section("most polls", most_polled(&polls).into_iter().map(named).collect());
    section("never polled", never_polled(trace, &polls).into_iter().map(|task| names.task(task)).collect());
    section("panicked", panicked(trace).into_iter().map(|task| names.task(task)).collect());
    section("still waiting at the end", still_waiting(trace));
    let sleeps = trace.events().last().is_some_and(|event| event.what == What::Park { limit: None });
    lines.extend(sleeps.then(|| "At the end, the loop sleeps without a limit, and nothing wakes it.".into()));
    lines
}

fn totals(trace: &Trace, polls: &[Poll]) -> Vec<String> {
    let wanted = |wanted: fn(&What) -> bool| trace.events().iter().filter(move |event| wanted(&event.what));
    let count = |what| wanted(what).count() as u64;
    let tasks = trace.tasks().len() as u64;
    let busy: u64 = polls.iter().map(Poll::took).sum();
    let length = length(trace);
    let clock = if trace.is_virtual() { "virtual time" } else { "real time" };
    let order = if trace.is_shuffled() { ", shuffled" } else { "" };
    let mut lines = vec![
        format!("{}: {} of {clock}{order}", trace.program(), time(length)),
        format!(
            "{}, {}, {} in the kernel",
            counted(trace.events().len() as u64, "event"),
            counted(count(|what| matches!(what, What::Turn { .. })), "turn"),
            counted(count(|what| matches!(what, What::Park { limit } if *limit != Some(0))), "sleep"),
        ),
        format!(
            "{}, {}, {} in them",
            counted(tasks, "task"),
            counted(polls.len() as u64, "poll"),
            time(busy)
        ),
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

/// Which tasks wait for each other, and for how long: up to the end of the trace, or until one of the waits ends.
fn deadlocks(trace: &Trace) -> Vec<String> {
    let names = Names::new(trace);
    let row = |Circle { tasks, begin, end }: Circle| {
        let until = end.map_or(String::new(), |end| format!(" to event {end}"));
        let from = if until.is_empty() { " on" } else { "" };
        format!("{}: from event {begin}{from}{until}", in_a_circle(names, &tasks))
    };
    circles(trace).into_iter().take(SHOWN).map(row).collect()
}

/// `#1.1 left waits for #2.1 right, which waits for #1.1 left`.
fn in_a_circle(names: Names<'_>, tasks: &[u32]) -> String {
    let all: Vec<String> = tasks.iter().chain(tasks.first()).map(|task| names.task(*task)).collect();
    match &all[..] {
        [first, others @ ..] => format!("{first} waits for {}", others.join(", which waits for ")),
        [] => String::new(),
    }
}

/// The timers that have fired longest after their deadlines.
fn latest_timers(trace: &Trace) -> Vec<String> {
    let set_before = State::new(trace);
    let set_before = set_before.timers().map(|timer| (timer.timer, timer.deadline));
    let (mut deadlines, mut late) = (set_before.collect::<HashMap<_, _>>(), Vec::new());
    for (index, event) in trace.events().iter().enumerate() {
        match event.what {
            What::Set { timer, deadline, .. } => _ = deadlines.insert(timer, deadline),
            What::Fired { timer } => {
                let by = deadlines.remove(&timer).map_or(0, |deadline| event.at.saturating_sub(deadline));
                late.push((std::cmp::Reverse(by), index, timer));
            }
            _ => {}
        }
    }
    late.sort_unstable();
    let late = late.into_iter().take(SHOWN).filter(|(by, ..)| by.0 > 0);
    let row = |(by, index, timer): (std::cmp::Reverse<u64>, usize, u32)| {
        let (by, at) = (time(by.0), time(trace.events()[index].at));
        format!("{by:>9}  {} after its deadline, at {at}", Names::new(trace).resource(timer))
    };
    late.map(row).collect()
}

/// The waits that have not ended, but not those of tasks that were woken and will be polled. The trace of a runtime that was
/// dropped has none.
fn still_waiting(trace: &Trace) -> Vec<String> {
    let (mut state, names) = (State::new(trace), Names::new(trace));
    trace.events().iter().for_each(|event| state.apply(&event.what));
    let is_over = |what: What| if let What::Done { task, .. } = what { Some(task) } else { None };
    let over: HashSet<u32> = trace.events().iter().filter_map(|event| is_over(event.what)).collect();
    let goes_on: HashSet<u32> =
        state.tasks_lane().chain(state.outside_lane()).chain(state.running()).collect();
    let awaited = |on: u32| trace.resources().get(on as usize).and_then(|resource| resource.task);
    let waits = |waiter: &roundel::record::Waiter| {
        waiter.task.is_none_or(|task| !goes_on.contains(&task))
            && awaited(waiter.on).is_none_or(|task| !over.contains(&task))
    };
    let wait = |waiter: roundel::record::Waiter| {
        format!("{} for {}", names.running(waiter.task), names.resource(waiter.on))
    };
    state.waiters().filter(waits).map(wait).collect()
}
