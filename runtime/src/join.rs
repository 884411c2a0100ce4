//! The handle of a task: wait for it, cancel it, or let it go.
//!
//! Facts. A task may end before, while or after somebody waits for it, by returning, by a panic or by being
//! cancelled. Its handle may be dropped at any of those times.
//!
//! What follows. A handle is a number and a reference to the executor that keeps the task's slot until both
//! the task and the handle are done with it. The output is taken out of the slot, once, through `dyn Any`.
//!
//! What it does not know: how tasks are polled.

use std::any::Any;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use crate::executor::Executor;
use crate::id::TaskId;
use crate::panics::{self, Payload};
use crate::probe::{End, Event, Resource};
use crate::waker;

/// A spawned task, as its spawner sees it. Awaiting it gives the task's output.
///
/// Dropping the handle *detaches* the task: it runs on, and its output is dropped when it ends.
///
/// ```
/// roundel::run(async {
///     let handle = roundel::spawn(async { 6 * 7 });
///     assert_eq!(handle.await.unwrap(), 42);
///
///     let sleeper = roundel::spawn(std::future::pending::<()>());
///     sleeper.cancel();
///     assert!(sleeper.await.unwrap_err().is_cancelled());
/// });
/// ```
///
/// Cancel safety: a `JoinHandle` that was polled and is polled no more loses nothing; await it again.
#[must_use = "dropping a JoinHandle detaches its task; to mean that, say `.detach()`"]
pub struct JoinHandle<T> {
    /// `None` when the output has been handed out: the slot is not ours any more.
    executor: Option<Rc<Executor>>,
    id: TaskId,
    output: PhantomData<fn() -> T>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(executor: Rc<Executor>, id: TaskId) -> JoinHandle<T> {
        JoinHandle { executor: Some(executor), id, output: PhantomData }
    }

    /// Drops the task's future, now: when this returns, everything the future held has been released.
    /// A task that is over already is not changed; its output can still be awaited.
    ///
    /// Two cases have to wait a little. A task that cancels itself is dropped at the end of its poll. A task
    /// that is cancelled by the destructor of another task is dropped when that destructor has returned;
    /// otherwise a chain of them would be as deep as the stack.
    pub fn cancel(&self) {
        if let Some(executor) = &self.executor {
            executor.cancel(self.id);
        }
    }

    /// Whether the task is over: it returned, panicked or was cancelled.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.executor.as_ref().is_none_or(|executor| executor.is_over(self.id))
    }

    /// The task's number.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Lets the task run on by itself: what dropping the handle does too, said aloud.
    pub fn detach(self) {}
}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(executor) = &self.executor else { spent() };
        let Some((end, task)) = executor.take_outcome(self.id) else { return self.wait(cx) };
        self.report(false);
        self.executor = None;
        Poll::Ready(match (end, task) {
            (End::Returned, Some(mut task)) => Ok(take(task.as_mut().output())),
            (End::Panicked, Some(mut wreck)) => {
                Err(JoinError::panicked(self.id, take(wreck.as_mut().output())))
            }
            _ => Err(JoinError::cancelled(self.id)),
        })
    }
}

#[inline]
fn take<T: 'static>(output: &mut dyn Any) -> T {
    let output = output.downcast_mut::<Option<T>>().and_then(Option::take);
    output.expect("a handle's type is its task's, and it takes the output once")
}

#[cold]
#[track_caller]
fn spent() -> ! {
    panic!("a JoinHandle was polled again after it had given the task's result")
}

impl<T: 'static> JoinHandle<T> {
    #[track_caller]
    fn wait(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let Some(executor) = &self.executor else { spent() };
        let id = self.id;
        if executor.running() == Some(id) {
            panic!("a task awaits its own JoinHandle, which can never finish: await it from another task");
        }
        if let Some(waiter) = waker::number(cx.waker()).filter(|waiter| waiter.runtime() == id.runtime()) {
            if executor.set_waiter(id, waiter).is_none() {
                self.report(true);
            }
            return Poll::Pending;
        }
        let waker = cx.waker().clone();
        let old = executor.set_foreign_waiter(id, waker);
        if old.is_none() {
            self.report(true);
        }
        // To clone and to drop a waker is foreign code: the task may be over by now, and nobody woken.
        if executor.is_over(id) { self.poll(cx) } else { Poll::Pending }
    }
}

impl<T> JoinHandle<T> {
    /// Tells the probe that a wait for this task begins or ends.
    fn report(&self, begins: bool) {
        let Some(executor) = &self.executor else { return };
        let (task, on) = (executor.running(), Resource::Task(self.id));
        executor.emit(|| if begins { Event::WaitOn { task, on } } else { Event::WaitDone { task, on } });
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if self.executor.as_ref().is_some_and(|executor| executor.detach(self.id)) {
            self.report(false);
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id).field("finished", &self.is_finished()).finish()
    }
}

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
            Cause::Cancelled | Cause::Panicked(_) => {}
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
