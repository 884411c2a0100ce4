//! How much the running poll may still do.
//!
//! Facts. A source that is always ready would keep one task running for ever. "The budget is used up" and "not ready" are
//! both `Pending`, and a future that decides by what its children say must not take one for the other.
//!
//! Contract. Each await of a future of this crate is an *operation*. A poll of a task may do 128 of them, and the next one
//! gives way: it wakes its task and returns `Pending`.
//!
//! What follows. The combinators poll each child in a [`share`]: with half a budget at least, and they pay what the
//! child used. A child that is `Pending` then is not ready, or has done 64 operations in this very poll. (A foreign
//! combinator that polls a child just once, like `now_or_never`, cannot tell the difference.)
//!
//! What it does not know: loops, tasks.

use std::task::{self, Poll, Waker, ready};

use super::HERE;

/// How many operations one poll may do. Enough for a burst, not enough to be noticed by other tasks.
const BUDGET: u32 = 128;

/// What is left for the rest of the poll when an operation has given way. In a foreign combinator, the futures after the
/// one that used up the budget get something, too.
const RESERVE: u32 = 16;

/// After this many operations that gave way in one poll, it must be an executor inside a task, which asks again and again
/// without ever going back to the loop. It gets a new budget, or it would ask for ever.
const STUBBORN: u32 = 128;

/// A poll of a task begins.
#[inline]
pub(crate) fn refill() {
    HERE.with(|here| {
        here.budget.set(BUDGET);
        here.refused.set(0);
    });
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
    HERE.with(|here| {
        let left = here.budget.get();
        if left > 0 {
            here.budget.set(left - 1);
        }
        left > 0
    })
}

#[cold]
fn give_way(waker: &Waker) -> Poll<()> {
    let in_loop = super::current().is_some();
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
    if !in_loop {
        return Poll::Ready(());
    }
    waker.wake_by_ref();
    Poll::Pending
}

/// Polls a child of a combinator, by `poll`, with half a budget at least. What the child uses is paid from ours.
#[inline]
pub(crate) fn share<R>(poll: impl FnOnce() -> R) -> R {
    // Nearly always there is enough, and the child spends from it directly.
    let enough = HERE.with(|here| here.budget.get() >= BUDGET / 2);
    let _debtor = (!enough).then(Debtor::new);
    poll()
}

/// For a combinator with one child: counts an operation, and polls the child in a [`share`]. Inside is what the child said.
/// `Pending` outside means that the combinator itself gives way, and knows nothing.
#[inline]
pub(crate) fn poll_child<R>(
    cx: &mut task::Context<'_>,
    poll: impl FnOnce(&mut task::Context<'_>) -> R,
) -> Poll<R> {
    let enough = HERE.with(|here| {
        let left = here.budget.get();
        let enough = left > BUDGET / 2;
        if enough {
            here.budget.set(left - 1);
        }
        enough
    });
    if enough { Poll::Ready(poll(cx)) } else { poll_child_with_little(cx, poll) }
}

#[cold]
#[inline(never)]
fn poll_child_with_little<R>(
    cx: &mut task::Context<'_>,
    poll: impl FnOnce(&mut task::Context<'_>) -> R,
) -> Poll<R> {
    ready!(spend(cx.waker()));
    Poll::Ready(share(|| poll(cx)))
}

/// What the parent had when its child was given a new budget. The parent pays when the child has been polled, also if
/// that panicked.
struct Debtor {
    budget: u32,
    refused: u32,
}

impl Debtor {
    #[cold]
    fn new() -> Debtor {
        let debtor = HERE.with(|here| Debtor { budget: here.budget.get(), refused: here.refused.get() });
        refill();
        debtor
    }
}

impl Drop for Debtor {
    #[cold]
    fn drop(&mut self) {
        HERE.with(|here| {
            // A child that gave way has used up all of its budget.
            let left = if here.refused.get() > 0 { 0 } else { here.budget.get() };
            here.budget.set(self.budget.saturating_sub(BUDGET - left));
            here.refused.set(self.refused);
        });
    }
}
