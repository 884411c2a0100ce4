//! A result on its way from one thread to another.
//!
//! Facts. Who waits for a result and who brings it are on different threads, and either may be first. Either may
//! also be gone: nobody wants the result any more, or nobody will bring one.
//!
//! What follows. A place for one result and one waker, behind a lock of its own. The first result counts; what
//! comes later, or comes when nobody wants it, is dropped by who brings it.
//!
//! Invariants. 4, which here means the lock: a waker is cloned before it, and whatever is dropped or woken is
//! dropped or woken after it.
//!
//! What it does not know: what brings the result about.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::{self, Thread};

use crate::core::context;
use crate::core::panics::{self, swallow};
use crate::error::JoinError;

pub(crate) struct Reply<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    result: Option<Result<T, JoinError>>,
    waker: Option<Waker>,
    /// The result is there, or was, or is not wanted.
    finished: bool,
}

impl<T> Reply<T> {
    pub(crate) fn new() -> Reply<T> {
        Reply { state: Mutex::new(State { result: None, waker: None, finished: false }) }
    }

    /// Puts the result in and wakes whoever waits for it.
    pub(crate) fn finish(&self, result: Result<T, JoinError>) {
        self.put(result).into_iter().for_each(panics::wake);
    }

    /// Puts the result in; returns who is to be woken.
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

    /// Nobody waits any more. Whether the result had come before.
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

    /// Takes the result, or leaves word to be woken. `what` is the handle, for a complaint.
    #[track_caller]
    pub(crate) fn poll(&self, cx: &Context<'_>, what: &str) -> Poll<Result<T, JoinError>> {
        ready!(context::spend(cx.waker()));
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

    fn lock(&self) -> MutexGuard<'_, State<T>> {
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
