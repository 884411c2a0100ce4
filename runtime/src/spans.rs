//! Tasks and warnings for the crate `tracing`.
//!
//! Facts. A program that logs by `tracing` wants to see which of its tasks an event comes from. A span stays entered on its
//! thread until it is exited, so a task that is not polled must not leave its span entered. The loop polls one task at a time.
//!
//! What follows. A sink for the probe's events keeps a span for each task, and enters it around each poll. The program's own
//! events and spans in a task then stand inside of that. Warnings become events, by the way of all warnings: after the polls.
//!
//! Contract. A span is closed when its task is over. The span of a task has no parent, because a parent stays open as long as
//! its children: a chain of tasks that each spawn the next one would never be freed. Only the future of a `block_on` has the
//! span as its parent in which `block_on` is called. A subscriber that panics harms no task: it is told no more of spans.
//!
//! What it does not know: subscribers.

use std::collections::HashMap;

use tracing::field::{self, Empty};
use tracing::span::EnteredSpan;
use tracing::{Span, info_span, warn};

use crate::core::context;
use crate::core::id::TaskId;
use crate::core::probe::Event;
use crate::debug::Callback;
use crate::task;
use crate::waits::Sink;
use crate::warnings::Warning;

/// A sink that keeps a span for each task.
pub(crate) fn sink() -> Sink {
    let mut spans = Spans::default();
    Box::new(move |event, _| {
        spans.see(*event);
        true
    })
}

#[derive(Default)]
struct Spans {
    of: HashMap<TaskId, Span>,
    /// The span of the task that is being polled; `None` between polls.
    entered: Option<EnteredSpan>,
}

impl Spans {
    fn see(&mut self, event: Event) {
        match event {
            Event::Spawn { task, by } => _ = self.of.insert(task, span(task, by)),
            Event::Named { task } => {
                let name = task::name(task);
                self.of.get(&task).zip(name.as_deref()).map(|(span, name)| span.record("name", name));
            }
            Event::PollBegin { task } => self.entered = self.of.get(&task).map(|span| span.clone().entered()),
            Event::PollEnd { .. } => self.entered = None,
            Event::Done { task, .. } => _ = self.of.remove(&task),
            Event::Closed => self.of.clear(),
            _ => {}
        }
    }
}

/// The span of a new task. It gets its name later, if it has one.
fn span(task: TaskId, by: Option<TaskId>) -> Span {
    let context = context::current().filter(|context| context.runtime == task.runtime());
    match context.and_then(|context| context.executor.origin(task)) {
        Some((place, _)) => info_span!(
            target: "roundel", parent: None, "task",
            task = %task, name = Empty, place = %place, spawned_by = by.map(field::display)
        ),
        None => info_span!(target: "roundel", "task", task = %task),
    }
}

/// A callback that makes an event of each warning, and hands it on to the program's own.
pub(crate) fn callback(mut program: Option<Callback>) -> Callback {
    Box::new(move |warning| {
        program.iter_mut().for_each(|told| told(warning));
        tell(warning);
    })
}

fn tell(warning: &Warning) {
    warn!(
        target: "roundel",
        task = warning.task.map(field::display),
        name = warning.name.as_deref(),
        place = warning.spawned_at.map(field::display),
        "{warning}"
    );
}
