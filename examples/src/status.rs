//! What a program says while it runs: lines, and one line on the terminal that it overwrites again and again.
//!
//! Contract. These lines may be lost; the program does not care. A line whose loss should end the program is printed
//! with [`println!`](crate::println).
//!
//! Facts. A terminal continues a long line on the next row, and `\r` goes back only to the start of that row, so a long
//! status line would scroll. It is therefore cut to the width of the terminal. The width is asked for each time,
//! because a user can resize the terminal.

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

/// Whether standard error is a terminal. If not, there is no status line.
#[must_use]
pub fn is_seen() -> bool {
    stderr().is_terminal()
}

/// Overwrites the line, cut to the width of the terminal.
pub fn show(line: impl Display) {
    // Nothing depends on this line, so an error is ignored.
    let _ = write!(stderr(), "\r\x1b[K{}", cut(&line.to_string(), columns()));
}

/// The same, after a bar that shows `done` (from zero to one) and fills the remaining space.
pub fn show_progress(done: f64, line: &str) {
    let room = columns().saturating_sub(line.chars().count() + 4);
    match room.min(30) {
        // A shorter bar would say nothing.
        ..8 => show(line),
        width => show(format_args!("{} {line}", bar(done, width))),
    }
}

/// The columns of the terminal now. For a terminal that does not say, 80, as the first terminals had.
fn columns() -> usize {
    let columns = tcgetwinsize(stderr()).map_or(0, |size| size.ws_col);
    if columns == 0 { 80 } else { columns.into() }
}

/// The start of a line, as much as fits into this many columns. The last column stays empty, because a letter there
/// moves some terminals to the next row.
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

/// Leaves the line as it is. The next output begins on a new row.
pub fn leave() {
    let _ = writeln!(stderr());
}

/// A number with separators: `12,345,678`.
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

/// A number of bytes with a unit: `1.5 MB`.
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

/// A bar of this width, without its brackets, filled to `done` (from zero to one).
fn bar(done: f64, width: usize) -> String {
    let full = (done.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("[{}{}]", "=".repeat(full), " ".repeat(width - full))
}
