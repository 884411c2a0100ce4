//! What a program prints, and how it ends when its standard output cannot be written.
//!
//! Facts. The `println!` of `std` panics then. That is the wrong answer twice: a reader that has read enough, as in
//! `fetches | head -1`, is no error, and a full disk is no error of the program.
//!
//! What follows. `use examples::println;` puts the macro below in the place of the one of `std`. Every program has that
//! line, and prints as it would without it.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write, stdout};
use std::process::exit;

use crate::args::complain_of;

/// The `println!` of these programs: if the line cannot be written, the program ends without a panic.
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

/// Ends a program whose standard output cannot be written: quietly if only its reader has gone.
#[cold]
pub fn give_up(error: &io::Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        exit(0);
    }
    complain_of(format_args!("the standard output cannot be written: {error}"));
    exit(1);
}
