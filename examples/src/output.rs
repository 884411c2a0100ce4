//! How a program prints, and how it ends when its standard output cannot be written.
//!
//! Facts. In that case the `println!` of `std` panics. That is wrong twice: a reader that has read enough, as in
//! `fetches | head -1`, is no error at all, and a full disk is not an error of the program.
//!
//! What follows. `use examples::println;` replaces the macro of `std` by the one below. Every program has that line,
//! and its other lines stay as they would be without it.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write, stdout};
use std::process::exit;

use crate::args::complain_of;

/// The `println!` of these programs. If the line cannot be written, the program ends without a panic.
#[macro_export]
macro_rules! println {
    ($($line:tt)*) => { $crate::output::line(format_args!($($line)*)) };
}

/// Writes a line to the standard output, or ends the program.
pub fn line(line: Arguments<'_>) {
    if let Err(error) = writeln!(stdout(), "{line}") {
        give_up(&error);
    }
}

/// Ends a program whose standard output cannot be written. If only the reader has gone, it ends without an error.
#[cold]
pub fn give_up(error: &io::Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        exit(0);
    }
    complain_of(format_args!("the standard output cannot be written: {error}"));
    exit(1);
}
