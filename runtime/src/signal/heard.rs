//! Who in this process listens to which signal, and what a signal does when nobody does.
//!
//! Facts. A handler, once installed, stays. So after the last listener has gone, a Ctrl-C would do nothing at
//! all, and a program that hangs in its clean-up could not be ended by it. To put the default back by hand would
//! throw away the handlers of others, and turn deadly what was ignored on purpose, as `SIGHUP` under `nohup`.
//!
//! What follows. Before the first listener to a signal comes, we look at what the signal does. If that is the
//! default, a handler is registered for good that does the default whenever the count of listeners is zero. If
//! it was ignored, or somebody had a handler, nothing is added: it is ignored again, or the handler, which has
//! been called all the while, goes on alone.
//!
//! What cannot be known. Only Linux tells a program what its signals do; elsewhere the default is assumed,
//! except for `SIGPIPE`, which Rust's runtime ignores. Whoever registers a handler of their own with
//! `signal-hook` after us shares the signal with the default. A real-time signal, of which no library knows the
//! default, ends the process with the status 128 plus its number, as a shell reports it.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signal_hook::consts::{SIGFPE, SIGILL, SIGKILL, SIGPIPE, SIGSEGV, SIGSTOP};
use signal_hook::flag;
use signal_hook::low_level::signal_name;

/// Every signal that was ever listened to.
static TABLE: Mutex<BTreeMap<i32, Entry>> = Mutex::new(BTreeMap::new());

struct Entry {
    listeners: usize,
    /// Read by the handler: the signal is to do what it does by default.
    unheard: Arc<AtomicBool>,
}

/// A listener, for as long as this lives.
pub(crate) struct Heard(i32);

impl Heard {
    pub(crate) fn new(signal: i32) -> io::Result<Heard> {
        if let Some(reason) = refusal(signal) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let mut table = lock();
        if let Some(entry) = table.get_mut(&signal) {
            entry.listeners += 1;
            entry.unheard.store(false, Ordering::SeqCst);
            return Ok(Heard(signal));
        }
        let unheard = Arc::default();
        if has_default(signal) {
            keep_default(signal, &unheard)?;
        }
        table.insert(signal, Entry { listeners: 1, unheard });
        Ok(Heard(signal))
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        if let Some(entry) = lock().get_mut(&self.0) {
            entry.listeners -= 1;
            entry.unheard.store(entry.listeners == 0, Ordering::SeqCst);
        }
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<i32, Entry>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the handler do the default while the signal is unheard.
fn keep_default(signal: i32, unheard: &Arc<AtomicBool>) -> io::Result<()> {
    let unheard = Arc::clone(unheard);
    let registered = match signal_name(signal) {
        Some(_) => flag::register_conditional_default(signal, unheard),
        None => flag::register_conditional_shutdown(signal, 128 + signal, unheard),
    };
    registered.map(drop).map_err(|error| explain(signal, error))
}

/// Why the system has refused a handler for a signal.
pub(crate) fn explain(signal: i32, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::InvalidInput => io::Error::new(io::ErrorKind::InvalidInput, no_signal(signal)),
        _ => error,
    }
}

/// Why a signal cannot be listened to.
fn refusal(signal: i32) -> Option<String> {
    let why = match signal {
        SIGKILL | SIGSTOP => "the system lets no process catch it",
        SIGSEGV | SIGILL | SIGFPE => {
            "it says that this program's own code went wrong, and after a handler that would go wrong again"
        }
        1..128 => return None,
        _ => return Some(no_signal(signal)),
    };
    let name = signal_name(signal).unwrap_or("a signal");
    Some(format!("{name} ({signal}) cannot be listened to: {why}"))
}

fn no_signal(signal: i32) -> String {
    format!("{signal} is not the number of a signal that this system lets a program catch")
}

/// Whether a signal does now what it does by default.
fn has_default(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let masks = ["SigIgn:", "SigCgt:"].map(|name| mask(&status, name));
    match masks {
        [Some(ignored), Some(caught)] => (ignored | caught) >> (signal - 1) & 1 == 0,
        _ => signal != SIGPIPE,
    }
}

/// The number in a line such as `SigIgn: 0000000000001000`: the bit for signal 1 is the last.
fn mask(status: &str, name: &str) -> Option<u128> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    u128::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read_as_the_kernel_writes_them() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000100000440\n";
        assert_eq!(mask(status, "SigIgn:"), Some(1 << (SIGPIPE - 1)));
        assert_eq!(mask(status, "SigCgt:").map(|mask| mask >> (SIGSEGV - 1) & 1), Some(1));
        assert_eq!(mask(status, "SigNot:"), None);
    }

    #[test]
    fn what_cannot_be_listened_to_is_refused_with_a_reason() {
        for (signal, reason) in [
            (SIGKILL, "SIGKILL (9) cannot be listened to: the system lets no process catch it"),
            (0, "0 is not the number of a signal that this system lets a program catch"),
            (-3, "-3 is not the number of a signal that this system lets a program catch"),
            (128, "128 is not the number of a signal that this system lets a program catch"),
        ] {
            assert_eq!(refusal(signal).as_deref(), Some(reason));
        }
        assert!([SIGSTOP, SIGSEGV, SIGILL, SIGFPE].into_iter().all(|signal| refusal(signal).is_some()));
        assert_eq!(refusal(SIGPIPE), None);
    }
}
