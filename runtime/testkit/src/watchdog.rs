//! Ends a test that hangs.

use std::io::{self, Write};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Aborts the process if the guard is not dropped within two minutes.
#[must_use]
pub fn watchdog() -> Watchdog {
    watchdog_of(Duration::from_secs(120))
}

/// Aborts the process if the guard is not dropped within `limit`.
#[must_use]
pub fn watchdog_of(limit: Duration) -> Watchdog {
    watchdog_that(limit, || ())
}

/// Calls `clean_up` and aborts the process if the guard is not dropped within `limit`; under Miri, which is slow, within
/// twenty times the limit.
#[must_use]
pub fn watchdog_that(limit: Duration, clean_up: impl FnOnce() + Send + 'static) -> Watchdog {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let limit = if cfg!(miri) { limit * 20 } else { limit };
    let (done, until) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        if until.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            clean_up();
            say(&format!("{name} hangs: it was given {limit:?}"));
            std::process::abort();
        }
    });
    Watchdog { done: Some(done), thread: Some(thread) }
}

/// See [`watchdog`].
#[derive(Debug)]
pub struct Watchdog {
    done: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.done.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Prints a line to the standard error. Not with `eprintln`: the harness would capture the line, and may be aborted
/// before it shows it.
pub fn say(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
