//! Lab 1: write a waker by hand.
//!
//! The statement is `docs/labs/01-waker.md`. To grade this file: `cargo run -p labs -- 1`.

use std::task::Waker;

use labs::not_written;
use labs::waker::{Ready, Wakes};

/// What has to be known to wake a task.
pub struct Task;

impl Wakes for Task {
    /// A waker for the task of this number. Each wake puts the number at the end of `ready`, which is an
    /// `Arc<Mutex<VecDeque<usize>>>`.
    fn waker(task: usize, ready: Ready) -> Waker {
        not_written("`waker`")
    }
}
