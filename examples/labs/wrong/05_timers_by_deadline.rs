//! Lab 5, wrong: the deadline is the name of a timer.

use std::collections::BTreeMap;

use labs::timers::{Task, Time, Timers};

/// The timers that are set, by deadline.
#[derive(Default)]
pub struct Clock(BTreeMap<Time, Task>);

impl Timers for Clock {
    type Key = Time;

    fn insert(&mut self, deadline: Time, task: Task) -> Time {
        self.0.insert(deadline.clone(), task);
        deadline
    }

    fn remove(&mut self, key: Time) {
        self.0.remove(&key);
    }

    fn next(&mut self) -> Option<Time> {
        self.0.keys().next().cloned()
    }

    fn fire(&mut self, now: Time) -> Option<Task> {
        self.next().filter(|deadline| *deadline <= now)?;
        self.0.pop_first().map(|(_, task)| task)
    }
}
