//! The tree of tasks that `ps --tree` shows, without a process.

use std::collections::HashSet;

use examples::ps::row::{Task, Wait};
use examples::ps::tree::tree;

/// A task that waits for another one.
fn waiting(id: usize, holders: &[usize]) -> Task {
    let wait = |holder: &usize| Wait { text: "a lock".into(), holder: format!("#{holder}.1") };
    let waits = holders.iter().map(wait).collect();
    Task { id: format!("#{id}.1"), state: "waiting".into(), waits, ..Task::default() }
}

#[test]
fn trees_of_any_shape_end_and_show_each_task() {
    // A chain, a ring, a ring with tails, a task that all others wait for, and a ladder of which each step waits for two.
    let chain: Vec<Task> = (0..100_000).map(|id| waiting(id, &[id + 1])).collect();
    let ring: Vec<Task> = (0..100_000).map(|id| waiting(id, &[(id + 1) % 100_000])).collect();
    let tails: Vec<Task> =
        (0..30).map(|id| waiting(id, &[if id < 10 { (id + 1) % 10 } else { id - 10 }])).collect();
    let star: Vec<Task> = (0..1_000).map(|id| waiting(id, &[0])).collect();
    let ladder: Vec<Task> = (0..1_000).map(|id| waiting(id, &[id + 1, id + 2])).collect();
    for (name, tasks) in
        [("chain", chain), ("ring", ring), ("tails", tails), ("star", star), ("ladder", ladder)]
    {
        let lines = tree(&tasks);
        let shown: HashSet<&str> =
            lines.iter().filter_map(|line| line.split('#').nth(1)?.split(' ').next()).collect();
        assert_eq!(shown.len(), tasks.len(), "{name}");
        assert!(lines.len() <= 2 * tasks.len() + 1, "{name}: {} lines", lines.len());
        let circles = lines.iter().filter(|line| line.contains('⟲')).count();
        let expected = match name {
            "chain" | "ladder" => 0,
            _ => 1,
        };
        assert_eq!(circles, expected, "{name}");
    }
}
