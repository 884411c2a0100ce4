//! Panics that a program plans, and panics that it does not.
//!
//! A planned panic bypasses the panic hook. So every panic that reaches the hook was not planned. It is a fault, unless
//! the documentation promises it.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;

/// What a planned panic carries.
struct Planned;

/// Documented panics that a random program may provoke.
const DOCUMENTED: &[&str] = &[
    "the future that `shield` protects is gone",
    "a sleep was awaited whose runtime had been dropped",
    "a task awaits its own JoinHandle",
    "was called outside a roundel loop",
];

thread_local! {
    /// The panics that reached the hook on this thread. Nothing is recorded while no program runs.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Panics, unless the thread is already panicking: a second panic would end the process.
pub(crate) fn panic_as_planned() {
    if !std::thread::panicking() {
        resume_unwind(Box::new(Planned));
    }
}

/// Runs `f` and ignores its panic. If the panic was not planned, the hook has recorded it.
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

/// Whether a program may provoke a panic with this payload.
pub(crate) fn is_expected(payload: &(dyn Any + Send)) -> bool {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or(payload.downcast_ref::<&str>().copied());
    payload.is::<Planned>() || text.is_some_and(is_documented)
}

fn is_documented(text: &str) -> bool {
    DOCUMENTED.iter().any(|documented| text.contains(documented))
}

/// Begins to record the panics that reach the hook on this thread.
pub(crate) fn listen() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // The trace is empty unless `RUST_BACKTRACE` asks for it.
            if !note(&format!("{info}\n{}", Backtrace::capture())) {
                others(info);
            }
        }));
    });
    HEARD.set(Some(Vec::new()));
}

fn note(text: &str) -> bool {
    HEARD.with_borrow_mut(|heard| {
        let Some(heard) = heard else { return false };
        if !is_documented(text) {
            heard.push(text.to_owned());
        }
        true
    })
}

/// The panics that have reached the hook since `listen`.
pub(crate) fn heard() -> Vec<String> {
    HEARD.take().unwrap_or_default()
}
