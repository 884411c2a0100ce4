//! Panics that a program plans, and panics that it does not.
//!
//! A planned panic goes past the panic hook, so everything that the hook hears of was not planned: it is a fault, unless the
//! documentation promises it.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;

/// What a planned panic carries.
struct Planned;

/// Panics that are documented, and that a random program may well provoke.
const DOCUMENTED: &[&str] = &[
    "the future that `shield` protects is gone",
    "a sleep was awaited whose runtime had been dropped",
    "a task awaits its own JoinHandle",
    "was called outside a roundel loop",
];

thread_local! {
    /// What the hook has heard on this thread; nothing is noted while no program runs.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Panics, unless the thread panics already: a second panic would end the process.
pub(crate) fn panic_as_planned() {
    if !std::thread::panicking() {
        resume_unwind(Box::new(Planned));
    }
}

/// Runs `f`, and forgets its panic: if the panic was not planned, the hook has noted it.
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

/// Whether a payload is one that a program may provoke.
pub(crate) fn is_expected(payload: &(dyn Any + Send)) -> bool {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or(payload.downcast_ref::<&str>().copied());
    payload.is::<Planned>() || text.is_some_and(is_documented)
}

fn is_documented(text: &str) -> bool {
    DOCUMENTED.iter().any(|documented| text.contains(documented))
}

/// Begins to note what the hook hears on this thread.
pub(crate) fn listen() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // The trace is empty unless it was asked for.
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

/// What the hook has heard since `listen`.
pub(crate) fn heard() -> Vec<String> {
    HEARD.take().unwrap_or_default()
}
