//! Lab 5, wrong: a timer is late by one.

use std::collections::BTreeMap;

use labs::timers::{Task, Time, Timers};

/// The timers that are set, by deadline and then by serial, which no two have in common.
#[derive(Default)]
pub struct Clock {
    timers: BTreeMap<(Time, u64), Task>,
    serial: u64,
}

impl Timers for Clock {
    type Key = (Time, u64);

    fn insert(&mut self, deadline: Time, task: Task) -> Self::Key {
        self.serial += 1;
        let key = (deadline, self.serial);
        self.timers.insert(key.clone(), task);
        key
    }

    fn remove(&mut self, key: Self::Key) {
        self.timers.remove(&key);
    }

    fn next(&mut self) -> Option<Time> {
        self.timers.first_key_value().map(|((deadline, _), _)| deadline.clone())
    }

    fn fire(&mut self, now: Time) -> Option<Task> {
        self.next().filter(|deadline| *deadline < now)?;
        self.timers.pop_first().map(|(_, task)| task)
    }
}
