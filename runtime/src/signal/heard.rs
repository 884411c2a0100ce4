//! How many listeners each signal has in this process, and what a signal does when it has none.
//!
//! Facts. A handler, once installed, stays. So after the last listener has gone, a Ctrl-C would do nothing, and could
//! not end a program that hangs in its cleanup. Restoring the default by hand would remove the handlers of other code.
//! It would also make signals deadly that were ignored on purpose, such as `SIGHUP` under `nohup`.
//!
//! What follows. Before the first listener for a signal comes, we look at what the signal does. If that is the default,
//! we register a handler for good, which does the default whenever the count of listeners is zero. If the signal was
//! ignored, or other code had a handler, nothing is added. After the last listener, the signal is ignored again, or the
//! other handler, which was called all the time, goes on alone.
//!
//! What cannot be known. Only Linux tells a program what its signals do. Elsewhere we assume the default, except for
//! `SIGPIPE`, which Rust's runtime ignores. If other code registers a handler with `signal-hook` after us, that handler
//! and the default both run. No library knows the default of a real-time signal: it ends the process with the status
//! 128 plus its number, as a shell reports it.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signal_hook::consts::{SIGFPE, SIGILL, SIGKILL, SIGPIPE, SIGSEGV, SIGSTOP};
use signal_hook::flag;
use signal_hook::low_level::signal_name;

/// Every signal that has ever had a listener.
static TABLE: Mutex<BTreeMap<i32, Listeners>> = Mutex::new(BTreeMap::new());

struct Listeners {
    count: usize,
    /// Set while `count` is zero. The handler reads it: while it is set, the signal has its default effect.
    unheard: Arc<AtomicBool>,
}

/// Counts as a listener for a signal, for as long as this lives.
pub(crate) struct Heard(i32);

impl Heard {
    pub(crate) fn new(signal: i32) -> io::Result<Heard> {
        if let Some(reason) = refusal(signal) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let mut table = lock();
        if let Some(listeners) = table.get_mut(&signal) {
            listeners.count += 1;
            listeners.unheard.store(false, Ordering::SeqCst);
            return Ok(Heard(signal));
        }
        // The first listener ever: remember the default, if the signal has it.
        let unheard = Arc::default();
        if has_default(signal) {
            keep_default(signal, &unheard)?;
        }
        table.insert(signal, Listeners { count: 1, unheard });
        Ok(Heard(signal))
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        if let Some(listeners) = lock().get_mut(&self.0) {
            listeners.count -= 1;
            listeners.unheard.store(listeners.count == 0, Ordering::SeqCst);
        }
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<i32, Listeners>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers a handler that does the default while the signal is unheard.
fn keep_default(signal: i32, unheard: &Arc<AtomicBool>) -> io::Result<()> {
    let unheard = Arc::clone(unheard);
    let registered = match signal_name(signal) {
        Some(_) => flag::register_conditional_default(signal, unheard),
        None => flag::register_conditional_shutdown(signal, 128 + signal, unheard),
    };
    registered.map(drop).map_err(|error| explain(signal, error))
}

/// The error when the system has refused a handler for a signal, in words that name the signal.
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

/// Whether a signal has its default effect now.
fn has_default(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let masks = ["SigIgn:", "SigCgt:"].map(|name| mask(&status, name));
    match masks {
        [Some(ignored), Some(caught)] => (ignored | caught) >> (signal - 1) & 1 == 0,
        _ => signal != SIGPIPE,
    }
}

/// The number in a line such as `SigIgn: 0000000000001000`. The lowest bit stands for signal 1.
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
    fn signals_that_cannot_be_listened_to_are_refused_with_a_reason() {
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
