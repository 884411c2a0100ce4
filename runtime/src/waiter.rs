//! A waker that is kept.
//!
//! Facts. Nearly every waker is one of ours, and then it is a number. To clone, to compare and to wake a waker are three
//! calls through a table of functions, which may be foreign code.
//!
//! What follows. A task of ours is kept by its number, and only other wakers are kept as they are. In a loop that is
//! watched, the waker of a child of a group is kept as its *twin*, which wakes the same child. So the group knows that
//! every clone of its own waker is kept by code that is not ours.
//!
//! What it does not know: what is waited for.

use std::task::Waker;

use crate::core::context;
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
        number(waker).map_or_else(|| Waiter::Other(keep(waker)), Waiter::Task)
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

/// The waker that code of ours keeps for this one: a clone, or its twin. May run foreign code.
pub(crate) fn keep(waker: &Waker) -> Waker {
    let twin = if context::is_watched() { twin_of(waker) } else { None };
    twin.unwrap_or_else(|| waker.clone())
}

#[cold]
fn twin_of(waker: &Waker) -> Option<Waker> {
    let context = context::current()?;
    let pair = context.twin.take();
    let twin = pair.as_ref().filter(|(own, _)| own.will_wake(waker)).map(|(_, twin)| twin.clone());
    context.twin.set(pair);
    twin
}
