//! Starting tasks, giving way, and asking which task is running.
//!
//! Facts. A future does nothing until it is polled; a *task* is a future that the loop polls. Calling an `async fn`
//! starts nothing; [`spawn`] does.
//!
//! Contract. `spawn` returns at once. The task goes to the back of the queue of tasks that were spawned or woken by
//! tasks, and is first polled when its turn comes. The loop owns it: it runs even if its handle is dropped.
//! [`yield_now`] moves the running task to the back of that queue. Awaiting a future that is ready does not give way at
//! all.
//!
//! What it does not know: how a task is stored or polled.

mod set;

use std::borrow::Cow;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::core::context::{self, budget};
use crate::core::executor::{Cleanup, Executor};
pub use crate::core::id::TaskId;
use crate::core::panics::swallow;
use crate::core::probe::Event;
use crate::core::waker;
use crate::join::JoinHandle;
use crate::judge;
pub use crate::local::LocalKey;
#[doc(inline)]
pub use crate::task_local;
pub use set::TaskSet;

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
    watch_output::<F::Output>(&executor, id);
    JoinHandle::new(executor, id)
}

/// Like [`spawn`], with a name by which people can recognise the task.
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
    watch_output::<F::Output>(&executor, id);
    // The conversion is foreign code, so it comes before the extras are borrowed.
    let name = name.into();
    executor.extras.with(id, |extra| extra.name = Some(name));
    executor.probe.emit(|| Event::Named { task: id });
    JoinHandle::new(executor, id)
}

/// Tasks are started here, and `task::set` keeps them.
impl<T: 'static> TaskSet<T> {
    /// Starts a task on the running loop, as [`spawn`] does.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> TaskId
    where
        F: Future<Output = T> + 'static,
    {
        let handle = spawn(self.member(future));
        self.admit(handle)
    }

    /// Starts a task with a name by which people can recognise it, as [`spawn_named`] does.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn spawn_named<F>(&mut self, name: impl Into<Cow<'static, str>>, future: F) -> TaskId
    where
        F: Future<Output = T> + 'static,
    {
        let handle = spawn_named(name, self.member(future));
        self.admit(handle)
    }
}

/// In a loop that is watched, leaves word how to tell whether the output is an error.
#[inline]
fn watch_output<T: 'static>(executor: &Executor, id: TaskId) {
    if executor.probe.is_on()
        && executor.lives(id)
        && let Some(judge) = judge::of::<T>()
    {
        executor.extras.with(id, |extra| extra.judge = Some(judge));
    }
}

/// Runs a cleanup after its future was dropped. If its task is being cancelled, that task goes on as the cleanup, so
/// that a task that awaits the handle awaits the cleanup. Otherwise the cleanup becomes a task of its own. Outside a
/// loop it is dropped.
pub(crate) fn leave_cleanup(cleanup: Cleanup) {
    let Some(context) = context::current() else { return swallow(|| drop(cleanup)) };
    if let Err(cleanup) = context.executor.drops.leave_cleanup(cleanup) {
        let task = spawn(cleanup);
        context.executor.mark_as_cleanup(task.id());
        task.detach();
    }
}

/// The running task; `None` outside a loop.
///
/// While a future is being dropped, that is the task to which the future belongs.
#[must_use]
pub fn current() -> Option<TaskId> {
    context::current()?.executor.running()
}

/// The name that a task of the running loop was given by [`spawn_named`].
#[must_use]
pub fn name(task: TaskId) -> Option<Cow<'static, str>> {
    context::current()?.executor.extras.get(task, |extra| extra.name.clone())
}

/// Where in the program a task of the running loop was spawned. `None` for a task that is gone, or that is running
/// right now.
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
    context::current()?.executor.origin(task).map(|(place, _)| place)
}

/// Whether this is the waker of a task of the running loop that has ended.
pub(crate) fn is_gone(waker: &Waker) -> bool {
    let (Some(id), Some(context)) = (waker::number(waker), context::current()) else { return false };
    id.runtime() == context.runtime && !context.executor.lives(id)
}

/// The tasks of the running loop that have not ended, in the order of their slots. The future of the `block_on` is one.
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

/// Gives way: every task that is ready and was woken by a task runs before this one goes on. (Tasks that were woken by
/// the kernel, a deadline or another thread are in a second queue; the two queues take turns.)
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
/// Cancel safety: yes; nothing is lost.
pub fn yield_now() -> YieldNow {
    YieldNow { polls: 0 }
}

/// See [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    /// How often it was polled, up to three.
    polls: u8,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.polls {
            0 => cx.waker().wake_by_ref(),
            1 => {}
            // Polled again after it was ready: costs budget, so that a loop of such polls gives way as well.
            _ => return poll_budget(cx),
        }
        self.polls += 1;
        if self.polls == 1 { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// Counts one operation against the budget of the running task. Use it in futures of your own that may be ready many
/// times in a row; the futures of this crate count themselves.
///
/// The rule: each await of a future of this crate is an operation. A poll of a task may do 128 of them, and the next
/// one gives way. Then this returns `Pending`: the task has been woken, and will be polled again after the others. Your
/// future should return `Pending` as well, before it has done anything. Outside a loop there is no budget, and this is
/// always ready.
///
/// [`timeout`](crate::time::timeout), `select!`, `race` and the other combinators poll each of their futures with at
/// least half a budget, and pay for what it used. So they never mistake a future that has only run out of budget for
/// one that is not ready. A combinator of another crate that polls just once, like `now_or_never`, cannot tell the two
/// apart.
///
/// ```
/// use std::task::{Poll, ready};
/// roundel::run(async {
///     // An endless stream of zeros that does not hold up the other tasks.
///     let mut zeros = std::iter::repeat(0);
///     let next = std::future::poll_fn(|cx| {
///         ready!(roundel::task::poll_budget(cx));
///         Poll::Ready(zeros.next())
///     });
///     assert_eq!(next.await, Some(0));
/// });
/// ```
pub fn poll_budget(cx: &Context<'_>) -> Poll<()> {
    budget::spend(cx.waker())
}

/// The same for an `async fn`: it goes on at once while there is budget, and gives way when there is none.
///
/// ```
/// roundel::run(async {
///     let bystander = roundel::spawn(async {});
///     while !bystander.is_finished() {
///         roundel::task::spend_budget().await;
///     }
/// });
/// ```
pub async fn spend_budget() {
    std::future::poll_fn(|cx| poll_budget(cx)).await;
}
