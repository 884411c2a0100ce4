//! Lab 11: a deadlock detector.
//!
//! The statement is `docs/labs/11-deadlock.md`. To grade this file: `cargo run -p labs -- 11`.

use labs::deadlock::Detector;
use labs::not_written;
use roundel::TaskId;
use roundel::probe::Event;

/// What is known of the tasks that wait.
#[derive(Default)]
pub struct Detective {}

impl Detector for Detective {
    /// The loop has done this.
    fn see(&mut self, event: Event) {
        match event {
            Event::WaitOn { task: Some(task), on, holder } => not_written("`see`, for a wait that begins"),
            Event::WaitDone { task: Some(task), on } => not_written("`see`, for a wait that ends"),
            _ => {}
        }
    }

    /// The tasks that can never go on, as far as is known now, in the order of their numbers.
    fn stuck(&self) -> Vec<TaskId> {
        not_written("`stuck`")
    }
}
