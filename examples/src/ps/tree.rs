//! Which task waits for which, as a tree.
//!
//! What follows. A task stands below each task that waits for it: that awaits its handle, or wants a mutex that it holds. At the top
//! are the tasks that no other one waits for. If tasks wait for each other in a circle, the first of them is at the top,
//! and where the circle comes back to a task above, the line says so.
//!
//! Facts. A chain of waits may be 100,000 tasks long, so this is a loop with a stack of its own. A task that many wait for
//! stands below each of them, but what it waits for is shown only once.

use std::collections::{HashMap, HashSet};

use crate::ps::row::Task;

/// Deeper lines are not moved further to the right.
const WIDEST: usize = 48;

/// A line that has not been written yet.
struct Branch<'a> {
    task: &'a Task,
    depth: usize,
    /// What stands before its own mark.
    before: String,
    is_last: bool,
}

/// The lines of the tree.
#[must_use]
pub fn tree(tasks: &[Task]) -> Vec<String> {
    let by_id: HashMap<&str, &Task> = tasks.iter().map(|task| (task.id.as_str(), task)).collect();
    let holders = |task: &&Task| -> Vec<String> { below(task, &by_id).map(|task| task.id.clone()).collect() };
    let held: HashSet<String> = tasks.iter().flat_map(|task| holders(&task)).collect();
    let mut writer = Writer { by_id: &by_id, shown: HashSet::new(), lines: Vec::new() };
    // First the tasks that no other one waits for. What is left then waits in circles.
    for task in tasks.iter().filter(|task| !held.contains(&task.id)) {
        writer.write(task);
    }
    for task in tasks {
        if !writer.shown.contains(task.id.as_str()) {
            writer.write(task);
        }
    }
    writer.lines
}

/// The tasks that this one waits for.
fn below<'a>(task: &'a Task, by_id: &HashMap<&str, &'a Task>) -> impl Iterator<Item = &'a Task> {
    let is_waiting = matches!(task.state.as_str(), "waiting" | "cleanup");
    let waits = if is_waiting { &task.waits[..] } else { &[] };
    waits.iter().filter_map(|wait| by_id.get(wait.holder.as_str()).copied())
}

struct Writer<'a> {
    by_id: &'a HashMap<&'a str, &'a Task>,
    shown: HashSet<&'a str>,
    lines: Vec<String>,
}

impl<'a> Writer<'a> {
    /// Writes a task, and all that is below it.
    fn write(&mut self, root: &'a Task) {
        let mut path: Vec<&str> = Vec::new();
        let mut on_path: HashSet<&str> = HashSet::new();
        let mut branches = vec![Branch { task: root, depth: 0, before: String::new(), is_last: true }];
        while let Some(branch) = branches.pop() {
            for left in path.drain(branch.depth..) {
                on_path.remove(left);
            }
            let id = branch.task.id.as_str();
            let is_circle = on_path.contains(id);
            let is_new = self.shown.insert(id);
            self.lines.push(line(&branch, is_circle, is_new, self.by_id));
            // In a circle it stands on the path once already, further up.
            if !is_circle {
                path.push(id);
                on_path.insert(id);
            }
            if is_new {
                let children: Vec<&Task> = below(branch.task, self.by_id).collect();
                branches.extend(children.iter().enumerate().rev().map(|(index, task)| Branch {
                    task,
                    depth: branch.depth + 1,
                    before: indent(&branch),
                    is_last: index + 1 == children.len(),
                }));
            }
        }
    }
}

/// What stands before the marks of the lines below this one.
fn indent(branch: &Branch<'_>) -> String {
    let more = match (branch.depth, branch.is_last) {
        (0, _) => "",
        _ if branch.before.chars().count() >= WIDEST => "",
        (_, true) => "   ",
        (_, false) => "│  ",
    };
    format!("{}{more}", branch.before)
}

fn line(branch: &Branch<'_>, is_circle: bool, is_new: bool, by_id: &HashMap<&str, &Task>) -> String {
    let mark = match (branch.depth, branch.is_last) {
        (0, _) => "",
        (_, true) => "└─ ",
        (_, false) => "├─ ",
    };
    let name = if branch.task.name.is_empty() { String::new() } else { format!(" {}", branch.task.name) };
    let what = match () {
        () if is_circle => "⟲ closes a circle: it stands above".into(),
        () if !is_new && below(branch.task, by_id).next().is_some() => "(see above)".into(),
        () => state(branch.task),
    };
    format!("{}{mark}{}{name}  {what}", branch.before, branch.task.id)
}

fn state(task: &Task) -> String {
    match task.waits_for() {
        waits if waits.is_empty() => task.state.clone(),
        waits => format!("{} for {waits}", task.state),
    }
}
