//! What debug mode warns of: the thresholds, and the warnings as values.
//!
//! Facts. Some mistakes leave no trace: a poll that holds up all other tasks, a lock that is held across something slow, an
//! error that no code looks at. A program that has none of them should hear nothing. What is long depends on the program.
//!
//! Contract. Each kind of warning has a threshold or a switch of its own in [`Warnings`]. All are on with their defaults in
//! debug mode. In the environment, `ROUNDEL_DEBUG=1` means the same, and `ROUNDEL_DEBUG=slow=20ms,lock=off` changes some.
//! A word that is not known is ignored, and one sentence on standard error says so. `0`, `off`, `false` and `no` mean the
//! same, and so do `1`, `on`, `true` and `yes`.
//!
//! What it does not know: how the loop is watched; that is in `runtime/src/debug.rs`.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::panic::Location;
use std::sync::Once;
use std::time::Duration;

use crate::core::id::TaskId;

/// Which mistakes a loop warns of. Each method takes a threshold, or `None` to switch its warning off.
///
/// ```
/// use std::time::Duration;
/// use roundel::{Runtime, Warnings};
///
/// let warnings = Warnings::default().slow_poll(Duration::from_millis(20)).lock_held(None);
/// let runtime = Runtime::builder().warnings(warnings).build().unwrap();
/// runtime.block_on(async {});
/// ```
#[derive(Clone, Debug)]
#[must_use = "give it to `Builder::warnings`"]
pub struct Warnings {
    pub(crate) slow_poll: Option<Duration>,
    pub(crate) lock_held: Option<Duration>,
    pub(crate) self_wakes: Option<u32>,
    pub(crate) large_future: Option<usize>,
    pub(crate) never_polled: bool,
    pub(crate) unheard_errors: bool,
    pub(crate) unheard_panics: bool,
    pub(crate) cancelled_at_end: bool,
}

impl Default for Warnings {
    /// All of them, with the thresholds that the methods tell.
    fn default() -> Warnings {
        Warnings {
            slow_poll: Some(Duration::from_millis(100)),
            lock_held: Some(Duration::from_millis(500)),
            self_wakes: Some(10_000),
            large_future: Some(16 * 1024),
            never_polled: true,
            unheard_errors: true,
            unheard_panics: true,
            cancelled_at_end: true,
        }
    }
}

impl Warnings {
    /// None of them, to switch on some.
    pub fn none() -> Warnings {
        let none = Warnings::default().slow_poll(None).lock_held(None).self_wakes(None).large_future(None);
        none.never_polled(false).unheard_errors(false).unheard_panics(false).cancelled_at_end(false)
    }

    /// A poll that takes longer than this holds up all other tasks. 100 ms, by the real clock.
    pub fn slow_poll(mut self, limit: impl Into<Option<Duration>>) -> Warnings {
        self.slow_poll = limit.into();
        self
    }

    /// A [`Mutex`](crate::sync::Mutex) that was held for longer than this, by the clock of the loop. 500 ms; less than a
    /// millisecond is never told.
    pub fn lock_held(mut self, limit: impl Into<Option<Duration>>) -> Warnings {
        self.lock_held = limit.into();
        self
    }

    /// A task that woke itself this many times in a row. 10,000. Zero switches it off, as `None` does.
    ///
    /// The wake of a task that gives way because its budget is used up is not counted: such a task has done 128 operations.
    pub fn self_wakes(mut self, limit: impl Into<Option<u32>>) -> Warnings {
        self.self_wakes = limit.into().filter(|limit| *limit > 0);
        self
    }

    /// A task whose future takes more bytes than this. 16 KiB.
    pub fn large_future(mut self, limit: impl Into<Option<usize>>) -> Warnings {
        self.large_future = limit.into();
        self
    }

    /// A task that the shutdown had to drop before its first poll.
    pub fn never_polled(mut self, on: bool) -> Warnings {
        self.never_polled = on;
        self
    }

    /// A task that returned an `Err`, and whose handle was dropped without having been awaited.
    ///
    /// The type of an output is known by its name only, so an alias is seen through, and a type of your own that is named
    /// `Result` is not taken for one. What is in the error cannot be told.
    pub fn unheard_errors(mut self, on: bool) -> Warnings {
        self.unheard_errors = on;
        self
    }

    /// A task that panicked, and whose handle was dropped without having been awaited.
    pub fn unheard_panics(mut self, on: bool) -> Warnings {
        self.unheard_panics = on;
        self
    }

    /// The tasks that the shutdown had to cancel: one warning for all of them.
    pub fn cancelled_at_end(mut self, on: bool) -> Warnings {
        self.cancelled_at_end = on;
        self
    }

    /// What the environment asks for.
    pub(crate) fn from_environment() -> Option<Warnings> {
        let value = std::env::var_os("ROUNDEL_DEBUG")?;
        let (warnings, unknown) = Warnings::parse(&value.to_string_lossy());
        static SAID: Once = Once::new();
        if !unknown.is_empty() {
            SAID.call_once(|| say(&format_args!("`ROUNDEL_DEBUG`: {}: {KNOWN}", unknown.join(", "))));
        }
        warnings
    }

    /// The warnings that these words ask for, and the words that are not known.
    fn parse(text: &str) -> (Option<Warnings>, Vec<String>) {
        if text.trim().is_empty() || switch(text) == Some(false) {
            return (None, Vec::new());
        }
        let (mut warnings, mut unknown) = (Warnings::default(), Vec::new());
        let words = text.split(',').map(str::trim);
        for word in words.filter(|word| !word.is_empty() && switch(word) != Some(true)) {
            match warnings.clone().with(word) {
                Some(changed) => warnings = changed,
                None => unknown.push(format!("{word:?} is not known")),
            }
        }
        (Some(warnings), unknown)
    }

    /// With one more word: `slow=20ms`, `lock=off`, `errors=on`.
    fn with(self, word: &str) -> Option<Warnings> {
        let (name, value) = word.split_once('=')?;
        let value = value.trim();
        let is_on = switch(value);
        let off = is_on == Some(false);
        Some(match name.trim() {
            "slow" if off => self.slow_poll(None),
            "slow" => self.slow_poll(duration(value)?),
            "lock" if off => self.lock_held(None),
            "lock" => self.lock_held(duration(value)?),
            "wakes" if off => self.self_wakes(None),
            "wakes" => self.self_wakes(value.parse::<u32>().ok()?),
            "size" if off => self.large_future(None),
            "size" => self.large_future(value.parse::<usize>().ok()?),
            "unpolled" => self.never_polled(is_on?),
            "errors" => self.unheard_errors(is_on?),
            "panics" => self.unheard_panics(is_on?),
            "cancelled" => self.cancelled_at_end(is_on?),
            _ => return None,
        })
    }
}

/// The words of `ROUNDEL_DEBUG`.
const KNOWN: &str = "write 1, or words like slow=20ms,lock=500ms,wakes=10000,size=16384,unpolled=off,errors=off,\
                     panics=off,cancelled=off";

/// A word that means on or off.
fn switch(word: &str) -> Option<bool> {
    match &*word.trim().to_ascii_lowercase() {
        "1" | "on" | "true" | "yes" => Some(true),
        "0" | "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// `20ms`, `1.5s`, `300us`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let seconds = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        _ => return None,
    };
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// Not by `eprintln`, which panics if standard error cannot be written to.
pub(crate) fn say(text: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "roundel: {text}");
}

/// One warning. Its `Display` is a sentence.
///
/// ```
/// use roundel::{Runtime, WarningKind, spawn_named};
/// let kinds = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
/// let seen = kinds.clone();
/// let runtime =
///     Runtime::builder().on_warning(move |warning| seen.borrow_mut().push(warning.kind)).build().unwrap();
/// runtime.block_on(async {
///     drop(spawn_named("forgotten", async { Err::<(), _>("no code looks at this") }));
///     roundel::testing::settle().await;
/// });
/// assert_eq!(*kinds.borrow(), [WarningKind::UnheardError]);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Warning {
    /// What kind of mistake it is.
    pub kind: WarningKind,
    /// The task, if it is about one.
    pub task: Option<TaskId>,
    /// The name of that task, if it has one.
    pub name: Option<Cow<'static, str>>,
    /// Where that task was spawned. `None` for the future of a `block_on`.
    pub spawned_at: Option<&'static Location<'static>>,
    pub(crate) text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The kinds of warnings, each with its method in [`Warnings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// [`Warnings::slow_poll`].
    SlowPoll,
    /// [`Warnings::lock_held`].
    LockHeld,
    /// [`Warnings::self_wakes`].
    SelfWakes,
    /// [`Warnings::large_future`].
    LargeFuture,
    /// [`Warnings::never_polled`].
    NeverPolled,
    /// [`Warnings::unheard_errors`].
    UnheardError,
    /// [`Warnings::unheard_panics`].
    UnheardPanic,
    /// [`Warnings::cancelled_at_end`].
    CancelledAtEnd,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, usize) {
        let (warnings, unknown) = Warnings::parse(text);
        (format!("{warnings:?}"), unknown.len())
    }

    #[test]
    fn words_change_the_defaults_and_a_word_that_is_not_known_changes_nothing() {
        let all = Warnings::default();
        for off in ["", " ", "0", "off", "false", "No", " OFF "] {
            assert_eq!(parsed(off), ("None".to_owned(), 0), "{off}");
        }
        let same = |warnings: &Warnings| format!("{:?}", Some(warnings));
        for on in ["1", "on", "true", "YES", "1,on"] {
            assert_eq!(parsed(on), (same(&all), 0), "{on}");
        }
        assert_eq!(parsed("wakes=0,size=false"), (same(&all.clone().self_wakes(0).large_future(None)), 0));
        let changed = all.clone().slow_poll(Duration::from_millis(20)).lock_held(None).unheard_errors(false);
        assert_eq!(parsed(" slow=20ms, lock=off,errors=off,"), (same(&changed), 0));
        let changed = all.clone().lock_held(Duration::from_millis(1500)).self_wakes(7).large_future(1);
        assert_eq!(parsed("lock=1.5s,wakes=7,size=1"), (same(&changed), 0));
        for wrong in
            ["slwo=20ms", "slow", "slow=20", "slow=-1s", "slow=1e999s", "wakes=many", "errors=7", "=", "é=1"]
        {
            assert_eq!(parsed(wrong), (same(&all), 1), "{wrong}");
        }
        assert_eq!(
            same(&Warnings::none()),
            same(
                &Warnings::parse(
                    "slow=off,lock=off,wakes=off,size=off,unpolled=off,errors=off,panics=off,cancelled=off"
                )
                .0
                .unwrap()
            )
        );
    }
}
