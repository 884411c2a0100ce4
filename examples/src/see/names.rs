//! What tasks, resources and times are called.
//!
//! Contract. A task is `#slot.serial`, with its name if it has one. A resource is its kind and number, with the name that the
//! program has given it. Times are in the largest unit in which they are not below one.

use std::fmt::Write;

use roundel::record::{Resource, ResourceKind, Trace};

/// Says what things of a trace are called.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    trace: &'a Trace,
}

impl<'a> Names<'a> {
    /// For this trace.
    #[must_use]
    pub fn new(trace: &'a Trace) -> Names<'a> {
        Names { trace }
    }

    /// `#3.1 eggs`, or only `#3.1`. The future of a `block_on` is `main`, unless it has another name.
    #[must_use]
    pub fn task(self, task: u32) -> String {
        let id = self.id(task);
        self.name(task).map_or(id.clone(), |name| format!("{id} {name}"))
    }

    fn name(self, task: u32) -> Option<&'a str> {
        let task = self.trace.tasks().get(task as usize)?;
        let is_root = task.by.is_none() && task.at.is_none();
        self.trace.text(task.name).or(is_root.then_some("main"))
    }

    /// `#3.1`.
    #[must_use]
    pub fn id(self, task: u32) -> String {
        self.trace
            .tasks()
            .get(task as usize)
            .map_or("#?".into(), |task| format!("#{}.{}", task.slot, task.serial))
    }

    /// The task that was running, or what may run without one.
    #[must_use]
    pub fn running(self, task: Option<u32>) -> String {
        task.map_or("code outside of the loop".into(), |task| self.task(task))
    }

    /// Where in the program a task was spawned: the file and the line. A column says little.
    #[must_use]
    pub fn place(self, task: u32) -> Option<&'a str> {
        let place = self.trace.text(self.trace.tasks().get(task as usize)?.at)?;
        let without = place.rsplit_once(':').map_or(place, |(line, _)| line);
        // A place of another recorder may have no column.
        Some(if without.contains(':') { without } else { place })
    }

    /// The same as [`resource`](Names::resource), and what is known of a socket: `TcpStream 5 (fd 9, 127.0.0.1:50312)`.
    #[must_use]
    pub fn full(self, resource: u32) -> String {
        let socket = self.socket(resource);
        let socket = socket.map_or(String::new(), |socket| format!(" ({socket})"));
        self.resource(resource) + &socket
    }

    /// The descriptor of a source and the address of its peer, or its own address if it has no peer.
    #[must_use]
    pub fn socket(self, resource: u32) -> Option<String> {
        let entry = self.trace.resources().get(resource as usize)?;
        let descriptor = entry.descriptor.map(|descriptor| format!("fd {descriptor}"));
        let address = self.trace.text(entry.peer).or(self.trace.text(entry.local)).map(str::to_owned);
        let known: Vec<String> = descriptor.into_iter().chain(address).collect();
        (!known.is_empty()).then(|| known.join(", "))
    }

    /// `timer 3`, `TcpStream 5`, `mutex 4 "accounts"`, `#3.1 eggs`.
    #[must_use]
    pub fn resource(self, resource: u32) -> String {
        let Some(entry) = self.trace.resources().get(resource as usize) else { return "?".into() };
        let (what, number) = (self.trace.text(entry.what), short(entry));
        let mut text = match (entry.kind, entry.task) {
            (ResourceKind::Task, Some(task)) => return self.task(task),
            (ResourceKind::Timer, _) => format!("timer {number}"),
            (ResourceKind::Source, _) => format!("{} {number}", what.unwrap_or("source")),
            _ => format!("{} {number}", what.unwrap_or("line")),
        };
        if let Some(name) = self.trace.text(entry.name) {
            let _ = write!(text, " \"{name}\"");
        }
        text
    }

    /// Finds a task by `#3.1`, `3.1` or its name.
    #[must_use]
    pub fn find(self, word: &str) -> Option<u32> {
        let id = format!("#{}", word.trim_start_matches('#'));
        let tasks = 0..self.trace.tasks().len() as u32;
        let named = |task: &u32| self.name(*task) == Some(word);
        tasks.clone().find(|task| self.id(*task) == id).or_else(|| tasks.clone().find(named))
    }
}

/// A resource's number for people: all kinds count from one. In a trace, timers and sources count from zero. The number of
/// a source is such a count, and below it a place in a table.
#[must_use]
pub fn short(resource: &Resource) -> u64 {
    match resource.kind {
        ResourceKind::Source => (resource.number >> 32) + 1,
        ResourceKind::Timer => resource.number.saturating_add(1),
        _ => resource.number,
    }
}

/// `1 sleep`, `2 sleeps`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `1 event is`, `2 events are`.
#[must_use]
pub fn are(number: u64, noun: &str) -> String {
    counted(number, noun) + if number == 1 { " is" } else { " are" }
}

/// A number of nanoseconds: `1.500 s`, `200.0 ms`, `4.0 µs`, `70 ns`.
#[must_use]
pub fn time(nanos: u64) -> String {
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", nanos as f64 / 1e6),
        _ => format!("{:.3} s", nanos as f64 / 1e9),
    }
}

/// A time since the start, always in milliseconds: they can be compared at a glance.
#[must_use]
pub fn clock(nanos: u64) -> String {
    format!("{}.{:03} ms", nanos / 1_000_000, nanos / 1_000 % 1_000)
}
