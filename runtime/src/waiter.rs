//! A waker that is kept.
//!
//! Facts. Nearly every waker is one of ours, and then it is a number. To clone, to compare and to wake a waker are three
//! calls through a table of functions, which may be foreign code.
//!
//! What follows. A task of ours is kept by its number, and only other wakers are kept as they are.
//!
//! What it does not know: what is waited for.

use std::task::Waker;

use crate::core::id::TaskId;
use crate::core::panics;
use crate::core::waker::{number, wake_task};

/// What is to be woken.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// A task of this process, of any loop.
    Task(TaskId),
    /// A waker that is not ours.
    Other(Waker),
}

impl Waiter {
    /// May run foreign code: the waker's `clone`.
    #[inline]
    pub(crate) fn new(waker: &Waker) -> Waiter {
        number(waker).map_or_else(|| Waiter::Other(waker.clone()), Waiter::Task)
    }

    /// Whether both wake the same task.
    #[inline]
    pub(crate) fn is(&self, waker: &Waker) -> bool {
        match self {
            Waiter::Task(id) => number(waker) == Some(*id),
            Waiter::Other(own) => own.will_wake(waker),
        }
    }

    /// May run foreign code, which may panic. The panic goes no further.
    #[inline]
    pub(crate) fn wake(self) {
        match self {
            Waiter::Task(id) => wake_task(id),
            Waiter::Other(waker) => panics::wake(waker),
        }
    }
}
