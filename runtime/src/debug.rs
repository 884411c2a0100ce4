//! Warnings about tasks that hold up the loop, and about panics that go unnoticed.
//!
//! Facts. A task that computes for long, or makes a blocking call, stops all other tasks. From outside, that looks the
//! same as a busy machine. If a task panics and its handle was dropped, only the panic hook reports it.
//!
//! What follows. A sink for the probe's events, which measures each poll and knows where each task was spawned. Without
//! `Builder::debug` there is no sink, and none of this costs anything.
//!
//! Contract. A poll that takes longer than 100 ms causes one warning, with the task, where it was spawned, and how long
//! the poll took. A task that awaits for long causes none, because it does not hold up others. A panic causes a warning
//! as soon as it is certain that no handle will deliver it. Polls are measured with the real clock, even in virtual
//! time. Warnings go to standard error; if it cannot be written to, the warning is lost and the loop goes on. If the
//! program's own sink panics, it is dropped and the warnings go on.
//!
//! What it does not know: what the task was doing. For that there are profilers.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::panic::Location;
use std::time::Duration;

use crate::core::clock::Stopwatch;
use crate::core::id::TaskId;
use crate::core::probe::Event;
use crate::task;
use crate::waits::Sink;

/// A poll that takes longer than this causes a warning.
const TOO_LONG: Duration = Duration::from_millis(100);

/// A sink that warns.
pub(crate) fn sink() -> Sink {
    let mut watch = Watch { spawned_at: HashMap::new(), poll: None };
    Box::new(move |event, _| watch.see(event))
}

struct Watch {
    /// Where the task in each slot was spawned. A slot gets a new tenant only when its old one can no longer be
    /// reported.
    spawned_at: HashMap<usize, &'static Location<'static>>,
    /// Runs since the start of the current poll; `None` between polls.
    poll: Option<Stopwatch>,
}

impl Watch {
    fn see(&mut self, event: Event) {
        match event {
            Event::Spawn { task, .. } => {
                // A `block_on` has no location, and must not inherit the one of the slot's last tenant.
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
                warn(format_args!("{} panicked, and its handle was dropped", self.describe(task)));
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
