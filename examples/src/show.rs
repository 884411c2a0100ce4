//! What the small programs share: parts that can be run one by one, a clock that can be virtual, and lines that begin
//! with their time.
//!
//! Facts. A reader wants to feel a second pass; a test does not want to wait for it. On a virtual clock a program
//! prints the same lines with exact times, and takes no time.
//!
//! What follows. [`Show`] reads the command line: the name of a part (without one, all parts run in order), and
//! `--virtual`. Each part has its own loop, and a [`Stopwatch`] that starts with it.

use std::fmt::Display;
use std::time::{Duration, Instant};

use roundel::{Builder, Runtime, time};

use crate::args::Args;
use crate::println;

/// Measures time by the clock of the running loop.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    start: Instant,
}

impl Stopwatch {
    /// Starts now, on the running loop.
    #[must_use]
    pub fn start() -> Stopwatch {
        Stopwatch { start: time::now() }
    }

    /// The time since then.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        time::now() - self.start
    }

    /// Prints a line that begins with that time.
    pub fn say(self, what: impl Display) {
        println!("{:6.2} s  {what}", self.elapsed().as_secs_f64());
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub struct Show {
    part: Option<String>,
    virtual_time: bool,
}

impl Show {
    /// Reads the command line of a program that has these parts. Ends the program if it does not understand the line.
    #[must_use]
    pub fn new(usage: &'static str, parts: &[&str]) -> Show {
        Show::with(Args::new(usage), parts)
    }

    /// The same, after the program has read its other options.
    #[must_use]
    pub fn with(mut args: Args, parts: &[&str]) -> Show {
        let virtual_time = args.flag("--virtual");
        Show { part: Show::part_of(args, parts), virtual_time }
    }

    /// The same for a program that only makes sense in real time: it has no `--virtual`.
    #[must_use]
    pub fn in_real_time(usage: &'static str, parts: &[&str]) -> Show {
        Show { part: Show::part_of(Args::new(usage), parts), virtual_time: false }
    }

    fn part_of(mut args: Args, parts: &[&str]) -> Option<String> {
        let part = args.word(parts);
        args.finish();
        part
    }

    /// Whether `--virtual` was given.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.virtual_time
    }

    /// The builder of a loop, with the clock that the command line asks for.
    pub fn builder(&self) -> Builder {
        Runtime::builder().virtual_time(self.virtual_time)
    }

    /// Whether to show the part of this name. If so, this has printed its heading.
    #[must_use]
    pub fn has(&self, part: &str, title: &str) -> bool {
        let is_asked_for = self.part.as_deref().is_none_or(|asked| asked == part);
        if is_asked_for {
            println!("── {part}: {title}");
        }
        is_asked_for
    }

    /// Shows the part of this name, if the command line asks for it.
    pub fn part(&self, name: &str, title: &str, body: impl AsyncFnOnce(Stopwatch)) {
        if self.has(name, title) {
            self.run(body);
        }
    }

    /// Runs a program, or a part of one, on its own loop.
    ///
    /// # Panics
    ///
    /// If the operating system refuses descriptors for the loop.
    pub fn run<R>(&self, body: impl AsyncFnOnce(Stopwatch) -> R) -> R {
        let runtime = self.builder().build().expect("descriptors for a loop");
        runtime.block_on(async { body(Stopwatch::start()).await })
    }
}
