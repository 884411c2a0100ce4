//! What a program has to say while it runs: lines, and one line on the terminal that is written over and over.
//!
//! Contract. Whether anybody reads it is no concern of the program's. A line whose loss should end the program is printed
//! with [`println!`](crate::println).
//!
//! Facts. A terminal continues a line that is too long on the next row, and `\r` goes back to the beginning of that row
//! only: such a status line would scroll. So it is cut to the width of the terminal, which is asked for each time, because
//! a terminal can be resized.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};

use rustix::termios::tcgetwinsize;

/// Writes a line to the standard output.
pub fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// Writes a line to the standard error.
pub fn complain(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}

/// Whether somebody sits in front of the standard error. If not, there is no line.
#[must_use]
pub fn is_seen() -> bool {
    stderr().is_terminal()
}

/// Writes the line anew, cut to the width of the terminal.
pub fn show(line: impl Display) {
    // Nothing depends on this line, so it may fail.
    let _ = write!(stderr(), "\r\x1b[K{}", cut(&line.to_string(), columns()));
}

/// The same, after a bar that is `done` (from zero to one) full and takes what room there is.
pub fn show_progress(done: f64, line: &str) {
    let room = columns().saturating_sub(line.chars().count() + 4);
    match room.min(30) {
        // So short a bar would tell nothing.
        ..8 => show(line),
        width => show(format_args!("{} {line}", bar(done, width))),
    }
}

/// The columns of the terminal now. One that does not know has as many as the first ones had.
fn columns() -> usize {
    let columns = tcgetwinsize(stderr()).map_or(0, |size| size.ws_col);
    if columns == 0 { 80 } else { columns.into() }
}

/// As much of a line as fits into so many columns. The last column stays free: a letter there makes some terminals begin
/// the next row.
///
/// ```
/// use examples::status::cut;
/// assert_eq!(cut("1,234 requests/s", 17), "1,234 requests/s");
/// assert_eq!(cut("1,234 requests/s", 10), "1,234 re…");
/// ```
#[must_use]
pub fn cut(line: &str, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    if line.chars().count() <= room {
        return line.to_owned();
    }
    line.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

/// Leaves the line behind; what is written next is on a new one.
pub fn leave() {
    let _ = writeln!(stderr());
}

/// A number as people read it: `12,345,678`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes as people read it: `1.5 MB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut size = number as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < units.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{size:.1} {}", units[unit]) }
}

/// A bar of this width, without its brackets, that is `done` (from zero to one) full.
fn bar(done: f64, width: usize) -> String {
    let full = (done.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("[{}{}]", "=".repeat(full), " ".repeat(width - full))
}
