//! Lab 5, wrong: a heap, in which what was removed stays until it is due.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use labs::timers::{Task, Time, Timers};

/// The timers, and the serials of those that were removed.
#[derive(Default)]
pub struct Clock {
    heap: BinaryHeap<Reverse<(Time, u64)>>,
    tasks: BTreeMap<u64, Task>,
    removed: BTreeSet<u64>,
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
        if self.tasks.contains_key(&key) {
            self.removed.insert(key);
        }
    }

    fn next(&mut self) -> Option<Time> {
        loop {
            let Reverse((deadline, serial)) = self.heap.peek()?;
            if !self.removed.remove(serial) {
                return Some(deadline.clone());
            }
            self.tasks.remove(serial);
            self.heap.pop();
        }
    }

    fn fire(&mut self, now: Time) -> Option<Task> {
        self.next().filter(|deadline| *deadline <= now)?;
        let Reverse((_, serial)) = self.heap.pop()?;
        self.tasks.remove(&serial)
    }
}
