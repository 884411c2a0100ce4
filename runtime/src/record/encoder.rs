//! Events, as the records of a file.
//!
//! Facts. A place in a program, the name of a lock and the name of a task are texts, and most occur many times.
//!
//! What follows. A text is written before the first record that names it, and has a number from then on. What is said of
//! a task, a source or a lock is written right before the event with which it is first heard of.
//!
//! What it does not know: where the bytes go.

use std::collections::HashMap;
use std::panic::Location;

use crate::core::id::TaskId;
use crate::core::probe::{Event, Resource};
use crate::record::causes::Cause;
use crate::record::format::{Header, Record, ResourceNo, TaskNo};
use crate::record::observer::{More, Seen};
use crate::record::what::What;

#[derive(Debug, Default)]
pub(crate) struct Encoder {
    /// The time of the last event that was written.
    now: u64,
    /// How many texts have been written.
    count: u32,
    texts: HashMap<Box<str>, u32>,
    /// The places in the program, by the addresses of their locations. To write a place as a text takes much longer than to
    /// find its number here.
    places: HashMap<usize, u32>,
}

/// Whether an event of the probe is one of the trace, too. The others bring only what tables say.
pub(crate) fn is_in_trace(event: Event) -> bool {
    let is_left_out =
        matches!(event, Event::UnheardError { .. } | Event::Released { .. } | Event::Held { .. });
    !is_left_out && !matches!(event, Event::Named { .. } | Event::FirstWait { .. } | Event::Closed)
}

/// A task, as the file names it.
#[inline]
pub(crate) fn task(id: TaskId) -> TaskNo {
    TaskNo { slot: id.slot() as u32, serial: id.serial() }
}

fn resource(on: Resource) -> ResourceNo {
    match on {
        Resource::Task(id) => ResourceNo::Task(task(id)),
        Resource::Timer(number) => ResourceNo::Timer(number),
        Resource::Source(number) => ResourceNo::Source(number),
        Resource::Line { number, .. } => ResourceNo::Line(number),
    }
}

impl Encoder {
    /// One that goes on at this time, and writes no texts.
    pub(crate) fn starting_at(now: u64) -> Encoder {
        Encoder { now, ..Encoder::default() }
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// The event that was written last is taken back: this was the time before it.
    pub(crate) fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    pub(crate) fn header(header: &Header) -> Vec<u8> {
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        bytes
    }

    /// Writes an event, and before it all that it names for the first time.
    #[inline]
    pub(crate) fn write(&mut self, seen: &Seen, bytes: &mut Vec<u8>) {
        let what = match seen.event {
            Event::PollBegin { task: id } => What::Poll { task: task(id) },
            Event::PollEnd { task: id, ready } => {
                What::Polled { task: task(id), complete: ready, panicked: false }
            }
            Event::Wake { task: id, by } => {
                What::Wake { task: task(id), by: by.map(task), cause: cause(&seen.more) }
            }
            Event::WaitOn { task: id, on, holder } => {
                What::Wait { task: id.map(task), on: resource(on), holder: holder.map(task) }
            }
            Event::WaitDone { task: id, on } => What::Waited { task: id.map(task), on: resource(on) },
            _ => match self.introduce(seen, bytes) {
                Some(what) => what,
                None => return,
            },
        };
        self.event(seen.at, what, bytes);
    }

    /// Writes the name of a task.
    pub(crate) fn name(&mut self, id: TaskId, name: &str, bytes: &mut Vec<u8>) {
        let name = self.text(name, bytes);
        Record::Name { task: task(id), name }.write(bytes);
    }

    /// Writes that events are missing here.
    pub(crate) fn gap(&mut self, at: u64, dropped: u64, bytes: &mut Vec<u8>) {
        self.event(at, What::Gap { dropped }, bytes);
    }

    #[inline]
    fn event(&mut self, at: u64, what: What<TaskNo, ResourceNo>, bytes: &mut Vec<u8>) {
        let after = at.saturating_sub(self.now);
        self.now += after;
        Record::Event { after, what }.write(bytes);
    }

    /// Events that bring texts with them, and some that are nothing but that.
    fn introduce(&mut self, seen: &Seen, bytes: &mut Vec<u8>) -> Option<What<TaskNo, ResourceNo>> {
        self.describe(seen, bytes);
        Some(match seen.event {
            Event::Spawn { task: id, .. } => What::Spawn { task: task(id) },
            Event::SourceOpened { source, descriptor, .. } => What::Open {
                source: ResourceNo::Source(source),
                descriptor: descriptor.and_then(|number| u32::try_from(number).ok()),
            },
            Event::Mark { text, task: id } => What::Mark { text: self.text(text, bytes), task: id.map(task) },
            _ => return rare(seen),
        })
    }

    /// Writes what is known of the thing that an event introduces.
    pub(crate) fn describe(&mut self, seen: &Seen, bytes: &mut Vec<u8>) {
        match (seen.event, &seen.more) {
            (Event::Spawn { task: id, by }, more) => {
                let (at, size) = match more {
                    More::Origin(place, size) => (Some(self.place(place, bytes)), Some(*size as u64)),
                    _ => (None, None),
                };
                Record::Task { task: task(id), at, size, by: by.map(task) }.write(bytes);
            }
            (Event::SourceOpened { source, what, .. }, _) => {
                let what = Some(self.text(short(what), bytes));
                let resource = ResourceNo::Source(source);
                Record::Resource { resource, what, name: None, at: None }.write(bytes);
            }
            (Event::FirstWait { on, name, made_at }, _) => {
                let what =
                    if let Resource::Line { what, .. } = on { Some(self.text(what, bytes)) } else { None };
                let name = name.map(|name| self.text(name, bytes));
                let at = Some(self.place(made_at, bytes));
                Record::Resource { resource: resource(on), what, name, at }.write(bytes);
            }
            _ => {}
        }
    }

    /// The number of a text.
    fn text(&mut self, text: &str, bytes: &mut Vec<u8>) -> u32 {
        if let Some(number) = self.texts.get(text) {
            return *number;
        }
        Record::Text(text).write(bytes);
        self.texts.insert(text.into(), self.count);
        self.count += 1;
        self.count - 1
    }

    fn place(&mut self, place: &'static Location<'static>, bytes: &mut Vec<u8>) -> u32 {
        let address = std::ptr::from_ref(place).addr();
        if let Some(number) = self.places.get(&address) {
            return *number;
        }
        let number = self.text(&place.to_string(), bytes);
        self.places.insert(address, number);
        number
    }
}

fn cause(more: &More) -> Option<ResourceNo> {
    match more {
        More::Cause(Cause::Timer(number)) => Some(ResourceNo::Timer(*number)),
        More::Cause(Cause::Source(number)) => Some(ResourceNo::Source(*number)),
        _ => None,
    }
}

/// Events that bring no text.
fn rare(seen: &Seen) -> Option<What<TaskNo, ResourceNo>> {
    Some(match (seen.event, &seen.more) {
        (Event::Turn, More::Turn(number)) => What::Turn { number: *number },
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
        // Names, first waits and the end of the runtime are no events of the file.
        _ => return None,
    })
}

/// A type's name without its path, and without what it holds: `TcpStream` for `mio::net::tcp::stream::TcpStream`.
fn short(name: &str) -> &str {
    let outer = name.split('<').next().unwrap_or(name);
    outer.rsplit("::").next().unwrap_or(outer)
}
