//! How much the running poll may still do.
//!
//! Facts. A source that is always ready would keep one task running for ever. "The budget is used up" and "not ready" are
//! both `Pending`, and a future that decides by what its children say must not take one for the other.
//!
//! Contract. Each await of a future of this crate is an *operation*. A poll of a task may do 128 of them, and the next one
//! gives way: it wakes its task and returns `Pending`. The combinators poll their children with a part of the budget, so
//! that they are not mistaken; see `runtime/src/share.rs`.
//!
//! What it does not know: loops, tasks, combinators.

use std::task::{Poll, Waker};

use super::HERE;
use crate::core::probe::Event;

/// How many operations one poll may do. Enough for a burst, not enough to be noticed by other tasks.
pub(crate) const BUDGET: u32 = 128;

/// What is left for the rest of the poll when an operation has given way. In a foreign combinator, the futures after the
/// one that used up the budget get something, too.
const RESERVE: u32 = 16;

/// After this many operations that gave way in one poll, it must be an executor inside a task, which asks again and again
/// without ever going back to the loop. It gets a new budget, or it would ask for ever.
const STUBBORN: u32 = 128;

/// What is left of a budget, and how many operations of the poll have given way.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) left: u32,
    pub(crate) refused: u32,
}

/// A poll of a task begins.
#[inline]
pub(crate) fn refill() {
    replace(Budget { left: BUDGET, refused: 0 });
}

/// Gives the running poll another budget, and returns the one it had.
#[inline]
pub(crate) fn replace(budget: Budget) -> Budget {
    HERE.with(|here| Budget {
        left: here.budget.replace(budget.left),
        refused: here.refused.replace(budget.refused),
    })
}

/// Counts one operation. `Pending` when the budget is used up: the task has been woken and is to return, so that other
/// tasks run. Outside a loop there is no budget.
#[inline]
pub(crate) fn spend(waker: &Waker) -> Poll<()> {
    if try_spend() { Poll::Ready(()) } else { give_way(waker) }
}

/// Counts one operation, if there is something left. If not, the operation has to ask [`spend`], which decides.
#[inline]
pub(crate) fn try_spend() -> bool {
    try_spend_above(0)
}

/// Counts one operation, if more than this is left.
#[inline]
pub(crate) fn try_spend_above(limit: u32) -> bool {
    HERE.with(|here| {
        let left = here.budget.get();
        if left > limit {
            here.budget.set(left - 1);
        }
        left > limit
    })
}

/// Whether this much is left.
#[inline]
pub(crate) fn is_left(much: u32) -> bool {
    HERE.with(|here| here.budget.get() >= much)
}

#[cold]
fn give_way(waker: &Waker) -> Poll<()> {
    let context = super::current();
    let in_loop = context.is_some();
    // Count the refusal; the first one leaves a reserve, and a stubborn caller gets a new budget.
    HERE.with(|here| {
        let refused = here.refused.get() + 1;
        here.refused.set(refused);
        match refused {
            _ if !in_loop => refill(),
            1 => here.budget.set(RESERVE),
            STUBBORN => refill(),
            _ => {}
        }
    });
    // Only a task of a loop can give way.
    let Some(context) = context else { return Poll::Ready(()) };
    context.probe.emit(|| Event::Spent { task: context.executor.running() });
    waker.wake_by_ref();
    Poll::Pending
}
