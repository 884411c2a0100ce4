//! A result on its way from one thread to another.
//!
//! Facts. The side that waits for a result and the side that brings it are on different threads, and either may be
//! first. Either may also go away: then the result is no longer wanted, or will never come.
//!
//! What follows. A place for one result and one waker, protected by a lock of its own. The first result counts. A
//! result that comes later, or is no longer wanted, is dropped by the side that brings it.
//!
//! Invariants. 4, which here concerns the lock: a waker is cloned before the lock is taken; values are dropped and
//! wakers woken after it is released.
//!
//! What it does not know: how the result comes about.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::{self, Thread};

use crate::core::context::budget;
use crate::core::panics::{self, swallow};
use crate::error::JoinError;

pub(crate) struct Reply<T> {
    state: Mutex<ReplyState<T>>,
}

struct ReplyState<T> {
    /// The result, until the waiting side takes it.
    result: Option<Result<T, JoinError>>,
    /// The waiting side, since its last poll. Taken by the result or by `abandon`.
    waker: Option<Waker>,
    /// Set when the result comes or is abandoned, never cleared. From then on any result is dropped.
    finished: bool,
}

impl<T> Reply<T> {
    pub(crate) fn new() -> Reply<T> {
        Reply { state: Mutex::new(ReplyState { result: None, waker: None, finished: false }) }
    }

    /// Puts the result in and wakes the waiting side.
    pub(crate) fn finish(&self, result: Result<T, JoinError>) {
        self.put(result).into_iter().for_each(panics::wake);
    }

    /// Puts the result in; returns the waker that the caller has to wake.
    pub(crate) fn put(&self, result: Result<T, JoinError>) -> Option<Waker> {
        let mut state = self.lock();
        if state.finished {
            drop(state);
            swallow(|| drop(result));
            return None;
        }
        (state.finished, state.result) = (true, Some(result));
        state.waker.take()
    }

    /// The result is no longer wanted. True if it had come before.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.finished, true);
        let unwanted = (state.result.take(), state.waker.take());
        drop(state);
        drop(unwanted);
        before
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.lock().finished
    }

    /// Takes the result, or leaves a waker. `what` names the handle in the panic message.
    #[track_caller]
    pub(crate) fn poll(&self, cx: &Context<'_>, what: &str) -> Poll<Result<T, JoinError>> {
        ready!(budget::spend(cx.waker()));
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if let Some(result) = state.result.take() {
            return Poll::Ready(result);
        }
        assert!(!state.finished, "{what} was polled again after it had given its result");
        let old = state.waker.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// Blocks this thread until the result is there.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str) -> Result<T, JoinError> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Poll::Ready(result) = self.poll(&Context::from_waker(&waker), what) {
                return result;
            }
            thread::park();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReplyState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of a thread that waits without a loop.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
