//! Why there is no output.
//!
//! Facts. A task, or a job on another thread, may end without returning: it was cancelled, it panicked, or it never
//! began. Its handle reports that in every case.
//!
//! Contract. One error type for all of them. It says what happened, and to which task. The payload of a panic can be
//! taken out.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::core::cell::BoxedTask;
use crate::core::id::TaskId;
use crate::core::panics::Payload;
use crate::core::probe::End;

/// Why a task or a job has no output: it was cancelled, it panicked, or it could not begin.
///
/// Exactly one of [`is_cancelled`](JoinError::is_cancelled), [`is_panic`](JoinError::is_panic) and
/// [`is_no_thread`](JoinError::is_no_thread) is true.
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
    /// The task; `None` for a job on another thread, which has no number.
    task: Option<TaskId>,
    cause: Cause,
}

enum Cause {
    /// It was dropped before it returned.
    Cancelled,
    /// It returned, but its runtime was dropped together with the output.
    Unfetched,
    /// The loop was gone before the task could begin.
    NeverRan,
    /// The operating system refused a thread for the job.
    NoThread(io::Error),
    /// It panicked. The mutex is there only because a payload is not `Sync`, and an error should be.
    Panicked(Mutex<Payload>),
}

impl JoinError {
    pub(crate) fn cancelled(task: TaskId) -> JoinError {
        JoinError { task: Some(task), cause: Cause::Cancelled }
    }

    pub(crate) fn panicked(task: TaskId, payload: Payload) -> JoinError {
        JoinError { task: Some(task), cause: Cause::Panicked(Mutex::new(payload)) }
    }

    /// The error of a task without an output. `panicked` holds the payload, if the task panicked.
    pub(crate) fn of(task: TaskId, end: End, panicked: Option<BoxedTask>) -> JoinError {
        if end == End::Returned {
            return JoinError { task: Some(task), cause: Cause::Unfetched };
        }
        let payload = panicked
            .and_then(|mut panicked| panicked.as_mut().output().downcast_mut::<Option<Payload>>()?.take());
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

    /// Whether it was dropped before it was done, by its handle or by the shutdown of its loop. Also true if the
    /// shutdown has dropped its output before it was fetched.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause, Cause::Cancelled | Cause::NeverRan | Cause::Unfetched)
    }

    /// Whether it could not begin because the operating system refused a thread. The system's error is the
    /// [`source`](std::error::Error::source) of this one. A later try may succeed.
    #[must_use]
    pub fn is_no_thread(&self) -> bool {
        matches!(self.cause, Cause::NoThread(_))
    }

    /// Whether it panicked, in a poll, in a destructor, or in a job.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panicked(_))
    }

    /// The payload of the panic, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// If the cause is not a panic; see [`is_panic`](JoinError::is_panic).
    #[track_caller]
    #[must_use]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.cause {
            Cause::Panicked(payload) => payload.into_inner().unwrap_or_else(PoisonError::into_inner),
            _ => panic!("`into_panic` on an error that is no panic ({self}): ask `is_panic` first"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two causes have messages without a subject, because nothing had begun.
        match &self.cause {
            Cause::NeverRan => return f.write_str("the runtime was gone before the task could begin"),
            Cause::NoThread(error) => return write!(f, "no thread could be started for the job: {error}"),
            Cause::Cancelled | Cause::Unfetched | Cause::Panicked(_) => {}
        }
        // The others say first what ended, then how.
        match self.task {
            Some(task) => write!(f, "task {task} ")?,
            None => f.write_str("the job ")?,
        }
        match &self.cause {
            Cause::Panicked(payload) => {
                let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
                write!(f, "panicked: {}", message(&**payload))
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

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::NoThread(error) => Some(error),
            _ => None,
        }
    }
}

/// The message of a panic, if it has one, as `panic!` makes them.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "(a payload that is not text)"
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::core::panics::contain;

    /// `EAGAIN`, as when the system has no room for another thread.
    fn no_room() -> io::Error {
        io::Error::from_raw_os_error(11)
    }

    /// Each cause, and the one question that it answers with yes.
    #[test]
    fn each_cause_answers_yes_to_one_question() {
        let task = TaskId::new(0, 1, 3);
        let table = [
            (JoinError::cancelled(task), "cancelled", "task #3.1 was cancelled"),
            (JoinError::job_cancelled(), "cancelled", "the job was cancelled"),
            (JoinError::never_ran(), "cancelled", "the runtime was gone before the task could begin"),
            (JoinError::panicked(task, Box::new("ouch")), "panic", "task #3.1 panicked: ouch"),
            (JoinError::job_panicked(Box::new("ouch")), "panic", "the job panicked: ouch"),
            (JoinError::no_thread(&no_room()), "no thread", "no thread could be started for the job: "),
        ];
        for (error, yes, text) in table {
            let answers = [
                ("cancelled", error.is_cancelled()),
                ("panic", error.is_panic()),
                ("no thread", error.is_no_thread()),
            ];
            let said_yes: Vec<&str> =
                answers.iter().filter(|answer| answer.1).map(|answer| answer.0).collect();
            // Exactly one question is answered with yes, and only a missing thread has a source.
            assert_eq!(said_yes, [yes], "{error}");
            assert!(error.to_string().starts_with(text), "{error}");
            assert_eq!(error.source().is_some(), yes == "no thread", "{error}");
            // `into_panic` gives the payload of a panic, and refuses all other errors.
            let said = error.to_string();
            match contain(move || error.into_panic()) {
                Ok(payload) => assert_eq!((yes, payload.downcast_ref()), ("panic", Some(&"ouch"))),
                Err(refusal) => {
                    let refusal = message(&*refusal);
                    assert!(yes != "panic" && refusal.contains(&said), "{refusal}");
                }
            }
        }
    }
}
