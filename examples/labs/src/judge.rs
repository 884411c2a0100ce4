//! Tries an answer, whatever it does.
//!
//! Facts. An answer may be wrong, panic, wait for ever, or burn a processor without end.
//!
//! What follows. Each check runs in a thread of its own. The judge waits for it, but not longer than a limit. A thread
//! that is still running then is left alone, because no thread can be stopped from outside; it ends with the process.
//!
//! Contract. The checks are tried in their order, up to the first that fails: after that, more failures would tell
//! nothing.

use std::panic::{self, catch_unwind};
use std::sync::{Once, mpsc};
use std::thread;
use std::time::Duration;

use examples::status::complain;

use crate::check::Check;
use crate::diary::{Diary, open_diary};
use crate::outcome::{Miss, Outcome, Trouble, trouble};

/// The threads of answers have this name. Their panics are noted, not printed.
pub const THREAD: &str = "answer";

/// What the judge has found.
#[derive(Debug)]
pub struct Report {
    /// The checks that have passed.
    pub passed: Vec<Passed>,
    /// The first check that has not.
    pub failure: Option<Failure>,
    /// How many checks were not tried after that.
    pub left: usize,
}

/// A check that has passed.
#[derive(Debug)]
pub struct Passed {
    /// Its name.
    pub check: &'static str,
    /// What was measured on the way.
    pub remarks: Vec<String>,
}

/// A check that did not pass.
#[derive(Debug)]
pub struct Failure {
    /// Its name.
    pub check: &'static str,
    /// What was tried, in this order.
    pub tried: Vec<String>,
    /// What came of it.
    pub what: What,
    /// What to think about.
    pub idea: &'static str,
}

/// How a check can fail.
#[derive(Debug)]
pub enum What {
    /// It saw something else.
    Unexpected(Miss),
    /// The answer broke off.
    Trouble(Trouble),
}

/// Tries the checks in their order. No check may take longer than `limit`.
#[must_use]
pub fn judge(checks: &[Check], limit: Duration) -> Report {
    listen();
    let mut passed = Vec::new();
    for check in checks {
        match attempt(check, limit) {
            Ok(remarks) => passed.push(Passed { check: check.name, remarks }),
            Err(failure) => {
                let left = checks.len() - passed.len() - 1;
                return Report { passed, failure: Some(failure), left };
            }
        }
    }
    Report { passed, failure: None, left: 0 }
}

/// Tries one check, and returns the remarks.
fn attempt(check: &Check, limit: Duration) -> Result<Vec<String>, Failure> {
    let (diary, run) = (Diary::default(), check.run);
    let (send, receive) = mpsc::channel();
    let theirs = diary.clone();
    let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
        theirs.open();
        // If the judge has given up, it does not listen any more.
        let _ = send.send(verdict(run));
    });
    thread.expect("the system has a thread for each check");
    let what = match receive.recv_timeout(limit) {
        Ok(Ok(())) => return Ok(diary.remarks()),
        Ok(Err(what)) => what,
        Err(_) => What::Trouble(Trouble::Endless),
    };
    let idea = match &what {
        What::Unexpected(Miss { idea: Some(idea), .. }) => idea,
        _ => check.idea,
    };
    Err(Failure { check: check.name, tried: diary.lines(), what, idea })
}

/// What comes of a check in this thread. If the answer broke off on the way, that explains more than what came after it.
fn verdict(run: fn() -> Outcome) -> Result<(), What> {
    let outcome = catch_unwind(run);
    let diary = open_diary();
    match (outcome, diary.trouble(), diary.miss()) {
        (Ok(Ok(())), ..) => Ok(()),
        (_, Some(trouble), _) => Err(What::Trouble(trouble)),
        (Ok(Err(miss)), ..) | (Err(_), None, Some(miss)) => Err(What::Unexpected(miss)),
        // It was stopped without a panic of its own.
        (Err(_), None, None) => Err(What::Trouble(Trouble::Endless)),
    }
}

/// From now on, the panics of answers are noted. All others are reported as before.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| match thread::current().name() {
            Some(THREAD) => note(trouble(info.payload(), info.location())),
            _ => before(info),
        }));
    });
}

/// A panic while another one unwinds ends the process. So the second is told here: later may be too late.
fn note(trouble: Trouble) {
    let diary = open_diary();
    if let (Some(first), Trouble::Panicked { .. }) = (diary.trouble(), &trouble) {
        complain(format_args!("{first}\nand then {trouble}"));
    }
    diary.note(trouble);
}
