//! How a check ends: as expected, with something else, or because the answer broke off.
//!
//! Facts. An answer that panics, a part that is not written and an answer without end all leave by a panic, with a payload
//! that tells which it is.

use std::any::Any;
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
    let place = location.map_or_else(String::new, place);
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

/// The end of a path and the line: `work/05_timers.rs:23`.
fn place(location: &Location<'_>) -> String {
    let mut parts: Vec<&str> = location.file().rsplit('/').take(2).collect();
    parts.reverse();
    format!("{}:{}", parts.join("/"), location.line())
}
