//! Calling foreign code that may panic, so that the panic harms nothing else (invariant 11).
//!
//! Facts. A future, its output, a waker: each runs code of the program when it is polled, woken or
//! dropped, and that code may panic, also while the loop is in the middle of waking ten tasks.
//!
//! What follows. The loop calls such code only through this file. A payload is itself a foreign value
//! with a destructor, so it is handed on or dropped with the same care.
//!
//! `AssertUnwindSafe` is sound to reason about here because a value that panicked is dropped and never
//! used again, and because nothing of the loop's own is borrowed meanwhile (invariant 4).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Runs `f`; a panic in it becomes an error.
#[inline]
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Result<R, Payload> {
    catch_unwind(AssertUnwindSafe(f))
}

/// Runs `f`. No caller could use its panic: the panic hook has reported it, and that must do.
pub(crate) fn swallow(f: impl FnOnce()) {
    if let Err(payload) = contain(f) {
        // A payload whose own destructor panics could go on like this for ever: leak the second one.
        if let Err(second) = contain(move || drop(payload)) {
            std::mem::forget(second);
        }
    }
}

/// Drops each of the values, whatever the others do. The first panic goes on when all are gone.
pub(crate) fn drop_each<T>(values: impl Iterator<Item = T>) {
    let mut first = None;
    for value in values {
        contain(|| drop(value)).err().into_iter().for_each(|payload| keep_first(&mut first, payload));
    }
    first.into_iter().for_each(go_on);
}

/// Lets a panic go on, unless another one is under way: on top of that, it would end the process.
pub(crate) fn go_on(payload: Payload) {
    if std::thread::panicking() {
        swallow(|| drop(payload));
    } else {
        resume_unwind(payload);
    }
}

/// Of several panics the first is the cause, the others are consequences.
pub(crate) fn keep_first(first: &mut Option<Payload>, payload: Payload) {
    *first = self::first(first.take(), Some(payload));
}

/// The first of two panics, if there is any.
pub(crate) fn first(one: Option<Payload>, other: Option<Payload>) -> Option<Payload> {
    let (kept, dropped) = if one.is_some() { (one, other) } else { (other, None) };
    swallow(|| drop(dropped));
    kept
}

/// Wakes, whatever the waker does.
#[inline]
pub(crate) fn wake(waker: Waker) {
    swallow(move || waker.wake());
}
