//! One thing that an answer has to do, and what was seen instead.
//!
//! Contract. A check has a name that reads as a sentence about the answer, and an idea: what to think about if it fails.
//! The idea never names the line to change. What was tried stands in the [diary](crate::diary).

use std::fmt::Debug;

use crate::diary::open_diary;
use crate::outcome::{Miss, Outcome};

/// One thing that an answer has to do.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What holds if the check passes.
    pub name: &'static str,
    /// What to think about if it fails.
    pub idea: &'static str,
    /// Tries it.
    pub run: fn() -> Outcome,
}

impl Check {
    /// A check of this name.
    pub const fn new(name: &'static str, run: fn() -> Outcome, idea: &'static str) -> Check {
        Check { name, idea, run }
    }
}

/// A miss, to be returned by a check.
pub fn miss(expected: impl Into<String>, seen: impl Into<String>) -> Miss {
    noted(Miss { expected: expected.into(), seen: seen.into(), idea: None })
}

/// A miss with an idea of its own.
pub fn miss_with(idea: &'static str, expected: impl Into<String>, seen: impl Into<String>) -> Miss {
    noted(Miss { expected: expected.into(), seen: seen.into(), idea: Some(idea) })
}

fn noted(miss: Miss) -> Miss {
    open_diary().note_miss(&miss);
    miss
}

/// Nothing, or a miss if the condition does not hold.
///
/// # Errors
///
/// If it does not hold.
pub fn ensure(holds: bool, expected: impl Into<String>, seen: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(miss(expected, seen)) }
}

/// The same, with an idea of its own.
///
/// # Errors
///
/// If it does not hold.
pub fn ensure_with(
    idea: &'static str,
    holds: bool,
    expected: impl Into<String>,
    seen: impl Into<String>,
) -> Outcome {
    if holds { Ok(()) } else { Err(miss_with(idea, expected, seen)) }
}

/// Nothing, or a miss if the two differ. `what` says what they are.
///
/// # Errors
///
/// If they differ.
pub fn same<T: PartialEq + Debug>(what: &str, expected: &T, seen: &T) -> Outcome {
    ensure(expected == seen, format!("{what}: {expected:?}"), format!("{seen:?}"))
}
