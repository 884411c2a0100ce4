//! The parts of the program `ps`: how it asks a process, and how it shows the answer.
//!
//! ```text
//!   a socket ──► ask ──► value ──► row ──► table, tree ──► lines ──► the output, or watch
//! ```
//!
//! `docs/inspect.md` describes the questions and the answers.

pub mod ask;
pub mod columns;
pub mod list;
pub mod row;
pub mod screen;
pub mod table;
pub mod tree;
pub mod value;
pub mod watch;
