//! Starting tasks, giving way, and asking who one is.
//!
//! Facts. A future does nothing until somebody polls it; a *task* is a future that the loop polls. Calling an
//! `async fn` starts nothing, [`spawn`] does.
//!
//! Contract. `spawn` returns at once; the task is first polled in its turn, behind all that were spawned or woken by tasks before.
//! The loop owns it: it runs whether or not somebody keeps the handle. [`yield_now`] goes
//! to the back of that queue and nothing more: awaiting anything that is ready does not give way at all.
//!
//! What it does not know: how a task is stored or polled.

use std::borrow::Cow;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::context;
use crate::executor::Cleanup;
pub use crate::id::TaskId;
use crate::join::JoinHandle;
pub use crate::local::LocalKey;
use crate::panics::swallow;
#[doc(inline)]
pub use crate::task_local;

/// Starts a task on the running loop and returns at once. The future need not be `Send`.
///
/// ```
/// roundel::run(async {
///     let shared = std::rc::Rc::new(std::cell::Cell::new(1));
///     let theirs = shared.clone();
///     let handle = roundel::spawn(async move { theirs.set(theirs.get() + 1) });
///     assert_eq!(shared.get(), 1, "it has not run yet");
///     handle.await.unwrap();
///     assert_eq!(shared.get(), 2);
/// });
/// ```
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: 'static> + 'static,
{
    let executor = context::with("spawn", |context| Rc::clone(&context.executor));
    let id = executor.spawn(future, Location::caller());
    JoinHandle::new(executor, id)
}

/// Like [`spawn`], with a name by which people will recognise the task.
///
/// ```
/// roundel::run(async {
///     let handle = roundel::spawn_named("fetcher", async {
///         roundel::task::name(roundel::task::current().unwrap())
///     });
///     assert_eq!(handle.await.unwrap().as_deref(), Some("fetcher"));
/// });
/// ```
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
pub fn spawn_named<F>(name: impl Into<Cow<'static, str>>, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: 'static> + 'static,
{
    let executor = context::with("spawn_named", |context| Rc::clone(&context.executor));
    let id = executor.spawn(future, Location::caller());
    executor.set_name(id, name.into());
    JoinHandle::new(executor, id)
}

/// Has a cleanup done by the task that is being cancelled, so that a task that awaits it awaits the cleanup; or else by a
/// task of its own. Outside a loop it is dropped.
pub(crate) fn bequeath(cleanup: Cleanup) {
    let Some(context) = context::current() else { return swallow(|| drop(cleanup)) };
    if let Err(cleanup) = context.executor.bequeath(cleanup) {
        let task = spawn(cleanup);
        context.executor.mark_as_cleanup(task.id());
        task.detach();
    }
}

/// The task whose code runs now; `None` outside a loop.
///
/// While a future is being dropped, that is the task the future belongs to.
#[must_use]
pub fn current() -> Option<TaskId> {
    context::current()?.executor.running()
}

/// The name that a task of the running loop was given by [`spawn_named`].
#[must_use]
pub fn name(task: TaskId) -> Option<Cow<'static, str>> {
    context::current()?.executor.name(task)
}

/// Where in the program a task of the running loop was spawned. `None` for a task that is gone or is
/// running right now.
///
/// ```
/// roundel::run(async {
///     let line = line!() + 1;
///     let handle = roundel::spawn(async {});
///     assert_eq!(roundel::task::spawned_at(handle.id()).unwrap().line(), line);
/// });
/// ```
#[must_use]
pub fn spawned_at(task: TaskId) -> Option<&'static Location<'static>> {
    context::current()?.executor.spawned_at(task)
}

/// The tasks of the running loop that have not ended, in the order of their slots; that of the `block_on` is among them.
///
/// ```
/// roundel::run(async {
///     let sleeper = roundel::spawn_named("sleeper", std::future::pending::<()>());
///     let names: Vec<_> = roundel::task::all().into_iter().map(roundel::task::name).collect();
///     assert_eq!(names, [None, Some("sleeper".into())]);
///     sleeper.cancel();
///     assert_eq!(roundel::task::all(), [roundel::task::current().unwrap()]);
/// });
/// ```
#[must_use]
pub fn all() -> Vec<TaskId> {
    context::current().map_or_else(Vec::new, |context| context.executor.all())
}

/// How many tasks of the running loop have not ended; the future of the `block_on` counts as one.
///
/// ```
/// roundel::run(async {
///     let _handle = roundel::spawn(std::future::pending::<()>());
///     assert_eq!(roundel::task::count(), 2);
/// });
/// ```
#[must_use]
pub fn count() -> usize {
    context::current().map_or(0, |context| context.executor.live())
}

/// Lets every other task run first that is ready and was woken by a task, as this one will be. (Whom the kernel, a deadline or
/// another thread has woken is in a second queue, which takes turns with this one.)
///
/// ```
/// use std::{cell::RefCell, rc::Rc};
/// let order = Rc::new(RefCell::new(String::new()));
/// roundel::run(async {
///     let tasks = ["a", "b", "c"].map(|name| {
///         let order = order.clone();
///         roundel::spawn(async move {
///             for _ in 0..3 {
///                 order.borrow_mut().push_str(name);
///                 roundel::yield_now().await;
///             }
///         })
///     });
///     for task in tasks {
///         task.await.unwrap();
///     }
/// });
/// assert_eq!(*order.borrow(), "abcabcabc");
/// ```
///
/// Cancel safety: yes; there is nothing to lose.
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// See [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
