//! The cleanups that a scope's children left when they were dropped.
//!
//! Facts. A child that is dropped may leave a cleanup (`with_cleanup`). When a whole task is cancelled, the executor
//! collects such cleanups for the task. A scope that drops its children goes on, and ends only after their cleanups.
//!
//! What follows. The scope collects the cleanups in the same way, and awaits them itself. If it is dropped before they
//! are done, it leaves them to its task in turn.
//!
//! What it does not know: children and scopes.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::core::context;
use crate::core::executor::{Cleanup, in_turn};
use crate::core::panics::{self, Payload, contain};
use crate::task::leave_cleanup;

/// Runs cleanups one after the other. A panic in the drop that left them, or in one of them, comes out at the end.
pub(super) struct Rest {
    /// `None` when all cleanups are done.
    cleanups: Option<Cleanup>,
}

impl Rest {
    /// Runs `f`, which drops something, and collects the cleanups that this leaves. `None` if it leaves none and there
    /// is no panic.
    pub(super) fn of(panic: Option<Payload>, f: impl FnOnce()) -> Option<Rest> {
        let (dropped, left) = match context::current() {
            Some(context) => context.executor.drops.collect(true, || contain(f)),
            None => (contain(f), Vec::new()),
        };
        let panic = panics::first(panic, dropped.err());
        let nothing = left.is_empty() && panic.is_none();
        (!nothing).then(|| Rest { cleanups: Some(Box::pin(in_turn(left, panic))) })
    }
}

impl Future for Rest {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(cleanups) = &mut self.cleanups else { return Poll::Ready(()) };
        match contain(|| cleanups.as_mut().poll(cx)) {
            Ok(poll) => ready!(poll),
            Err(payload) => {
                self.cleanups = None;
                resume_unwind(payload);
            }
        }
        self.cleanups = None;
        Poll::Ready(())
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.cleanups.take().into_iter().for_each(leave_cleanup);
    }
}
