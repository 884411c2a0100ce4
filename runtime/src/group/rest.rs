//! What a scope's children have left to be done when they were dropped.
//!
//! Facts. A child that is dropped may leave a cleanup (`with_cleanup`). While a whole task is cancelled, the executor
//! collects such cleanups for the task. A scope that drops its children lives on, and is to be over after them.
//!
//! What follows. The scope collects them in the same way, and awaits them itself. If it is dropped before they are done,
//! it leaves them to its task in turn.
//!
//! What it does not know: children and scopes.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::core::context;
use crate::core::executor::{Cleanup, in_turn};
use crate::core::panics::{self, Payload, contain};
use crate::task::leave_cleanup;

/// Cleanups that are done one after the other. A panic, of the drop that left them or of one of them, comes out at the end.
pub(super) struct Rest {
    cleanups: Option<Cleanup>,
}

impl Rest {
    /// Runs `f`, which drops something. `None` if that leaves nothing to be done and did not panic.
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
