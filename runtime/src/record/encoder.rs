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
use crate::record::snapshot::Snapshot;
use crate::record::told::{resource, task, what};
use crate::record::what::What;
use crate::source::Details;

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
    pub(crate) fn write(&mut self, seen: &Seen, cause: Option<Cause>, bytes: &mut Vec<u8>) {
        let text = match seen.event {
            Event::PollBegin { .. } | Event::PollEnd { .. } | Event::Wake { .. } => 0,
            Event::WaitOn { .. } | Event::WaitDone { .. } => 0,
            Event::Mark { text, .. } => self.text(text, bytes),
            _ => {
                self.describe(seen, bytes);
                0
            }
        };
        if let Some(what) = what(seen, cause, text) {
            self.event(seen.at, what, bytes);
        }
    }

    /// Writes the name of a task.
    pub(crate) fn name(&mut self, id: TaskId, name: &str, bytes: &mut Vec<u8>) {
        let name = self.text(name, bytes);
        Record::Name { task: task(id), name }.write(bytes);
    }

    /// Writes what is known of a socket. There may be many peers, and each has an address of its own.
    pub(crate) fn socket(&mut self, source: u64, details: &Details, bytes: &mut Vec<u8>) {
        let local = details.local.as_deref().map(|address| self.text(address, bytes));
        let peer = details.peer.as_deref().map(|address| self.fresh_text(address, bytes));
        let descriptor = details.descriptor.and_then(|number| u32::try_from(number).ok());
        Record::Socket { resource: ResourceNo::Source(source), descriptor, local, peer }.write(bytes);
    }

    /// Writes that events are missing here.
    pub(crate) fn gap(&mut self, at: u64, dropped: u64, bytes: &mut Vec<u8>) {
        self.event(at, What::Gap { dropped }, bytes);
    }

    /// Writes what stands where.
    pub(crate) fn state(&mut self, snapshot: Snapshot<TaskNo, ResourceNo>, bytes: &mut Vec<u8>) {
        Record::State(Box::new(snapshot)).write(bytes);
    }

    /// Writes an event that brings no text with it.
    #[inline]
    pub(crate) fn event(&mut self, at: u64, what: What<TaskNo, ResourceNo>, bytes: &mut Vec<u8>) {
        let after = at.saturating_sub(self.now);
        self.now += after;
        Record::Event { after, what }.write(bytes);
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
        let number = self.fresh_text(text, bytes);
        self.texts.insert(text.into(), number);
        number
    }

    /// The same for a text that is not likely to come again.
    fn fresh_text(&mut self, text: &str, bytes: &mut Vec<u8>) -> u32 {
        Record::Text(text).write(bytes);
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

/// A type's name without its path, and without what it holds: `TcpStream` for `mio::net::tcp::stream::TcpStream`.
fn short(name: &str) -> &str {
    let outer = name.split('<').next().unwrap_or(name);
    outer.rsplit("::").next().unwrap_or(outer)
}
