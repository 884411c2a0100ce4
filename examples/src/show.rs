//! What the small programs share: parts that can be run one by one, a clock that can be virtual, and lines that say when
//! they were printed.
//!
//! Facts. A reader wants to feel a second; a test does not want to wait for it. Under a virtual clock a program prints the
//! same lines with exact times, and takes no time.
//!
//! What follows. [`Show`] reads the command line: the name of a part (without one, all parts are run in their order), and
//! `--virtual`. Each part has a loop of its own, and a [`Stopwatch`] that begins with it.

use std::fmt::Display;
use std::time::{Duration, Instant};

use roundel::{Builder, Runtime, time};

use crate::args::Args;
use crate::println;

/// How long something has taken, by the clock of the running loop.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    start: Instant,
}

impl Stopwatch {
    /// Begins now, on the running loop.
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

/// What the command line asks a program to show.
#[derive(Debug)]
pub struct Show {
    part: Option<String>,
    virtual_time: bool,
}

impl Show {
    /// Reads the command line of a program that has these parts. If it cannot be understood, the program ends.
    #[must_use]
    pub fn new(usage: &'static str, parts: &[&str]) -> Show {
        Show::with(Args::new(usage), parts)
    }

    /// The same, when the other options have been asked for.
    #[must_use]
    pub fn with(mut args: Args, parts: &[&str]) -> Show {
        let virtual_time = args.flag("--virtual");
        Show { part: Show::part_of(args, parts), virtual_time }
    }

    /// The same for a program that has to be felt: there is no `--virtual`.
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

    /// A loop on the clock that was asked for, to be built.
    pub fn builder(&self) -> Builder {
        Runtime::builder().virtual_time(self.virtual_time)
    }

    /// Whether the part of this name is to be shown; if so, its heading has been printed.
    #[must_use]
    pub fn has(&self, part: &str, title: &str) -> bool {
        let is_asked_for = self.part.as_deref().is_none_or(|asked| asked == part);
        if is_asked_for {
            println!("── {part}: {title}");
        }
        is_asked_for
    }

    /// Shows the part of this name, if it is asked for.
    pub fn part(&self, name: &str, title: &str, body: impl AsyncFnOnce(Stopwatch)) {
        if self.has(name, title) {
            self.run(body);
        }
    }

    /// Runs a program, or a part of one, on a loop of its own.
    ///
    /// # Panics
    ///
    /// If the operating system refuses the loop's descriptors.
    pub fn run<R>(&self, body: impl AsyncFnOnce(Stopwatch) -> R) -> R {
        let runtime = self.builder().build().expect("three descriptors for a loop");
        runtime.block_on(async { body(Stopwatch::start()).await })
    }
}
