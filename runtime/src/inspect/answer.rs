//! What is answered to a question: a line of JSON for each loop and for each task.
//!
//! Contract. `docs/inspect.md` describes the format. Each line is an object by itself, so a reader can show the first tasks
//! before it has read the last ones. An answer that does not end with the line `{"end":1}` was cut short.
//!
//! What follows. The lines of a page of tasks are made from copies. No lock is held while text is made or sent.
//!
//! What it does not know: sockets.

use std::fmt::{Display, Write};
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::core::clock::Nanos;
use crate::inspect::loops;
use crate::inspect::seen::Seen;
use crate::inspect::table::Phase;
use crate::inspect::task::{At, Task, TaskState, Wait};

/// The version of the questions and of the answers.
const VERSION: u64 = 1;

/// Answers one question, piece by piece.
pub(super) fn answer(question: &str, mut say: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let mut text = String::new();
    match question.split_once(' ') {
        Some(("ps", version)) if version == VERSION.to_string() => answer_ps(&mut say),
        Some(("ps", version)) => {
            let why = format!("this program speaks version {VERSION}, not `{version}`");
            Object::new(&mut text).number("roundel", VERSION).text("error", &why).end();
            say(&text)
        }
        _ => {
            let why = format!("`{question}` is no question: ask `ps {VERSION}`");
            Object::new(&mut text).number("roundel", VERSION).text("error", &why).end();
            say(&text)
        }
    }
}

fn answer_ps(say: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let loops = loops::open();
    let live = loops.iter().map(|(_, seen)| seen.table().live()).sum();
    let mut text = String::new();
    head(&mut text, loops.len(), live);
    for (number, seen) in &loops {
        describe(&mut text, *number, seen);
        let mut page = 0;
        while let Some(tasks) = copy(seen, page) {
            tasks.iter().for_each(|task| describe_task(&mut text, *number, task));
            say(&text)?;
            text.clear();
            page += 1;
        }
    }
    Object::new(&mut text).number("end", 1).end();
    say(&text)
}

/// Copies a page of tasks. The loop waits meanwhile, if it has something to write.
fn copy(seen: &Seen, page: usize) -> Option<Vec<Task>> {
    let (now, clock) = (seen.now(), seen.clock());
    seen.table().page(page, now, clock)
}

fn head(text: &mut String, loops: usize, tasks: usize) {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    Object::new(text)
        .number("roundel", VERSION)
        .number("pid", std::process::id().into())
        .text("program", &program)
        .number("loops", loops as u64)
        .number("tasks", tasks as u64)
        .end();
}

/// The line of a loop.
fn describe(text: &mut String, number: u16, seen: &Seen) {
    let now = seen.now();
    let table = seen.table();
    let (live, phase, turns, polls) =
        (table.live(), table.phase, table.tally.turns, table.tally.poll_time.count());
    let running = table.running.and_then(|(id, began)| Some((table.task(id, now)?, began)));
    drop(table);
    let phase = match phase {
        Phase::Outside => "outside",
        Phase::Turning => "turning",
        Phase::Parked(_) => "parked",
    };
    let mut object = Object::new(text);
    object.number("loop", number.into()).texts("thread", seen.thread.as_ref());
    object.flag("virtual", seen.is_virtual).text("phase", phase).number("now_ns", now);
    object.number("tasks", live as u64).number("turns", turns).number("polls", polls);
    if let Some((task, began)) = running {
        object.inner("running", |running| hold(running, &task, now.saturating_sub(began)));
    }
    object.end();
}

/// The task that runs, and for how long.
fn hold(running: &mut Object<'_>, task: &Task, held: Nanos) {
    running.text("task", task.id).texts("name", task.name.as_ref());
    running.texts("spawned_at", task.spawned_at.map(At)).number("held_ns", held);
}

/// The line of a task.
fn describe_task(text: &mut String, number: u16, task: &Task) {
    let mut object = Object::new(text);
    object.number("loop", number.into()).text("task", task.id).texts("name", task.name.as_ref());
    object.text("state", task.state);
    if let Some(life) = &task.life {
        object.number("polls", life.polls).time("busy_ns", life.busy).time("age_ns", life.age);
        object.time("state_ns", life.since).texts("spawned_by", life.spawned_by);
    }
    object.texts("spawned_at", task.spawned_at.map(At));
    if !task.waits.is_empty() && task.state != TaskState::Running {
        object.list("waits", &task.waits, describe_wait);
        if task.has_more_waits {
            object.flag("more_waits", true);
        }
    }
    object.end();
}

fn describe_wait(object: &mut Object<'_>, wait: &Wait) {
    object.text("text", wait).text("what", wait.what).texts("name", wait.name);
    object.texts("made_at", wait.made_at.map(At)).texts("holder", wait.holder);
    wait.deadline.into_iter().for_each(|deadline| _ = object.time("deadline_ns", deadline));
    wait.since.into_iter().for_each(|since| _ = object.time("for_ns", since));
}

/// An object that is being written. The one that begins a line ends it, too.
struct Object<'a> {
    text: &'a mut String,
    is_empty: bool,
}

impl Object<'_> {
    fn new(text: &mut String) -> Object<'_> {
        text.push('{');
        Object { text, is_empty: true }
    }

    fn key(&mut self, key: &str) {
        let comma = if std::mem::take(&mut self.is_empty) { "" } else { "," };
        let _ = write!(self.text, "{comma}\"{key}\":");
    }

    fn number(&mut self, key: &str, value: u64) -> &mut Self {
        self.key(key);
        let _ = write!(self.text, "{value}");
        self
    }

    fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key);
        let _ = write!(self.text, "{value}");
        self
    }

    fn time(&mut self, key: &str, value: Duration) -> &mut Self {
        self.number(key, u64::try_from(value.as_nanos()).unwrap_or(u64::MAX))
    }

    fn text(&mut self, key: &str, value: impl Display) -> &mut Self {
        self.key(key);
        self.text.push('"');
        let _ = write!(Escaped(self.text), "{value}");
        self.text.push('"');
        self
    }

    /// Leaves out what is not there.
    fn texts(&mut self, key: &str, value: Option<impl Display>) -> &mut Self {
        value.into_iter().for_each(|value| _ = self.text(key, value));
        self
    }

    fn inner(&mut self, key: &str, write: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        let mut inner = Object::new(self.text);
        write(&mut inner);
        inner.text.push('}');
    }

    fn list<T>(&mut self, key: &str, items: &[T], mut write: impl FnMut(&mut Object<'_>, &T)) {
        self.key(key);
        for (index, item) in items.iter().enumerate() {
            self.text.push(if index == 0 { '[' } else { ',' });
            let mut inner = Object::new(self.text);
            write(&mut inner, item);
            inner.text.push('}');
        }
        self.text.push(']');
    }

    fn end(&mut self) {
        self.text.push_str("}\n");
    }
}

/// Writes text as it stands between the quotes of a JSON string.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for char in text.chars() {
            match char {
                '"' | '\\' => self.0.extend(['\\', char]),
                '\n' => self.0.push_str("\\n"),
                char if char.is_control() => write!(self.0, "\\u{:04x}", u32::from(char))?,
                char => self.0.push(char),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let mut text = String::new();
        Object::new(&mut text).text("name", "a \"b\" \\ \n\u{7} é").end();
        assert_eq!(text, "{\"name\":\"a \\\"b\\\" \\\\ \\n\\u0007 é\"}\n");
    }

    #[test]
    fn what_is_no_question_is_answered_with_an_error() {
        for (question, why) in [("", "`` is no question"), ("ps", "`ps` is no question"), ("ps 2", "not `2`")]
        {
            let mut said = String::new();
            answer(question, |text| {
                said.push_str(text);
                Ok(())
            })
            .unwrap();
            assert!(said.starts_with("{\"roundel\":1,\"error\":\"") && said.contains(why), "{said}");
        }
    }
}
