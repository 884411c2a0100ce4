//! Lab 5: timers that can be removed.
//!
//! The statement is `docs/labs/05-timers.md`. To grade this file: `cargo run -p labs -- 5`.

use labs::not_written;
use labs::timers::{Task, Time, Timers};

/// The timers that are set.
#[derive(Default)]
pub struct Clock {}

/// The name of a timer.
pub struct Key {}

impl Timers for Clock {
    type Key = Key;

    /// Sets a timer.
    fn insert(&mut self, deadline: Time, task: Task) -> Key {
        not_written("`insert`")
    }

    /// Removes a timer. If it has fired, nothing happens.
    fn remove(&mut self, key: Key) {
        not_written("`remove`")
    }

    /// The earliest deadline.
    fn next(&mut self) -> Option<Time> {
        not_written("`next`")
    }

    /// Takes out the earliest timer, if its deadline is `now` or before. Of equal deadlines, the one set first.
    fn fire(&mut self, now: Time) -> Option<Task> {
        not_written("`fire`")
    }
}
