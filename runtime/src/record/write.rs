//! Records, as bytes.
//!
//! Contract. What is written here is read back the same by `record/read.rs`. Each byte is described in `docs/trace.md`.
//!
//! What it does not know: where the bytes go.

use crate::record::format::{
    Header, MAGIC, NAME, RESOURCE, Record, ResourceNo, SHUFFLED, SOCKET, STATE, TASK, TEXT, TaskNo, VERSION,
    VIRTUAL, end_code, kind,
};
use crate::record::snapshot::{Snapshot, Timer, Waiter};
use crate::record::what::What;

/// Writes numbers at the end of some bytes.
struct Output<'a>(&'a mut Vec<u8>);

impl Output<'_> {
    #[inline]
    fn number(&mut self, number: u64) {
        let mut left = number;
        while left >= 0x80 {
            self.0.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.0.push(left as u8);
    }

    fn maybe(&mut self, number: Option<u64>) {
        // The highest number has no room for one more. It is no number that occurs.
        self.number(number.map_or(0, |number| number.saturating_add(1)));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    #[inline]
    fn task(&mut self, task: TaskNo) {
        self.number(task.slot.into());
        self.number(task.serial.into());
    }

    #[inline]
    fn maybe_task(&mut self, task: Option<TaskNo>) {
        let Some(TaskNo { slot, serial }) = task else { return self.0.push(0) };
        self.number(u64::from(slot) + 1);
        self.number(serial.into());
    }

    #[inline]
    fn resource(&mut self, resource: ResourceNo, add: u8) {
        match resource {
            ResourceNo::Task(task) => {
                self.0.push(add);
                self.task(task);
            }
            ResourceNo::Timer(number) => self.numbered(1 + add, number),
            ResourceNo::Source(number) => self.numbered(2 + add, number),
            ResourceNo::Line(number) => self.numbered(3 + add, number),
        }
    }

    fn numbered(&mut self, kind: u8, number: u64) {
        self.0.push(kind);
        self.number(number);
    }

    /// How many there are, and each of them.
    fn list<V: Copy>(&mut self, all: &[V], one: impl Fn(&mut Self, V)) {
        self.number(all.len() as u64);
        all.iter().for_each(|value| one(self, *value));
    }

    fn state(&mut self, state: &Snapshot<TaskNo, ResourceNo>) {
        self.number(state.turn);
        self.0.push(state.step.number() as u8);
        self.number(state.shutdown.into());
        self.maybe_task(state.running);
        self.0.push(u8::from(state.outside_is_next) + 2 * u8::from(state.is_partial));
        self.number(state.live);
        [&state.tasks, &state.outside, &state.over]
            .into_iter()
            .for_each(|tasks| self.list(tasks, Output::task));
        self.list(&state.timers, |out, Timer { timer, deadline, task }| {
            out.resource(timer, 0);
            out.number(deadline);
            out.maybe_task(task);
        });
        self.list(&state.waiters, |out, Waiter { task, on, holder }| {
            out.maybe_task(task);
            out.resource(on, 0);
            out.maybe_task(holder);
        });
        self.list(&state.sources, |out, source| out.resource(source, 0));
    }

    #[inline]
    fn maybe_resource(&mut self, resource: Option<ResourceNo>) {
        match resource {
            None => self.0.push(0),
            Some(resource) => self.resource(resource, 1),
        }
    }
}

impl Header {
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(MAGIC);
        let mut out = Output(bytes);
        out.number(VERSION);
        out.number(u64::from(self.is_virtual) * VIRTUAL + u64::from(self.is_shuffled) * SHUFFLED);
        out.number(self.date);
        out.text(&self.program);
    }
}

impl Record<'_> {
    #[inline]
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        let mut out = Output(bytes);
        match *self {
            Record::Event { after, what } => write_event(&mut out, after, what),
            Record::Text(text) => {
                out.0.push(TEXT);
                out.text(text);
            }
            Record::Task { task, at, size, by } => {
                out.0.push(TASK);
                out.task(task);
                out.maybe(at.map(u64::from));
                out.maybe(size);
                out.maybe_task(by);
            }
            Record::Name { task, name } => {
                out.0.push(NAME);
                out.task(task);
                out.number(name.into());
            }
            Record::Resource { resource, what, name, at } => {
                out.0.push(RESOURCE);
                out.resource(resource, 0);
                [what, name, at].into_iter().for_each(|text| out.maybe(text.map(u64::from)));
            }
            Record::Socket { resource, descriptor, local, peer } => {
                out.0.push(SOCKET);
                out.resource(resource, 0);
                [descriptor, local, peer].into_iter().for_each(|number| out.maybe(number.map(u64::from)));
            }
            Record::State(ref state) => {
                out.0.push(STATE);
                out.state(state);
            }
        }
    }
}

/// An event's kind, its time, and its fields in the order of the table in `docs/trace.md`.
#[inline]
fn write_event(out: &mut Output<'_>, after: u64, what: What<TaskNo, ResourceNo>) {
    out.0.push(kind(&what));
    out.number(after);
    match what {
        What::Turn { number } => out.number(number),
        What::Spawn { task } | What::Poll { task } | What::Unheard { task } => out.task(task),
        What::Wake { task, by, cause } => {
            out.task(task);
            out.maybe_task(by);
            out.maybe_resource(cause);
        }
        What::Polled { task, complete, panicked } => {
            out.task(task);
            out.0.push(u8::from(complete) + 2 * u8::from(panicked));
        }
        What::Done { task, end } => {
            out.task(task);
            out.0.push(end_code(end));
        }
        What::Cancel { task, by } => {
            out.task(task);
            out.maybe_task(by);
        }
        What::Spent { task } => out.maybe_task(task),
        What::Park { limit } => out.maybe(limit),
        What::Gap { dropped } => out.number(dropped),
        What::Shutdown { step } => out.number(step.into()),
        What::Unpark => {}
        other => write_wait(out, other),
    }
}

/// The events that name a resource.
fn write_wait(out: &mut Output<'_>, what: What<TaskNo, ResourceNo>) {
    match what {
        What::Ready { source, readable, writable } => {
            out.resource(source, 0);
            out.0.push(u8::from(readable) + 2 * u8::from(writable));
        }
        What::Fired { timer: gone } | What::Unset { timer: gone } | What::Close { source: gone } => {
            out.resource(gone, 0);
        }
        What::Wait { task, on, holder } => {
            out.maybe_task(task);
            out.resource(on, 0);
            out.maybe_task(holder);
        }
        What::Waited { task, on } => {
            out.maybe_task(task);
            out.resource(on, 0);
        }
        What::Set { timer, deadline, task } => {
            out.resource(timer, 0);
            out.number(deadline);
            out.maybe_task(task);
        }
        What::Open { source, descriptor } => {
            out.resource(source, 0);
            out.maybe(descriptor.map(u64::from));
        }
        What::Mark { text, task } => {
            out.number(text.into());
            out.maybe_task(task);
        }
        _ => unreachable!("all other events name no resource"),
    }
}
