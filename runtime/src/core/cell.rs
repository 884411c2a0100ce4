//! A task's one allocation: first its future, then its output, in the same place.
//!
//! Facts. The loop keeps tasks of every type in one slab, so it sees them as `dyn Task`. The output has
//! to stay somewhere until the handle fetches it, and by then the future is not needed any more.
//!
//! What follows. The box holds an enum that is first the future and then the output. The handle, which knows
//! the type, takes the output out through `dyn Any`: no second allocation, no shared cell, no cast. What is left is a
//! *shell*. A future of the same type can move into it, because programs spawn the same few types again and again.
//!
//! ```text
//!   Future ──── poll: Ready ────► Output(Some) ──── the handle ────► Output(None): a shell
//!     ▲                                                                     │
//!     └────────────────────────────── move_in ──────────────────────────────┘
//! ```
//!
//! What it does not know: numbers, wakers, the loop.

use std::any::Any;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::core::panics::Payload;

/// A task as the executor sees it.
pub(crate) trait Task {
    /// Polls the future; after `Ready`, the output is in its place.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
    /// The output, as an `Option<T>`.
    fn output(self: Pin<&mut Self>) -> &mut dyn Any;
    /// Moves another future into a shell: `future` is an `Option<F>`. False if it is of another type.
    fn move_in(self: Pin<&mut Self>, _: &mut dyn Any, _: &'static Location<'static>) -> bool {
        false
    }
    /// Where in the program it was spawned.
    fn spawned_at(&self) -> Option<&'static Location<'static>> {
        None
    }
}

pub(crate) type BoxedTask = Pin<Box<dyn Task>>;

pin_project! {
    pub(crate) struct TaskCell<F: Future> {
        spawned_at: &'static Location<'static>,
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = StageView]
    enum Stage<F: Future> {
        Future { #[pin] future: F },
        Output { output: Option<F::Output> },
    }
}

impl<F: Future> TaskCell<F> {
    pub(crate) fn new(future: F, spawned_at: &'static Location<'static>) -> TaskCell<F> {
        TaskCell { spawned_at, stage: Stage::Future { future } }
    }
}

impl<F: Future<Output: 'static> + 'static> Task for TaskCell<F> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut stage = self.project().stage;
        if let StageView::Future { future } = stage.as_mut().project() {
            let output = Some(ready!(future.poll(cx)));
            stage.set(Stage::Output { output });
        }
        Poll::Ready(())
    }

    fn output(self: Pin<&mut Self>) -> &mut dyn Any {
        match self.project().stage.project() {
            StageView::Output { output } => output,
            StageView::Future { .. } => unreachable!("the output of a task that has not returned"),
        }
    }

    #[inline]
    fn move_in(
        mut self: Pin<&mut Self>,
        future: &mut dyn Any,
        spawned_at: &'static Location<'static>,
    ) -> bool {
        let Some(future) = future.downcast_mut::<Option<F>>().and_then(Option::take) else { return false };
        self.set(TaskCell::new(future, spawned_at));
        true
    }

    fn spawned_at(&self) -> Option<&'static Location<'static>> {
        Some(self.spawned_at)
    }
}

/// What takes a task's place when it has panicked.
pub(crate) struct Panicked(pub(crate) Option<Payload>);

impl Task for Panicked {
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn output(self: Pin<&mut Self>) -> &mut dyn Any {
        &mut self.get_mut().0
    }
}
