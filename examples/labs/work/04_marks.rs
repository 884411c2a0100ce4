//! Lab 4: woken once, polled once.
//!
//! The statement is `docs/labs/04-marks.md`. To grade this file: `cargo run -p labs -- 4`.

use labs::marks::ReadyQueue;
use labs::not_written;

/// The tasks that are ready, and what is known of each task.
#[derive(Default)]
pub struct Queue {}

impl ReadyQueue for Queue {
    /// A new task, which is ready. Returns its number, which no task before had.
    fn spawn(&mut self) -> usize {
        not_written("`spawn`")
    }

    /// The task should be polled.
    fn wake(&mut self, task: usize) {
        not_written("`wake`")
    }

    /// The task that is polled next: of those that are ready, the one that has been ready longest.
    fn next(&mut self) -> Option<usize> {
        not_written("`next`")
    }

    /// The poll of the task that `next` has returned is over. If the task is done, it is never polled again.
    fn polled(&mut self, task: usize, done: bool) {
        not_written("`polled`")
    }
}
