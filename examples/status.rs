//! One line on the terminal that is written over and over.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};

/// Whether somebody sits in front of the standard error. If not, there is no line.
#[must_use]
pub fn is_seen() -> bool {
    stderr().is_terminal()
}

/// Writes the line anew.
pub fn show(line: impl Display) {
    // Nobody is harmed if it cannot be written.
    let _ = write!(stderr(), "\r\x1b[K{line}");
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

/// A bar that is `done` (from zero to one) full.
#[must_use]
pub fn bar(done: f64) -> String {
    let full = (done.clamp(0.0, 1.0) * 30.0).round() as usize;
    format!("[{}{}]", "=".repeat(full), " ".repeat(30 - full))
}
