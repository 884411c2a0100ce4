//! Folded stacks, as flame graphs are made of: a line for each stack, with its tasks from the root on, and the microseconds
//! in which the last one of them was polled.
//!
//! A task has the name that the program gave it, or else the place at which it was spawned. Tasks of the same name with the
//! same ancestors are one stack.

use std::collections::BTreeMap;

use roundel::record::Trace;

use crate::see::story::polls;

/// The lines, sorted.
#[must_use]
pub fn folded(trace: &Trace) -> Vec<String> {
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for poll in polls(trace) {
        *stacks.entry(stack(trace, poll.task)).or_default() += poll.took();
    }
    stacks.into_iter().map(|(stack, nanos)| format!("{stack} {}", nanos / 1_000)).collect()
}

/// The names of a task's ancestors and its own.
fn stack(trace: &Trace, task: u32) -> String {
    let (mut frames, mut next) = (Vec::new(), Some(task));
    while let Some(entry) = next.and_then(|task| trace.tasks().get(task as usize)) {
        let name = trace.text(entry.name).or(trace.text(entry.at)).unwrap_or("main");
        frames.push(name.replace([';', ' '], "_"));
        // A parent was there before its child, unless the file is strange.
        next = entry.by.filter(|by| next.is_some_and(|task| *by < task));
    }
    frames.reverse();
    frames.join(";")
}
