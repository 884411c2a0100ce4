//! A task as it is shown: what it is, what it does, and what it waits for.
//!
//! Contract. These are copies. A task may go on, or end, as soon as the copy has been made.
//!
//! What it does not know: where the copies come from, and how they are laid out.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::core::id::TaskId;
use crate::core::probe::Resource;
use crate::core::reactor::Direction;

/// A copy of what is known of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Task {
    /// Its number.
    pub id: TaskId,
    /// Its name, if it has one.
    pub name: Option<Cow<'static, str>>,
    /// What it does now.
    pub state: TaskState,
    /// Where in the program it was spawned. `None` for the future of a `block_on`. In a loop that is not watched, also for the
    /// task that runs.
    pub spawned_at: Option<&'static Location<'static>>,
    /// What it waits for, in the order in which the waits began. A task that is ready or runs may have waits that are over and
    /// that it has not looked at yet.
    pub waits: Vec<Wait>,
    /// Whether it waits for more than these. A watched loop keeps sixteen waits of a task.
    pub has_more_waits: bool,
    /// What only a watched loop knows.
    pub life: Option<Life>,
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It is being polled.
    Running,
    /// It is in the ready queue.
    Ready,
    /// It waits to be woken.
    Waiting,
    /// It was cancelled, and its cleanup is not over. Only a watched loop knows this.
    Cleanup,
}

/// What a watched loop knows of a task. All times are real ones, also on virtual time.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Life {
    /// The task that has spawned it.
    pub spawned_by: Option<TaskId>,
    /// How often it was polled. A poll that is under way counts.
    pub polls: u64,
    /// How long all its polls took, with the one that is under way.
    pub busy: Duration,
    /// How long ago it was spawned.
    pub age: Duration,
    /// For how long it has run, been ready, or waited.
    pub since: Duration,
}

/// A wait of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wait {
    /// For what.
    pub on: Resource,
    /// What that is: `"task"`, `"timer"`, `"mutex"`, `"TcpStream"`, …
    pub what: &'static str,
    /// The name of a lock or a channel, if the program has given it one.
    pub name: Option<&'static str>,
    /// Where in the program a lock or a channel was made, if that is known.
    pub made_at: Option<&'static Location<'static>>,
    /// The descriptor of a source, if that is known.
    pub descriptor: Option<i32>,
    /// Which way the bytes go that it waits for, if it waits for a source.
    pub direction: Option<Direction>,
    /// The deadline of a timer, counted from when the runtime was built.
    pub deadline: Option<Duration>,
    /// How long it is until then; zero if it has passed. Another process is not told this of a loop on virtual time.
    pub left: Option<Duration>,
    /// The task that is awaited, or the one that holds the mutex at this moment.
    pub holder: Option<TaskId>,
    /// How long ago it began. Only a watched loop knows this.
    pub since: Option<Duration>,
}

impl Wait {
    /// A wait of which nothing else is known.
    pub(super) fn on(on: Resource) -> Wait {
        let what = match on {
            Resource::Task(_) => "task",
            Resource::Timer(_) => "timer",
            Resource::Source(_) => "source",
            Resource::Line { what, .. } => what,
        };
        let holder = if let Resource::Task(id) = on { Some(id) } else { None };
        Wait {
            on,
            what,
            name: None,
            made_at: None,
            descriptor: None,
            direction: None,
            deadline: None,
            left: None,
            holder,
            since: None,
        }
    }

    /// A wait for a deadline. `now` is the loop's time, if that is known.
    pub(super) fn until(number: u64, deadline: Option<u64>, now: Option<u64>) -> Wait {
        let left = deadline.zip(now).map(|(deadline, now)| deadline.saturating_sub(now));
        let (deadline, left) = (deadline.map(Duration::from_nanos), left.map(Duration::from_nanos));
        Wait { deadline, left, ..Wait::on(Resource::Timer(number)) }
    }
}

impl fmt::Display for Wait {
    /// `task #3.1`, `timer (1.2 s left)`, `TcpStream 7, to read`, `mutex 4 "accounts" (bank.rs:12)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.on {
            Resource::Task(id) => write!(f, "task {id}")?,
            Resource::Timer(_) => match (self.left, self.deadline) {
                (Some(Duration::ZERO), _) => f.write_str("timer (due)")?,
                (Some(left), _) => write!(f, "timer ({} left)", Span(left))?,
                (None, Some(deadline)) => write!(f, "timer (at {})", Span(deadline))?,
                _ => f.write_str("timer")?,
            },
            Resource::Source(_) => {
                f.write_str(self.what)?;
                self.descriptor.map_or(Ok(()), |descriptor| write!(f, " {descriptor}"))?;
                f.write_str(match self.direction {
                    Some(Direction::Read) => ", to read",
                    Some(Direction::Write) => ", to write",
                    None => "",
                })?;
            }
            Resource::Line { number, .. } => write!(f, "{} {number}", self.what)?,
        }
        self.name.map_or(Ok(()), |name| write!(f, " {name:?}"))?;
        self.made_at.map_or(Ok(()), |place| write!(f, " ({})", At(place)))
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TaskState::Running => "running",
            TaskState::Ready => "ready",
            TaskState::Waiting => "waiting",
            TaskState::Cleanup => "cleanup",
        })
    }
}

impl fmt::Display for Task {
    /// `#3.1 "eggs" (src/main.rs:12)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " {name:?}"))?;
        self.spawned_at.map_or(Ok(()), |place| write!(f, " ({})", At(place)))
    }
}

/// A place in the program, without its column, which says little: `src/main.rs:12`.
pub(crate) struct At(pub(crate) &'static Location<'static>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}

/// A time with at most four digits: `1.2 s`, `12 ms`, `7 µs`.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.as_secs(), self.0.as_micros());
        match micros {
            0..10_000 => write!(f, "{micros} µs"),
            10_000..1_000_000 => write!(f, "{} ms", micros / 1_000),
            1_000_000..100_000_000 => write!(f, "{}.{} s", seconds, micros / 100_000 % 10),
            _ => write!(f, "{seconds} s"),
        }
    }
}

/// `1 task`, `2 tasks`.
pub(super) struct Count(pub(super) usize, pub(super) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// A type's name without its path, and without what it holds: `TcpStream` for `mio::net::tcp::stream::TcpStream`.
pub(super) fn short(name: &'static str) -> &'static str {
    let outer = name.split('<').next().unwrap_or(name);
    outer.rsplit("::").next().unwrap_or(outer)
}
