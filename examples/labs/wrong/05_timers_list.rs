//! Lab 5, wrong: a sorted list, which is searched from its begin.

use labs::timers::{Task, Time, Timers};

/// The timers, earliest first, each with its serial.
#[derive(Default)]
pub struct Clock {
    timers: Vec<(Time, u64, Task)>,
    serial: u64,
}

impl Timers for Clock {
    type Key = u64;

    fn insert(&mut self, deadline: Time, task: Task) -> u64 {
        self.serial += 1;
        let at = self.timers.iter().take_while(|timer| timer.0 <= deadline).count();
        self.timers.insert(at, (deadline, self.serial, task));
        self.serial
    }

    fn remove(&mut self, key: u64) {
        self.timers.retain(|timer| timer.1 != key);
    }

    fn next(&mut self) -> Option<Time> {
        self.timers.first().map(|timer| timer.0.clone())
    }

    fn fire(&mut self, now: Time) -> Option<Task> {
        self.next().filter(|deadline| *deadline <= now)?;
        Some(self.timers.remove(0).2)
    }
}
