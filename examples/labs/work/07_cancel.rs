//! Lab 7: cancel by dropping.
//!
//! The statement is `docs/labs/07-cancel.md`. To grade this file: `cargo run -p labs -- 7`.

use std::pin::Pin;
use std::task::{Context, Poll};

use labs::cancel::{Cancellable, Cancelled, Work};
use labs::not_written;

/// A future that owns the work.
pub struct Task {}

/// What cancels the work.
pub struct Handle {}

impl Future for Task {
    type Output = Result<u32, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        not_written("`poll`")
    }
}

impl Cancellable for Task {
    type Handle = Handle;

    /// The work, and a handle to cancel it. Nothing is polled yet.
    fn new(work: Work) -> (Task, Handle) {
        not_written("`new`")
    }

    /// Drops the work at once, or right after its poll if it runs now. Wakes the task that awaits it.
    fn cancel(handle: &Handle) {
        not_written("`cancel`")
    }
}
