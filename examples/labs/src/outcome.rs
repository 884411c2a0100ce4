//! How a check ends: as expected, with something else, or because the answer broke off.
//!
//! Facts. An answer that panics, a part that is not written and an answer without end all leave by a panic, with a payload
//! that tells which it is.

use std::any::Any;
use std::backtrace::Backtrace;
use std::fmt;
use std::panic::{Location, panic_any};

/// What a check finds.
pub type Outcome = Result<(), Miss>;

/// What was seen in place of what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// What an answer that is right does.
    pub expected: String,
    /// What this answer did.
    pub seen: String,
    /// A better idea than that of the check, if what was seen tells more.
    pub idea: Option<&'static str>,
}

/// Why an answer broke off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It panicked.
    Panicked {
        /// What the panic says.
        message: String,
        /// The file and the line.
        place: String,
    },
    /// A part of it has not been written.
    NotWritten {
        /// Which.
        part: &'static str,
        /// The file and the line.
        place: String,
    },
    /// It does not come to an end.
    Endless,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Panicked { message, place } => write!(f, "a panic at {place}: {message}"),
            Trouble::NotWritten { part, place } => write!(f, "{part} is not written yet ({place})"),
            Trouble::Endless => f.write_str("it did not finish, and was stopped"),
        }
    }
}

/// The payload of an answer that was stopped.
struct Endless;

/// The payload of a part that has not been written.
struct NotWritten(&'static str);

/// Stands in a stub where the learner's code belongs.
#[track_caller]
pub fn not_written(part: &'static str) -> ! {
    panic_any(NotWritten(part));
}

/// Stops an answer that does not come to an end.
pub fn stop() -> ! {
    panic_any(Endless);
}

/// What a panic says about the answer.
pub(crate) fn trouble(payload: &dyn Any, location: Option<&Location<'_>>) -> Trouble {
    let place = place(location);
    if let Some(NotWritten(part)) = payload.downcast_ref() {
        return Trouble::NotWritten { part, place };
    }
    if payload.is::<Endless>() {
        return Trouble::Endless;
    }
    let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(message), _) => (*message).to_owned(),
        (_, Some(message)) => message.clone(),
        _ => "a panic without words".to_owned(),
    };
    Trouble::Panicked { message, place }
}

/// Where the answer panicked: `work/05_timers.rs:23`. If the panic is in code that the answer has called, this is the line
/// that called it.
fn place(location: Option<&Location<'_>>) -> String {
    let Some(location) = location else { return String::new() };
    let own = format!("{}:{}", location.file(), location.line());
    if is_of_an_answer(&own) {
        return short(&own);
    }
    let frames = Backtrace::force_capture().to_string();
    let caller =
        frames.lines().filter_map(|line| line.trim().strip_prefix("at ")).find(|at| is_of_an_answer(at));
    // A frame also has a column.
    caller.and_then(|caller| caller.rsplit_once(':')).map_or_else(|| short(&own), |(caller, _)| short(caller))
}

fn is_of_an_answer(path: &str) -> bool {
    ["work", "stubs", "answers", "wrong"]
        .iter()
        .any(|folder| path.contains(&format!("/{folder}/")) && is_numbered(path))
}

/// Whether the file's name begins with the number of a lab.
fn is_numbered(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(|first: char| first.is_ascii_digit()))
}

/// The last two parts of a path.
fn short(path: &str) -> String {
    let mut parts: Vec<&str> = path.rsplit('/').take(2).collect();
    parts.reverse();
    parts.join("/")
}
