//! Lab 5: another answer. A heap that is rebuilt when half of it was removed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use labs::timers::{Task, Time, Timers};

/// The deadlines, and the tasks of those that were not removed.
#[derive(Default)]
pub struct Clock {
    heap: BinaryHeap<Reverse<(Time, u64)>>,
    tasks: BTreeMap<u64, Task>,
    serial: u64,
}

impl Timers for Clock {
    type Key = u64;

    fn insert(&mut self, deadline: Time, task: Task) -> u64 {
        self.serial += 1;
        self.heap.push(Reverse((deadline, self.serial)));
        self.tasks.insert(self.serial, task);
        self.serial
    }

    fn remove(&mut self, key: u64) {
        self.tasks.remove(&key);
        if self.heap.len() > 2 * self.tasks.len() + 16 {
            let tasks = &self.tasks;
            self.heap.retain(|Reverse((_, serial))| tasks.contains_key(serial));
        }
    }

    fn next(&mut self) -> Option<Time> {
        loop {
            let Reverse((deadline, serial)) = self.heap.peek()?;
            if self.tasks.contains_key(serial) {
                return Some(deadline.clone());
            }
            self.heap.pop();
        }
    }

    fn fire(&mut self, now: Time) -> Option<Task> {
        self.next().filter(|deadline| *deadline <= now)?;
        let Reverse((_, serial)) = self.heap.pop()?;
        self.tasks.remove(&serial)
    }
}
