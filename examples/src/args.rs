//! The options of a command line: `--name value`, `--name=value` and `--flag`.
//!
//! Contract. A program asks for each option once. If something is left over at the end, or a value cannot be read, the
//! user has made a mistake: the program prints the mistake and the usage on standard error and ends with code 2.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::{ExitCode, exit};
use std::str::FromStr;
use std::time::Duration;

use crate::println;
use crate::status::complain;

/// The part of the command line that has not been read yet. An error in one of its methods is the user's, and ends the
/// program.
#[derive(Debug)]
pub struct Args {
    usage: String,
    left: Vec<String>,
}

impl Args {
    /// The command line of this program. If it has `--help`, prints the usage and ends the program.
    #[must_use]
    pub fn new(usage: impl Into<String>) -> Args {
        let usage = usage.into();
        let left: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into()).collect();
        if left.iter().any(|arg| arg == "--help" || arg == "-h") {
            println!("{usage}");
            exit(0);
        }
        Args { usage, left }
    }

    /// Whether `name` was given.
    pub fn flag(&mut self, name: &str) -> bool {
        let before = self.left.len();
        self.left.retain(|arg| arg != name);
        self.left.len() < before
    }

    /// The value after `name`, if there is one.
    pub fn option<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.take(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => self.refuse(&format!("`{text}` is not a value for {name}: {error}")),
        }
    }

    /// The value after `name`, or else `default`.
    pub fn value<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> T {
        self.option(name).unwrap_or(default)
    }

    /// How many of something: the number after `name`, at least 1, or else `default`.
    pub fn count(&mut self, name: &str, default: usize) -> usize {
        let count = self.value(name, default);
        if count == 0 {
            self.refuse(&format!("{name} needs at least 1"));
        }
        count
    }

    /// A time in seconds after `name`; it may have a fraction.
    pub fn seconds(&mut self, name: &str) -> Option<Duration> {
        let seconds = self.option(name)?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(time) if !time.is_zero() => Some(time),
            _ => self
                .refuse(&format!("`{seconds}` is not a value for {name}: give a time in seconds above zero")),
        }
    }

    /// A number from 0 (never) to 1 (always) after `name`, or else 0.
    pub fn rate(&mut self, name: &str) -> f64 {
        let rate = self.value(name, 0.0);
        if !(0.0..=1.0).contains(&rate) {
            self.refuse(&format!("`{rate}` is not a value for {name}: give a number from 0 to 1"));
        }
        rate
    }

    /// The one argument that is not an option, if there is one. It has to be one of these.
    pub fn word(&mut self, choices: &[&str]) -> Option<String> {
        let at = self.left.iter().position(|arg| choices.contains(&arg.as_str()))?;
        Some(self.left.remove(at))
    }

    /// The first argument that is not an option, if there is one. It has to have the form that `form` names.
    pub fn positional<T: FromStr<Err: Display>>(&mut self, form: &str) -> Option<T> {
        let at = self.left.iter().position(|arg| !arg.starts_with('-'))?;
        let text = self.left.remove(at);
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => self.refuse(&format!("`{text}` is not {form}: {error}")),
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let value_of = |arg: &str| Some(arg.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        let at = self.left.iter().position(|arg| arg == name || value_of(arg).is_some())?;
        let found = self.left.remove(at);
        if let Some(value) = value_of(&found) {
            return Some(value);
        }
        if at == self.left.len() {
            self.refuse(&format!("{name} needs a value"));
        }
        Some(self.left.remove(at))
    }

    /// Call this after the last option: anything left over is a mistake.
    pub fn finish(self) {
        if let Some(arg) = self.left.first() {
            self.refuse(&format!("`{arg}` is not understood, or was given twice"));
        }
    }

    /// Ends the program because the command line asks for something that cannot be done.
    pub fn refuse(&self, why: &str) -> ! {
        complain(format_args!("error: {why}\n\n{}", self.usage));
        exit(2);
    }
}

/// The command line of a small program: nothing, or the name of one of its parts.
#[must_use]
pub fn part(parts: &[&str]) -> Option<String> {
    let choice = if parts.is_empty() { String::new() } else { format!(" [{}]", parts.join("|")) };
    let mut args =
        Args::new(format!("usage: {}{choice}\n  The top of its source says what it shows.", name()));
    let part = args.word(parts);
    args.finish();
    part
}

/// The command line of a program that takes no arguments.
pub fn none() {
    let _ = part(&[]);
}

/// Ends a program: with code 0, or with code 1 and a line that begins with the program's name.
pub fn end(result: io::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    complain_of(error);
    ExitCode::FAILURE
}

/// Writes a line that begins with the name of this program to the standard error.
pub(crate) fn complain_of(what: impl Display) {
    complain(format_args!("{}: {what}", name()));
}

/// The name of this program.
fn name() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    Path::new(&path).file_name().unwrap_or_default().display().to_string()
}
