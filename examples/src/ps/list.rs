//! The processes of this user that can be asked.

use std::io;
use std::time::Duration;

use crate::ps::ask::{self, Answer};
use crate::ps::columns::{Cell, Column, Layout};
use crate::ps::row::clean;

/// One process that does not answer should not hold up the list for long.
const PATIENCE: Duration = Duration::from_secs(1);

const COLUMNS: [Column; 4] = [
    Column { title: "PID", least: 5, rank: 0, cell: Cell::Number },
    Column { title: "PROGRAM", least: 8, rank: 1, cell: Cell::Text },
    Column { title: "LOOPS", least: 5, rank: 3, cell: Cell::Number },
    Column { title: "TASKS", least: 5, rank: 2, cell: Cell::Number },
];

/// The lines of the list. Files that were left behind by processes that are gone are removed on the way.
///
/// # Errors
///
/// If the folder of the sockets cannot be read.
pub fn list(width: usize) -> io::Result<Vec<String>> {
    let row = |pid: u32| match Answer::of(pid, PATIENCE) {
        Ok(answer) => Some([
            pid.to_string(),
            clean(answer.head.text("program")),
            answer.head.number("loops").to_string(),
            answer.head.number("tasks").to_string(),
        ]),
        // It is there, and does not answer.
        Err(error) if error.to_string().contains("does not answer") => {
            Some([pid.to_string(), "(does not answer)".into(), "?".into(), "?".into()])
        }
        Err(_) => None,
    };
    let rows: Vec<_> = ask::processes()?.into_iter().filter_map(row).collect();
    if rows.is_empty() {
        return Ok(vec!["no process of yours can be asked: start one with ROUNDEL_INSPECT=1".into()]);
    }
    let layout = Layout::new(&COLUMNS, &rows, width);
    Ok([layout.titles()].into_iter().chain(rows.iter().map(|row| layout.line(row))).collect())
}
