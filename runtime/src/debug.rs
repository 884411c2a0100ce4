//! Warnings about what a loop should not have to bear.
//!
//! Facts. A task that computes for long, or calls what blocks, stops everybody; it looks the same from outside as a machine
//! that is busy. A task that panicked, and whose handle was dropped, has told nobody but the panic hook.
//!
//! What follows. A sink for the probe's events, which measures each poll and knows where each task was spawned. Without
//! `Builder::debug` there is no sink, and none of this costs anything.
//!
//! Contract. A poll that takes longer than 100 ms is warned of, once, with the task, where it was spawned, and how long it
//! took; one that awaits for long is not, for it holds up nobody. A panic nobody will hear of is warned of when that is
//! certain. Polls are measured by the real clock, also in virtual time. Warnings go to standard error; if that cannot be written
//! to, the warning is lost and the loop goes on. If the program's own sink panics, it is dropped and the warnings go on.
//!
//! What it does not know: what the task was doing. For that there are profilers.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::panic::Location;
use std::time::Duration;

use crate::core::clock::Stopwatch;
use crate::core::id::TaskId;
use crate::core::probe::{Event, Sink, tell};
use crate::task;

/// A poll that takes longer than this is warned of.
const TOO_LONG: Duration = Duration::from_millis(100);

/// Wraps a sink, if there is one, into one that warns.
pub(crate) fn watch(mut inner: Option<Sink>) -> Sink {
    let mut watch = Watch { spawned_at: HashMap::new(), poll: None };
    Box::new(move |event| {
        watch.see(event);
        tell(&mut inner, event);
    })
}

struct Watch {
    /// By slot. A slot has no other tenant before its task can no longer be reported.
    spawned_at: HashMap<usize, &'static Location<'static>>,
    /// Since when the poll runs that runs.
    poll: Option<Stopwatch>,
}

impl Watch {
    fn see(&mut self, event: Event) {
        match event {
            Event::Spawn { task, .. } => {
                // A `block_on` has no location, and must not inherit that of the last tenant.
                self.spawned_at.remove(&task.slot());
                self.spawned_at.extend(task::spawned_at(task).map(|place| (task.slot(), place)));
            }
            Event::PollBegin { .. } => self.poll = Some(Stopwatch::start()),
            Event::PollEnd { task, .. } => {
                let took = self.poll.take().map_or(Duration::ZERO, |poll| poll.elapsed());
                if took > TOO_LONG {
                    warn(format_args!(
                        "{} kept the loop for {} ms: let it await more often, or hand the work to `blocking::unblock`",
                        self.describe(task),
                        took.as_millis()
                    ));
                }
            }
            Event::Unheard { task } => {
                warn(format_args!("{} panicked, and nobody awaits its handle", self.describe(task)));
            }
            _ => {}
        }
    }

    fn describe(&self, task: TaskId) -> impl fmt::Display {
        let name = task::name(task).map_or(String::new(), |name| format!(" \"{name}\""));
        let place = match self.spawned_at.get(&task.slot()) {
            Some(place) => format!("spawned at {place}"),
            None => "of a `block_on`".into(),
        };
        format!("task {task}{name} ({place})")
    }
}

/// Not by `eprintln`, which panics if standard error cannot be written to.
fn warn(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "roundel: {text}");
}
