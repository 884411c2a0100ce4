//! The handle of a task: wait for it, cancel it, or let it go.
//!
//! Facts. A task may end before, while or after another task waits for it. It may return, panic or be cancelled. Its handle
//! may be dropped at any time.
//!
//! What follows. A handle is a number and a reference to the executor that keeps the task's slot until both
//! the task and the handle are done with it. The output is taken out of the slot, once, through `dyn Any`.
//!
//! What it does not know: how tasks are polled.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::core::context::budget;
use crate::core::executor::{Executor, Join};
use crate::core::id::TaskId;
use crate::core::probe::{End, Event, Resource};
use crate::core::waker;
use crate::error::JoinError;
use crate::waiter;
use crate::waits;

/// A spawned task, as its spawner sees it. Awaiting it gives the task's output.
///
/// Dropping the handle *detaches* the task: it runs on, and its output is dropped when it ends. If the runtime is dropped
/// before the output has been fetched, the output is dropped with it, and the handle says so.
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
    /// A task that is over already is not changed; its output can still be awaited. The task's loop need not run: the
    /// future is dropped inside it all the same, so that its destructors may spawn.
    ///
    /// Two cases have to wait a little. A task that cancels itself is dropped at the end of its poll. A task
    /// that is cancelled by the destructor of another task is dropped when that destructor has returned;
    /// otherwise a chain of them would be as deep as the stack.
    pub fn cancel(&self) {
        self.executor.iter().for_each(|executor| cancel(executor, self.id));
    }

    /// Whether the task is over: it returned, panicked or was cancelled.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.executor.as_ref().is_none_or(|executor| !executor.lives(self.id))
    }

    /// The task's number.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Lets the task run on by itself: what dropping the handle does too, said aloud.
    pub fn detach(self) {}

    /// A handle that cancels the task when it is dropped.
    pub fn cancel_on_drop(self) -> CancelOnDrop<T> {
        CancelOnDrop { handle: self }
    }

    /// Tells a watcher that the running task waits for this one.
    #[track_caller]
    pub(crate) fn report_wait(&self) {
        self.report(true);
    }
}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(executor) = &self.executor else { spent() };
        let id = self.id;
        match executor.join(id, || waiter(id, cx), budget::try_spend) {
            Join::Output(output) => {
                if executor.extras.any() {
                    self.collected();
                }
                self.executor = None;
                Poll::Ready(Ok(output))
            }
            Join::Waits if !executor.extras.any() => Poll::Pending,
            join => self.look_closer(join, cx),
        }
    }
}

/// Cancels a task, which still has its slot.
pub(crate) fn cancel(executor: &Executor, id: TaskId) {
    if executor.probe.is_on() && executor.lives(id) {
        executor.probe.tell(Event::Cancel { task: id, by: executor.running() }, 0);
    }
    executor.cancel(id);
}

/// The task to wake when task `id` is over, if it is a task of the same loop, and another one.
#[inline]
fn waiter(id: TaskId, cx: &Context<'_>) -> Option<TaskId> {
    waker::number(cx.waker()).filter(|waiter| waiter.runtime() == id.runtime() && *waiter != id)
}

#[cold]
#[track_caller]
fn spent() -> ! {
    panic!("a JoinHandle was polled again after it had given the task's result")
}

impl<T: 'static> JoinHandle<T> {
    /// What is rare: the task has failed, the loop is watched, or something other than a task of this loop waits.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn look_closer(
        mut self: Pin<&mut Self>,
        join: Join<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, JoinError>> {
        let Some(executor) = &self.executor else { spent() };
        match join {
            // The common case, but a watcher has to be told.
            Join::Waits => {
                self.report(true);
                Poll::Pending
            }
            Join::NotYet => self.wait(cx),
            // Without budget, the task gives way, or gets a new budget and asks again.
            Join::NotNow => {
                ready!(budget::spend(cx.waker()));
                self.poll(cx)
            }
            // (An output has been dealt with by `poll`.)
            Join::Output(_) | Join::Failed => {
                let (end, panicked) = executor.take_outcome(self.id).unwrap_or((End::Cancelled, None));
                self.report(false);
                self.executor = None;
                Poll::Ready(Err(JoinError::of(self.id, end, panicked)))
            }
        }
    }

    #[track_caller]
    fn wait(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let Some(executor) = &self.executor else { spent() };
        let id = self.id;
        if executor.running() == Some(id) {
            panic!("a task awaits its own JoinHandle, which can never finish: await it from another task");
        }
        let waker = waiter::keep(cx.waker());
        let old = executor.extras.with(id, |extra| extra.waiter.replace(waker));
        drop(old);
        self.report(true);
        // To clone and to drop a waker is foreign code. The task may be over by now, without a wake.
        if executor.lives(id) { Poll::Pending } else { self.poll(cx) }
    }
}

impl<T> JoinHandle<T> {
    #[cold]
    #[inline(never)]
    fn let_go(&mut self) {
        self.report(false);
        if let Some(executor) = &self.executor {
            executor.detach(self.id);
        }
    }

    #[cold]
    fn collected(&self) {
        self.executor.iter().for_each(|executor| executor.drop_extras(self.id));
        self.report(false);
    }

    #[track_caller]
    fn report(&self, begins: bool) {
        if let Some(executor) = &self.executor {
            waits::tell(&executor.probe, Resource::Task(self.id), 0, Some(self.id), begins);
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        if self.executor.is_some() {
            self.let_go();
        }
    }
}

/// A handle that cancels its task when it is dropped. Awaiting it gives the task's output.
///
/// ```
/// roundel::run(async {
///     let task = roundel::spawn(std::future::pending::<()>()).cancel_on_drop();
///     assert_eq!(roundel::task::count(), 2);
///     drop(task);
///     assert_eq!(roundel::task::count(), 1);
///
///     let task = roundel::spawn(async { 6 * 7 }).cancel_on_drop();
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
///
/// Use it for a task that only serves the one that started it. If the children should borrow, or if their errors should
/// count, use a [`scope`](crate::group::scope()).
///
/// Cancel safety: as a [`JoinHandle`]; but if it is dropped before the task is over, the task is cancelled.
#[must_use = "dropping it cancels the task"]
pub struct CancelOnDrop<T> {
    handle: JoinHandle<T>,
}

impl<T> CancelOnDrop<T> {
    /// Gives up the handle, and lets the task run on.
    pub fn detach(mut self) {
        self.handle.let_go();
        self.handle.executor = None;
    }
}

impl<T> Deref for CancelOnDrop<T> {
    type Target = JoinHandle<T>;

    fn deref(&self) -> &JoinHandle<T> {
        &self.handle
    }
}

impl<T: 'static> Future for CancelOnDrop<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx)
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        self.handle.cancel();
    }
}

impl<T> fmt::Debug for CancelOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelOnDrop").field(&self.handle).finish()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id).field("finished", &self.is_finished()).finish()
    }
}
