//! What the probe has told, in the words of a trace.
//!
//! Facts. The probe names a task by its whole number, and counts neither turns nor causes. Some of its events are none of a
//! trace: they only bring what tables say.
//!
//! What it does not know: bytes, texts, times.

use crate::core::id::TaskId;
use crate::core::probe::{Event, Resource};
use crate::record::causes::Cause;
use crate::record::format::{ResourceNo, TaskNo};
use crate::record::observer::{More, Seen};
use crate::record::what::What;

/// Whether an event of the probe is one of the trace, too.
#[inline]
pub(crate) fn is_in_trace(event: Event) -> bool {
    let is_for_warnings = matches!(event, Event::UnheardError { .. } | Event::Released { .. });
    let is_for_tables = matches!(
        event,
        Event::Named { .. } | Event::FirstWait { .. } | Event::SourceNamed { .. } | Event::Held { .. }
    );
    let is_for_recorders = matches!(event, Event::Deadlock | Event::Closed);
    !(is_for_warnings || is_for_tables || is_for_recorders)
}

/// A task, as the file names it.
#[inline]
pub(crate) fn task(id: TaskId) -> TaskNo {
    TaskNo { slot: id.slot() as u32, serial: id.serial() }
}

pub(crate) fn resource(on: Resource) -> ResourceNo {
    match on {
        Resource::Task(id) => ResourceNo::Task(task(id)),
        Resource::Timer(number) => ResourceNo::Timer(number),
        Resource::Source(number) => ResourceNo::Source(number),
        Resource::Line { number, .. } => ResourceNo::Line(number),
    }
}

/// The same event of a trace, if it is one. `text` is the number of a mark's text.
#[inline]
pub(crate) fn what(seen: &Seen, cause: Option<Cause>, text: u32) -> Option<What<TaskNo, ResourceNo>> {
    Some(match seen.event {
        Event::PollBegin { task: id } => What::Poll { task: task(id) },
        Event::PollEnd { task: id, ready } => {
            What::Polled { task: task(id), complete: ready, panicked: false }
        }
        Event::Wake { task: id, by } => {
            What::Wake { task: task(id), by: by.map(task), cause: cause.map(resource_of) }
        }
        Event::WaitOn { task: id, on, holder } => {
            What::Wait { task: id.map(task), on: resource(on), holder: holder.map(task) }
        }
        Event::WaitDone { task: id, on } => What::Waited { task: id.map(task), on: resource(on) },
        Event::Mark { task: id, .. } => What::Mark { text, task: id.map(task) },
        _ => return rare(seen),
    })
}

fn resource_of(cause: Cause) -> ResourceNo {
    match cause {
        Cause::Timer(number) => ResourceNo::Timer(number),
        Cause::Source(number) => ResourceNo::Source(number),
    }
}

fn rare(seen: &Seen) -> Option<What<TaskNo, ResourceNo>> {
    Some(match (seen.event, &seen.more) {
        (Event::Turn, More::Turn(number)) => What::Turn { number: *number },
        (Event::Spawn { task: id, .. }, _) => What::Spawn { task: task(id) },
        (Event::SourceOpened { source, descriptor, .. }, _) => What::Open {
            source: ResourceNo::Source(source),
            descriptor: descriptor.and_then(|number| u32::try_from(number).ok()),
        },
        (Event::Done { task: id, end }, _) => What::Done { task: task(id), end },
        (Event::Unheard { task: id }, _) => What::Unheard { task: task(id) },
        (Event::Park, More::Limit(limit)) => What::Park { limit: Some(*limit) },
        (Event::Park, _) => What::Park { limit: None },
        (Event::Unpark, _) => What::Unpark,
        (Event::SourceReady { source, readable, writable }, _) => {
            What::Ready { source: ResourceNo::Source(source), readable, writable }
        }
        (Event::TimerFired { timer }, _) => What::Fired { timer: ResourceNo::Timer(timer) },
        (Event::TimerSet { timer, deadline }, more) => What::Set {
            timer: ResourceNo::Timer(timer),
            deadline: u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX),
            task: if let More::Task(id) = more { Some(task(*id)) } else { None },
        },
        (Event::TimerUnset { timer }, _) => What::Unset { timer: ResourceNo::Timer(timer) },
        (Event::SourceClosed { source }, _) => What::Close { source: ResourceNo::Source(source) },
        (Event::Cancel { task: id, by }, _) => What::Cancel { task: task(id), by: by.map(task) },
        (Event::Spent { task: id }, _) => What::Spent { task: id.map(task) },
        (Event::Shutdown { step }, _) => What::Shutdown { step },
        _ => return None,
    })
}
