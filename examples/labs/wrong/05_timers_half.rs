//! Lab 5, wrong: a heap, in which the deadline of a timer that was removed stays until it is due.

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
