//! The tasks of a loop as a table.
//!
//! Facts. There may be 100,000 tasks. The widths of the columns depend on all of them, but the first page should not wait for
//! the last.
//!
//! What follows. The first tasks decide the widths. Later rows are cut to them.

use crate::ps::columns::{Cell, Column, Layout};
use crate::ps::row::{Loop, Task, span};
use crate::status::cut;

/// How many tasks decide the widths of the columns.
pub const FIRST: usize = 1_000;

/// A task that has held its loop for longer than this, in nanoseconds, is mentioned above the table.
const LONG: u64 = 100_000_000;

const COLUMNS: [Column; 9] = [
    Column { title: "TASK", least: 13, rank: 0, cell: Cell::Whole },
    Column { title: "NAME", least: 8, rank: 3, cell: Cell::Text },
    Column { title: "STATE", least: 7, rank: 1, cell: Cell::Text },
    Column { title: "WAITS FOR", least: 20, rank: 2, cell: Cell::Text },
    Column { title: "HOLDER", least: 6, rank: 4, cell: Cell::Text },
    Column { title: "POLLS", least: 5, rank: 8, cell: Cell::Number },
    Column { title: "BUSY", least: 6, rank: 6, cell: Cell::Number },
    Column { title: "AGE", least: 6, rank: 7, cell: Cell::Number },
    Column { title: "SPAWNED AT", least: 12, rank: 5, cell: Cell::Place },
];

/// The lines above the table of a loop.
#[must_use]
pub fn heading(program: &str, pid: u64, of: &Loop, width: usize) -> Vec<String> {
    let thread = if of.thread.is_empty() { String::new() } else { format!(" on thread {}", of.thread) };
    let phase = match of.phase.as_str() {
        "parked" => "asleep",
        "outside" => "not running",
        _ => "awake",
    };
    let (number, tasks, turns) = (of.number, counted(of.tasks, "task"), counted(of.turns, "turn"));
    let first = format!("{program} ({pid}), loop {number}{thread}: {tasks}, {phase} after {turns}");
    let mut lines = wrap(&first, width);
    if let Some((task, place, held)) = of.running.as_ref().filter(|(_, _, held)| *held >= LONG) {
        let place = if place.is_empty() {
            "the future of a `block_on`".into()
        } else {
            format!("spawned at {place}")
        };
        lines.extend(wrap(&format!("task {task} has held the loop for {}, {place}", span(*held)), width));
    }
    lines
}

/// Cuts a sentence into lines between its words. A word that is wider than a line is cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is a line");
        let room = width.saturating_sub(last.chars().count());
        match last.is_empty() {
            true => last.push_str(word),
            false if room > word.chars().count() => *last = format!("{last} {word}"),
            false => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| cut(line, width + 1)).collect()
}

/// `1 task`, `2 tasks`.
#[must_use]
pub fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A table for tasks, of which these are the first.
#[must_use]
pub fn layout(tasks: &[Task], width: usize) -> Layout {
    let rows: Vec<_> = tasks.iter().map(cells).collect();
    Layout::new(&COLUMNS, &rows, width)
}

/// The line of a task.
#[must_use]
pub fn line(layout: &Layout, task: &Task) -> String {
    layout.line(&cells(task))
}

fn cells(task: &Task) -> [String; 9] {
    [
        task.id.clone(),
        task.name.clone(),
        task.state.clone(),
        task.waits_for(),
        task.holders(),
        task.polls.to_string(),
        span(task.busy),
        span(task.age),
        task.spawned_at.clone(),
    ]
}
