//! What the program `see` makes of a trace: a page, text, and the formats of other tools.
//!
//! Facts. A trace is tables and events. Each output needs the names of tasks, times in a form for people, and a part of the
//! story.
//!
//! What follows. [`names`] says what things are called, [`story`] follows the polls,
//! and each output is a file of its own.

pub mod circles;
pub mod folded;
pub mod json;
pub mod log;
pub mod names;
pub mod page;
pub mod perfetto;
pub mod stats;
pub mod story;
pub mod why;
