//! Starting work on a loop from another thread, and waiting for it there.
//!
//! Facts. Futures need not be `Send`, so a future cannot be handed to a loop; but a closure that *makes* one can. The
//! caller may be a plain thread without a loop, or a task of another loop.
//!
//! What follows. [`Remote::spawn`] sends the closure through the inbox. On the loop's own thread the closure makes the
//! future, which is polled and dropped there (invariant 10). Besides the closure, only the result crosses the threads
//! and must be `Send`. It waits in a `Reply` for an `.await` or a blocking `.wait()`. It is there when the task is
//! over: the future has been dropped, and its cleanup, if it leaves one, is done.
//!
//! A task can be cancelled only on its own thread. So [`RemoteHandle::cancel`] sends an errand, too. The loop takes errands in
//! the order in which they were sent, so the task has been spawned by then.
//!
//! Cancel safety: a `RemoteHandle` that is no longer polled loses nothing. Dropping it detaches the task.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll};

use crate::core::context::{self, Context};
use crate::core::inbox::{Inbox, TABLE};
use crate::core::panics::{Payload, contain, swallow};
use crate::error::JoinError;
use crate::join;
use crate::reply::Reply;
use crate::task::{self, TaskId, leave_cleanup, spawn};

/// With this, other threads reach a loop. It is cheap to clone and can be sent to any thread.
///
/// ```
/// roundel::run(async {
///     let remote = roundel::remote();
///     let thread = std::thread::spawn(move || {
///         // This runs on the thread; the closure that `spawn` is given runs on the loop.
///         remote.spawn(|| async { 6 * 7 }).wait()
///     });
///     while !thread.is_finished() {
///         roundel::yield_now().await;
///     }
///     assert_eq!(thread.join().unwrap().unwrap(), 42);
/// });
/// ```
#[derive(Clone)]
pub struct Remote {
    inbox: Arc<Inbox>,
    /// Dropped after the reference to the inbox, because the loop counts those.
    nudge: Nudge,
}

/// The number of a loop that is watched. When another thread drops this, that loop looks again whether anything can still
/// wake it.
#[derive(Clone)]
struct Nudge(Option<u16>);

impl Drop for Nudge {
    #[inline]
    fn drop(&mut self) {
        if let Some(number) = self.0 {
            nudge(number);
        }
    }
}

#[cold]
fn nudge(number: u16) {
    if context::current().is_none_or(|context| context.runtime != number) {
        TABLE.nudge(number);
    }
}

/// The running loop, for other threads.
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
#[must_use]
pub fn remote() -> Remote {
    Remote::new(&context::expect("remote"))
}

impl Remote {
    pub(crate) fn new(context: &Context) -> Remote {
        let nudge = Nudge(context.probe.is_on().then_some(context.runtime));
        Remote { inbox: Arc::clone(&context.inbox), nudge }
    }

    /// Runs `f` on the loop's thread and spawns the future that it makes. Never blocks.
    ///
    /// If the loop is gone, or ends before the future is done, the handle returns an error: it was cancelled.
    pub fn spawn<F, Fut, T>(&self, f: F) -> RemoteHandle<T>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
        T: Send + 'static,
    {
        let shared = Arc::new(Shared { reply: Reply::new(), spawned: OnceLock::new() });
        let promise = Promise { shared: Arc::clone(&shared), task: None };
        let inbox = Arc::clone(&self.inbox);
        let handle = RemoteHandle { shared, inbox, _nudge: self.nudge.clone() };
        // If the inbox refuses the errand, it is dropped here, which is fine because `f` is `Send`. Dropping the
        // promise answers the handle.
        drop(self.inbox.send(Box::new(move || promise.keep(f))));
        handle
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

/// The handle of a task that [`Remote::spawn`] started: await it on any executor, or block with [`wait`](Self::wait).
pub struct RemoteHandle<T> {
    shared: Arc<Shared<T>>,
    inbox: Arc<Inbox>,
    /// Dropped after the reference to the inbox.
    _nudge: Nudge,
}

/// What the handle and the loop share.
struct Shared<T> {
    reply: Reply<T>,
    /// The task that runs the future. Set on the loop's thread, when the errand has spawned it.
    spawned: OnceLock<TaskId>,
}

impl<T> RemoteHandle<T> {
    /// Blocks this thread until the result is there.
    ///
    /// # Errors
    ///
    /// If the task panicked, was cancelled, or its loop is gone.
    ///
    /// # Panics
    ///
    /// On the thread of the loop that runs the task, because the loop would wait for itself.
    #[track_caller]
    pub fn wait(self) -> Result<T, JoinError> {
        let here = context::current().is_some_and(|context| Arc::ptr_eq(&context.inbox, &self.inbox));
        assert!(
            !here,
            "`RemoteHandle::wait` would block the loop that it waits for: `.await` the handle instead"
        );
        self.shared.reply.wait("a RemoteHandle")
    }

    /// Asks the loop to cancel the task, and returns at once, on any thread.
    ///
    /// The task may end by itself before the loop takes up the request; then the result is its output. Otherwise the result
    /// says that the task was cancelled, and comes when its cleanup, if it has one, is done. A second `cancel` cuts the
    /// cleanup short. If the task is over or its loop is gone, this does nothing.
    ///
    /// ```
    /// roundel::run(async {
    ///     let handle = roundel::remote().spawn(std::future::pending::<()>);
    ///     let cancelling = roundel::blocking::unblock(move || {
    ///         handle.cancel(); // from another thread
    ///         handle.wait()
    ///     });
    ///     assert!(cancelling.await.unwrap().unwrap_err().is_cancelled());
    /// });
    /// ```
    pub fn cancel(&self)
    where
        T: Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        drop(self.inbox.send(Box::new(move || shared.cancel())));
    }

    /// Whether the result is there.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.shared.reply.is_finished()
    }
}

impl<T> Shared<T> {
    /// Runs on the loop: cancels the task, if it is not over.
    fn cancel(&self) {
        let (Some(task), Some(context)) = (self.spawned.get(), context::current()) else { return };
        // Its slot may have been given to another task by now.
        if context.executor.lives(*task) {
            join::cancel(&context.executor, *task);
        }
    }
}

impl<T> Future for RemoteHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        self.shared.reply.poll(cx, "a RemoteHandle")
    }
}

impl<T> fmt::Debug for RemoteHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("a RemoteHandle").field("finished", &self.is_finished()).finish()
    }
}

/// The loop's end of a [`RemoteHandle`]. If it is dropped without an answer, it answers that the task was cancelled.
struct Promise<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    /// The task that runs the future. `None` until it has been polled once.
    task: Option<TaskId>,
}

impl<T: Send + 'static> Promise<T> {
    /// Runs on the loop: spawns a task that makes the future, runs it, and answers with its result.
    fn keep<Fut: Future<Output = T> + 'static>(mut self, f: impl FnOnce() -> Fut + 'static) {
        let shared = Arc::clone(&self.shared);
        let task = spawn(async move {
            self.task = task::current();
            // Make the future, and run it to its end or to a panic.
            let future = match contain(f) {
                Ok(future) => future,
                Err(payload) => return self.panicked(payload),
            };
            let mut future = std::pin::pin!(Some(future));
            let result = std::future::poll_fn(|cx| {
                let Some(running) = future.as_mut().as_pin_mut() else { unreachable!("it is dropped below") };
                match contain(|| running.poll(cx)) {
                    Ok(poll) => poll.map(Ok),
                    Err(payload) => Poll::Ready(Err(payload)),
                }
            });
            let result = result.await;
            // Drop the future before the handle gets its answer. The first of two panics is the answer.
            match (result, contain(|| future.set(None))) {
                (Ok(output), Ok(())) => self.shared.reply.finish(Ok(output)),
                (Ok(output), Err(payload)) => {
                    swallow(|| drop(output));
                    self.panicked(payload);
                }
                (Err(payload), dropped) => {
                    swallow(|| drop(dropped));
                    self.panicked(payload);
                }
            }
        });
        // For `RemoteHandle::cancel`. It is set once, because an errand runs once.
        let _ = shared.spawned.set(task.id());
        // During the shutdown, the runtime has to know which tasks came from other threads.
        let context = context::current().filter(|context| context.ending.get());
        context.into_iter().for_each(|context| context.from_threads.borrow_mut().push(task.id()));
        task.detach();
    }

    fn panicked(&self, payload: Payload) {
        let error = self.task.map(|task| JoinError::panicked(task, payload));
        self.shared.reply.finish(Err(error.unwrap_or_else(JoinError::never_ran)));
    }
}

impl<T: Send + 'static> Drop for Promise<T> {
    /// If the task is cancelled and goes on as its cleanup, the answer comes when the cleanup is done.
    fn drop(&mut self) {
        if self.shared.reply.is_finished() {
            return;
        }
        let task = self.task.take();
        let cleans = context::current().is_some_and(|context| context.executor.drops.has_left_cleanups());
        if let Some(task) = task.filter(|_| cleans) {
            let rest = Promise { shared: Arc::clone(&self.shared), task: Some(task) };
            return leave_cleanup(Box::pin(async move { drop(rest) }));
        }
        self.shared.reply.finish(Err(task.map_or_else(JoinError::never_ran, JoinError::cancelled)));
    }
}
