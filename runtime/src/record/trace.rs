//! A trace that has been read: tables of tasks, resources and texts, and the events in order.
//!
//! Facts. A file may end anywhere, and may have been changed by anything. A task may be named before its table record, or
//! without one: a sink that spawns is not watched while it does so.
//!
//! Contract. What can be read is returned, and [`Trace::is_cut`] says whether the file ended in the middle of a record. If
//! a byte makes no sense, the error names it. A task or a resource gets its entry in a table when it is first named.
//!
//! What it does not know: who wrote the file, what it will be used for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;

use crate::core::probe::End;
use crate::record::error::{Kind, TraceError};
use crate::record::format::{Header, Record, ResourceNo, TaskNo};
use crate::record::read::Input;
use crate::record::snapshot::Snapshot;
use crate::record::what::What;

/// A recorded run of a loop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    header: Header,
    texts: Vec<String>,
    tasks: Vec<Task>,
    resources: Vec<Resource>,
    /// What stood where before the first event, if the recorder began in the middle.
    begin: Option<Box<Snapshot<u32, u32>>>,
    events: Vec<Event>,
    is_cut: bool,
}

/// Something that has happened, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Nanoseconds since the runtime was built.
    pub at: u64,
    /// What.
    pub what: What,
}

/// A task of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Task {
    /// Its place in the loop's table.
    pub slot: u32,
    /// Which tenant of that place it was.
    pub serial: u32,
    /// The text of its name.
    pub name: Option<u32>,
    /// The text that says where in the program it was spawned. The future of a `block_on` has none.
    pub at: Option<u32>,
    /// The bytes of its future, or of its output if that is larger, with a few for the loop.
    pub size: Option<u64>,
    /// The task that has spawned it.
    pub by: Option<u32>,
}

/// What kind of thing a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResourceKind {
    /// A task, whose end is waited for.
    Task,
    /// A deadline.
    Timer,
    /// A source of I/O.
    Source,
    /// A lock, a channel or the like.
    Line,
}

/// A resource of the trace: something that can be waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resource {
    /// What kind of thing it is.
    pub kind: ResourceKind,
    /// Its number, among those of its kind. (For a task, see `task`.)
    pub number: u64,
    /// The task, if it is one.
    pub task: Option<u32>,
    /// The text that says what it is: `mutex`, `channel`, `TcpStream`, …
    pub what: Option<u32>,
    /// The text of the name that the program has given it.
    pub name: Option<u32>,
    /// The text that says where in the program it was made.
    pub at: Option<u32>,
    /// The descriptor of a source, if it is known.
    pub descriptor: Option<u32>,
    /// The text of a socket's own address, and of its peer's.
    pub local: Option<u32>,
    /// See `local`.
    pub peer: Option<u32>,
}

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    ///
    /// If the input cannot be read, is no trace, has another version, or is broken. A trace that was cut is no error.
    pub fn read(mut input: impl Read) -> Result<Trace, TraceError> {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).map_err(|error| TraceError::new(bytes.len(), Kind::Io(error)))?;
        Trace::from_bytes(&bytes)
    }

    /// Reads a trace that is in memory.
    ///
    /// # Errors
    ///
    /// As [`read`](Trace::read).
    pub fn from_bytes(bytes: &[u8]) -> Result<Trace, TraceError> {
        let mut input = Input::new(bytes);
        let mut reader = Reader::default();
        let Some(header) = input.header()? else {
            return Ok(Trace { is_cut: true, ..Trace::default() });
        };
        reader.trace.header = header;
        while !input.is_at_end() {
            let at = input.at();
            let Some(record) = input.record()? else {
                reader.trace.is_cut = true;
                break;
            };
            reader.take(record).map_err(|what| TraceError::new(at, Kind::Bad(what)))?;
        }
        Ok(reader.trace)
    }

    /// The name of the program.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.header.program
    }

    /// When it was recorded, in seconds since 1970. `None` on virtual time.
    #[must_use]
    pub fn date(&self) -> Option<u64> {
        Some(self.header.date).filter(|date| *date > 0)
    }

    /// Whether the clock was virtual.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.header.is_virtual
    }

    /// Whether ready tasks ran in a random order.
    #[must_use]
    pub fn is_shuffled(&self) -> bool {
        self.header.is_shuffled
    }

    /// Whether the file ended in the middle of a record.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// How many events were dropped when it was recorded.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let gaps =
            self.events.iter().map(|event| if let What::Gap { dropped } = event.what { dropped } else { 0 });
        gaps.fold(0, u64::saturating_add)
    }

    /// What stood where before the first event, if the recorder began in the middle of the run.
    #[must_use]
    pub fn begin(&self) -> Option<&Snapshot> {
        self.begin.as_deref()
    }

    /// Everything that has happened, in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The tasks.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// What can be waited for.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The texts: names, and places in the program.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// One of the texts.
    #[must_use]
    pub fn text(&self, text: Option<u32>) -> Option<&str> {
        self.texts.get(text? as usize).map(String::as_str)
    }
}

#[derive(Default)]
struct Reader {
    trace: Trace,
    now: u64,
    tasks: HashMap<TaskNo, u32>,
    resources: HashMap<ResourceNo, u32>,
    /// By task: the event at which its last poll has ended, if that completed it and the task is not over yet.
    completed: HashMap<u32, usize>,
}

impl Reader {
    fn take(&mut self, record: Record<'_>) -> Result<(), &'static str> {
        match record {
            Record::Text(text) => self.trace.texts.push(text.to_owned()),
            Record::Task { task, at, size, by } => {
                self.known([at])?;
                let by = by.map(|by| self.task(by));
                let task = self.task(task);
                let entry = &mut self.trace.tasks[task as usize];
                (entry.at, entry.size, entry.by) = (at, size, by);
            }
            Record::Name { task, name } => {
                self.known([Some(name)])?;
                let task = self.task(task);
                self.trace.tasks[task as usize].name = Some(name);
            }
            Record::Resource { resource, what, name, at } => {
                self.known([what, name, at])?;
                let resource = self.resource(resource);
                let entry = &mut self.trace.resources[resource as usize];
                (entry.what, entry.name, entry.at) = (what, name, at);
            }
            Record::Socket { resource, descriptor, local, peer } => {
                self.known([local, peer])?;
                let resource = self.resource(resource);
                let entry = &mut self.trace.resources[resource as usize];
                (entry.descriptor, entry.local, entry.peer) = (descriptor, local, peer);
            }
            Record::State(state) => self.state(&state)?,
            Record::Event { after, what } => {
                if let What::Mark { text, .. } = what {
                    self.known([Some(text)])?;
                }
                self.now = self.now.checked_add(after).ok_or("the time is too large")?;
                self.event(what);
            }
        }
        Ok(())
    }

    /// A record may name only texts that stand before it.
    fn known<const N: usize>(&self, texts: [Option<u32>; N]) -> Result<(), &'static str> {
        let known = |text: u32| (text as usize) < self.trace.texts.len();
        texts
            .into_iter()
            .flatten()
            .all(known)
            .then_some(())
            .ok_or("a text is named that does not stand before")
    }

    fn event(&mut self, what: What<TaskNo, ResourceNo>) {
        // A task is named by its own event before other tasks are, so that the tables are in the order of the events.
        let reader = RefCell::new(&mut *self);
        let (task, resource) = (|task| reader.borrow_mut().task(task), |on| reader.borrow_mut().resource(on));
        let what = what.map(task, resource);
        if let What::Open { source, descriptor: descriptor @ Some(_) } = what {
            self.trace.resources[source as usize].descriptor = descriptor;
        }
        self.look_for_panics(what);
        self.trace.events.push(Event { at: self.now, what });
    }

    /// A snapshot stands before the first event, or right after a gap with which the trace begins.
    fn state(&mut self, state: &Snapshot<TaskNo, ResourceNo>) -> Result<(), &'static str> {
        let before = self.trace.events.iter().filter(|event| !matches!(event.what, What::Gap { .. })).count();
        if before > 0 || self.trace.begin.is_some() {
            return Err("a state stands between events");
        }
        let reader = RefCell::new(&mut *self);
        let state = state.map(|task| reader.borrow_mut().task(task), |on| reader.borrow_mut().resource(on));
        self.trace.begin = Some(Box::new(state));
        Ok(())
    }

    /// The loop says that a poll has completed a task, also if that panicked. How the task has ended tells the two apart:
    /// a task that returns from its last poll does not end as panicked.
    fn look_for_panics(&mut self, what: What) {
        match what {
            What::Polled { task, complete: true, .. } => {
                self.completed.insert(task, self.trace.events.len());
            }
            What::Done { task, end } => {
                let polled = self.completed.remove(&task).and_then(|at| self.trace.events.get_mut(at));
                if let Some(Event { what: What::Polled { panicked, .. }, .. }) = polled {
                    *panicked |= end == End::Panicked;
                }
            }
            _ => {}
        }
    }

    fn task(&mut self, task: TaskNo) -> u32 {
        let tasks = &mut self.trace.tasks;
        *self.tasks.entry(task).or_insert_with(|| {
            let TaskNo { slot, serial } = task;
            tasks.push(Task { slot, serial, name: None, at: None, size: None, by: None });
            tasks.len() as u32 - 1
        })
    }

    fn resource(&mut self, resource: ResourceNo) -> u32 {
        let (kind, number, task) = match resource {
            ResourceNo::Task(task) => (ResourceKind::Task, 0, Some(self.task(task))),
            ResourceNo::Timer(number) => (ResourceKind::Timer, number, None),
            ResourceNo::Source(number) => (ResourceKind::Source, number, None),
            ResourceNo::Line(number) => (ResourceKind::Line, number, None),
        };
        let resources = &mut self.trace.resources;
        *self.resources.entry(resource).or_insert_with(|| {
            let (what, name, at) = (None, None, None);
            let (descriptor, local, peer) = (None, None, None);
            resources.push(Resource { kind, number, task, what, name, at, descriptor, local, peer });
            resources.len() as u32 - 1
        })
    }
}
