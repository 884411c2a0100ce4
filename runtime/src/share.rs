//! How a combinator shares its budget with its children.
//!
//! Facts. A combinator polls several futures in one poll of its task. If one of them has used up the budget, another one is
//! `Pending` although it is ready, and the combinator would decide wrongly: a timeout would expire, a `select!` would take
//! the second arm.
//!
//! What follows. Each child is polled in a [`share`]: with half a budget at least, and the combinator pays what the child
//! used. A child that is `Pending` then is not ready, or has done 64 operations in this very poll. (A foreign
//! combinator that polls a child just once, like `now_or_never`, cannot tell the difference.)
//!
//! What it does not know: what the combinator decides.

use std::task::{Context, Poll, ready};

use crate::core::context::budget::{self, BUDGET, Budget};

/// Polls a child of a combinator, by `poll`, with half a budget at least. What the child uses is paid from ours.
#[inline]
pub(crate) fn share<R>(poll: impl FnOnce() -> R) -> R {
    // Nearly always there is enough, and the child spends from it directly.
    let _debtor = (!budget::is_left(BUDGET / 2)).then(Debtor::new);
    poll()
}

/// The same as a value, for as long as that lives. A child that is polled beside it, and not in a closure, can tell where in
/// the program its task waits.
#[inline]
pub(crate) fn begin() -> Option<Debtor> {
    (!budget::is_left(BUDGET / 2)).then(Debtor::new)
}

/// For a combinator with one child: counts an operation. If there is budget enough for it and for half a budget more, this is
/// true, and the combinator polls its child. If not, it does so with [`poll_child_with_little`].
#[inline]
pub(crate) fn may_poll_child() -> bool {
    budget::try_spend_above(BUDGET / 2)
}

/// Counts an operation, and polls the child in a [`share`]. Inside is what the child said. `Pending` outside means that the
/// combinator itself gives way, and knows nothing.
#[cold]
#[inline(never)]
pub(crate) fn poll_child_with_little<R>(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> R,
) -> Poll<R> {
    ready!(budget::spend(cx.waker()));
    Poll::Ready(share(|| poll(cx)))
}

/// What the parent had when its child was given a new budget. The parent pays when the child has been polled, also if
/// that panicked.
pub(crate) struct Debtor(Budget);

impl Debtor {
    #[cold]
    fn new() -> Debtor {
        Debtor(budget::replace(Budget { left: BUDGET, refused: 0 }))
    }
}

impl Drop for Debtor {
    #[cold]
    fn drop(&mut self) {
        let of_child = budget::replace(self.0);
        // A child that gave way has used up all of its budget.
        let used = if of_child.refused > 0 { BUDGET } else { BUDGET - of_child.left };
        budget::replace(Budget { left: self.0.left.saturating_sub(used), ..self.0 });
    }
}
