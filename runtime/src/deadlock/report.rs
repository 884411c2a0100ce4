//! A deadlock as text.
//!
//! Facts. The reader has not seen the deadlock coming, and wants to know which lines of the program to change. A terminal
//! may be narrow.
//!
//! What follows. A few lines for each task: what it is and where it was spawned, what it waits for and where that was
//! made, which task has it, and where the program waits. Then the circles, drawn.
//!
//! What it does not know: how a deadlock is found.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::{Blocked, Deadlock, Wait};
use crate::core::id::TaskId;
use crate::core::probe::Resource;
use crate::inspect::{At, Span};

/// More tasks than this are only counted.
const MOST_TASKS: usize = 24;
/// A shorter time is of no interest.
const SHORTEST: Duration = Duration::from_millis(1);

impl Display for Deadlock {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.tasks.len() {
            _ if self.is_whole => {
                write!(f, "deadlock: no task can go on, and nothing that could wake one is left")?;
            }
            1 => write!(f, "deadlock: a task waits for itself, and can never go on")?,
            tasks => write!(f, "deadlock: {tasks} tasks wait for each other, and can never go on")?,
        }
        for task in self.tasks.iter().take(MOST_TASKS) {
            self.write_task(f, task)?;
        }
        if let Some(more @ 1..) = self.tasks.len().checked_sub(MOST_TASKS) {
            write!(f, "\n  and {more} more")?;
        }
        self.circles().iter().try_for_each(|circle| self.draw(f, circle))
    }
}

impl Deadlock {
    fn write_task(&self, f: &mut Formatter<'_>, task: &Blocked) -> fmt::Result {
        match task.spawned_at {
            Some(at) => write!(f, "\n  task {}, spawned at {}", self.name(task.id), At(at))?,
            None => write!(f, "\n  task {}, the future of a `block_on`", self.name(task.id))?,
        }
        if task.waits.is_empty() {
            write!(f, "\n      has left no waker, so nothing can wake it")?;
        }
        task.waits.iter().try_for_each(|wait| self.write_wait(f, wait))
    }

    fn write_wait(&self, f: &mut Formatter<'_>, wait: &Wait) -> fmt::Result {
        match wait.on {
            Resource::Task(id) => write!(f, "\n      waits for the end of {}", self.name(id))?,
            _ => write!(f, "\n      waits for {}", thing(wait))?,
        }
        // The first line ends here, because places are long.
        let mut comma = ", ";
        if let Some(at) = wait.made_at {
            write!(f, " ({})", At(at))?;
            comma = ",\n      ";
        }
        if let (Some(holder), Resource::Line { .. }) = (wait.holder, wait.on) {
            write!(f, "{comma}held by {}", self.name(holder))?;
            comma = ", ";
        }
        if let Some(held) = wait.held_for.filter(|held| *held >= SHORTEST) {
            write!(f, " for {}", Span(held))?;
        }
        wait.waits_at.map_or(Ok(()), |at| write!(f, "{comma}wanted at {}", At(at)))
    }

    fn draw(&self, f: &mut Formatter<'_>, circle: &[TaskId]) -> fmt::Result {
        write!(f, "\n  the circle:")?;
        for (index, id) in circle.iter().enumerate() {
            let arrow = if index == 0 { "┌─►" } else { "│  " };
            let next = circle[(index + 1) % circle.len()];
            let waits = self.task(*id).into_iter().flat_map(|task| &task.waits);
            let wait = waits.into_iter().find(|wait| wait.holder == Some(next));
            let of = wait.map_or(String::new(), |wait| match wait.on {
                Resource::Task(_) => "waits for the end of".to_owned(),
                _ => format!("waits for {} of", thing(wait)),
            });
            write!(f, "\n    {arrow} {} {of}", self.name(*id))?;
        }
        let first = circle.first().map_or(String::new(), |id| self.name(*id));
        write!(f, "\n    └── {first}")
    }

    /// Number and name of a task.
    fn name(&self, id: TaskId) -> String {
        match self.task(id).and_then(|task| task.name.as_ref()) {
            Some(name) => format!("{id} {name:?}"),
            None => id.to_string(),
        }
    }
}

/// What kind of thing it is, and its name.
fn thing(wait: &Wait) -> String {
    let what = match wait.on {
        Resource::Task(id) => format!("task {id}"),
        Resource::Timer(_) => "a timer".to_owned(),
        Resource::Source(number) => format!("source {number}"),
        Resource::Line { what, number } if wait.name.is_none() => format!("{what} {number}"),
        Resource::Line { what, .. } => what.to_owned(),
    };
    wait.name.map_or(what.clone(), |name| format!("{what} {name:?}"))
}
