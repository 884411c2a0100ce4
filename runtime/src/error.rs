//! Why there is no output.
//!
//! Facts. A task, or a job on another thread, may end without returning: it was cancelled, it panicked, or it never
//! began. Whoever waits for it is told in any case.
//!
//! Contract. One error for all of them. It says what happened, and to whom; a panic's payload can be taken out.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::cell::BoxedTask;
use crate::id::TaskId;
use crate::panics::{self, Payload};
use crate::probe::End;

/// Why a task or a job has no output: it was cancelled, or it panicked.
///
/// ```
/// roundel::run(async {
///     let error = roundel::spawn(async { panic!("no luck") }).await.unwrap_err();
///     assert!(error.is_panic());
///     assert!(error.to_string().ends_with("panicked: no luck"));
///     assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"no luck"));
/// });
/// ```
pub struct JoinError {
    /// Which task; `None` for a job of another thread, which has no number.
    task: Option<TaskId>,
    cause: Cause,
}

enum Cause {
    Cancelled,
    /// It has returned, but its runtime was dropped with the output.
    Unfetched,
    /// The loop went away before the task could begin.
    NeverRan,
    /// The operating system gave the job no thread.
    NoThread(io::Error),
    /// Behind a lock only because a payload is not `Sync`, and an error should be.
    Panicked(Mutex<Payload>),
}

impl JoinError {
    pub(crate) fn cancelled(task: TaskId) -> JoinError {
        JoinError { task: Some(task), cause: Cause::Cancelled }
    }

    pub(crate) fn panicked(task: TaskId, payload: Payload) -> JoinError {
        JoinError { task: Some(task), cause: Cause::Panicked(Mutex::new(payload)) }
    }

    /// What the handle of a task says that has no output: of a panic, the wreck is left.
    pub(crate) fn of(task: TaskId, end: End, wreck: Option<BoxedTask>) -> JoinError {
        if end == End::Returned {
            return JoinError { task: Some(task), cause: Cause::Unfetched };
        }
        let payload =
            wreck.and_then(|mut wreck| wreck.as_mut().output().downcast_mut::<Option<Payload>>()?.take());
        payload.map_or_else(|| JoinError::cancelled(task), |payload| JoinError::panicked(task, payload))
    }

    pub(crate) fn never_ran() -> JoinError {
        JoinError { task: None, cause: Cause::NeverRan }
    }

    pub(crate) fn job_cancelled() -> JoinError {
        JoinError { task: None, cause: Cause::Cancelled }
    }

    pub(crate) fn job_panicked(payload: Payload) -> JoinError {
        JoinError { task: None, cause: Cause::Panicked(Mutex::new(payload)) }
    }

    /// No thread could be started; one such error may concern many jobs.
    pub(crate) fn no_thread(error: &io::Error) -> JoinError {
        let error = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        JoinError { task: None, cause: Cause::NoThread(error) }
    }

    /// It was dropped before it was done: by its handle, by the shutdown of its loop, or because there was
    /// no thread to run it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        !self.is_panic()
    }

    /// It panicked, in a poll, in a destructor, or in a job.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panicked(_))
    }

    /// What it panicked with, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// If it was cancelled; see [`is_panic`](JoinError::is_panic).
    #[track_caller]
    #[must_use]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.cause {
            Cause::Panicked(payload) => payload.into_inner().unwrap_or_else(PoisonError::into_inner),
            _ => panic!("`into_panic` on a task that was cancelled: ask `is_panic` first"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::NeverRan => return f.write_str("the runtime was gone before the task could begin"),
            Cause::NoThread(error) => return write!(f, "no thread could be started for the job: {error}"),
            Cause::Cancelled | Cause::Unfetched | Cause::Panicked(_) => {}
        }
        match self.task {
            Some(task) => write!(f, "task {task} ")?,
            None => f.write_str("the job ")?,
        }
        match &self.cause {
            Cause::Panicked(payload) => {
                let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
                write!(f, "panicked: {}", panics::message(&**payload))
            }
            Cause::Unfetched => {
                f.write_str("returned, but its runtime was dropped before its output was fetched")
            }
            _ => f.write_str("was cancelled"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {}
