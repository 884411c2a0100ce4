//! The loops and tasks of an answer.
//!
//! Contract. Texts come from another process and go to a terminal, so characters that control a terminal are replaced.

use crate::ps::value::Value;

/// A loop.
#[derive(Clone, Debug, Default)]
pub struct Loop {
    /// Its number in its process.
    pub number: u64,
    /// The thread that has built it.
    pub thread: String,
    /// `turning`, `parked` or `outside`.
    pub phase: String,
    /// How many tasks it has.
    pub tasks: u64,
    /// How many turns it has taken.
    pub turns: u64,
    /// The task that runs, where it was spawned, and for how long it has held the loop.
    pub running: Option<(String, String, u64)>,
}

/// A task.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// `#3.1`.
    pub id: String,
    /// Its name, or nothing.
    pub name: String,
    /// `running`, `ready`, `waiting` or `cleanup`.
    pub state: String,
    /// What it waits for.
    pub waits: Vec<Wait>,
    /// How often it was polled.
    pub polls: u64,
    /// For how long, in nanoseconds.
    pub busy: u64,
    /// How long ago it was spawned, in nanoseconds.
    pub age: u64,
    /// Where it was spawned; `block_on` for the future of one.
    pub spawned_at: String,
}

/// Something that a task waits for.
#[derive(Clone, Debug, Default)]
pub struct Wait {
    /// `mutex 4 "accounts" (bank.rs:12)`.
    pub text: String,
    /// The task that has it or brings it about, or nothing.
    pub holder: String,
}

impl Loop {
    /// Reads the line of a loop; `None` if it is the line of a task.
    #[must_use]
    pub fn read(line: &Value) -> Option<Loop> {
        line.get("phase")?;
        let running = line.get("running").map(|running| {
            let (id, name) = (clean(running.text("task")), clean(running.text("name")));
            let name = if name.is_empty() { id } else { format!("{id} `{name}`") };
            (name, clean(running.text("spawned_at")), running.number("held_ns"))
        });
        Some(Loop {
            number: line.number("loop"),
            thread: clean(line.text("thread")),
            phase: clean(line.text("phase")),
            tasks: line.number("tasks"),
            turns: line.number("turns"),
            running,
        })
    }
}

impl Task {
    /// Reads the line of a task.
    #[must_use]
    pub fn read(line: &Value) -> Task {
        let wait = |wait: &Value| Wait { text: clean(wait.text("text")), holder: clean(wait.text("holder")) };
        Task {
            id: clean(line.text("task")),
            name: clean(line.text("name")),
            state: clean(line.text("state")),
            waits: line.list("waits").iter().map(wait).collect(),
            polls: line.number("polls"),
            busy: line.number("busy_ns"),
            age: line.number("age_ns"),
            spawned_at: match line.text("spawned_at") {
                "" if line.get("spawned_by").is_none() => "block_on".into(),
                place => clean(place),
            },
        }
    }

    /// What it waits for, in one text; nothing if it does not wait.
    #[must_use]
    pub fn waits_for(&self) -> String {
        match self.state.as_str() {
            "waiting" | "cleanup" => joined(self.waits.iter().map(|wait| wait.text.as_str()), " or "),
            _ => String::new(),
        }
    }

    /// The tasks that have what it waits for.
    #[must_use]
    pub fn holders(&self) -> String {
        match self.state.as_str() {
            "waiting" | "cleanup" => joined(self.waits.iter().map(|wait| wait.holder.as_str()), ", "),
            _ => String::new(),
        }
    }
}

fn joined<'a>(texts: impl Iterator<Item = &'a str>, by: &str) -> String {
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(by)
}

/// A text without characters that control a terminal.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// A time with few digits: `7 µs`, `12 ms`, `3.2 s`, `4 min`, `5 h`.
#[must_use]
pub fn span(nanos: u64) -> String {
    let (micros, seconds) = (nanos / 1_000, nanos / 1_000_000_000);
    match micros {
        0..10_000 => format!("{micros} µs"),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..100_000_000 => format!("{seconds}.{} s", micros / 100_000 % 10),
        100_000_000..6_000_000_000 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
