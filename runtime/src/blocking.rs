//! Blocking work on other threads: files, names, databases, long computations.
//!
//! Facts. The loop has one thread. While a task computes or waits in a system call, no other task runs, no timer fires
//! and no byte is read. Much existing code can only block: `std::fs`, `std::thread::sleep`, name lookup, most database
//! drivers, `std::process::Command::output`, a password hash, the scaling of an image.
//!
//! What follows. [`unblock`] hands such a *job* to a thread and returns a future for its result; the loop goes on. Only
//! the closure and its result have to be `Send`, because only they cross the threads. The end of a job is a wake like
//! any other, so a thousand of them ring a sleeping loop once.
//!
//! Contract. A job is handed over when `unblock` is called, not when it is awaited, so two jobs overlap. A job that has
//! not started can be taken back, and then never starts. A job that runs cannot be stopped, only ignored. A panic in a
//! job is delivered by its handle, as with a task, and harms no thread. Under
//! [`virtual_time`](crate::Builder::virtual_time) the clock stands still while a job from this loop waits or runs: for
//! the program, jobs take no time. (So a job must not wait for something that happens only after a sleep of its own
//! loop.)
//!
//! The shutdown of a runtime is bounded. Jobs of `unblock` that have not started are dropped. The shutdown waits for
//! jobs that run, and for those that cleanups still submit, up to the
//! [`shutdown_timeout`](crate::Builder::shutdown_timeout); after that it leaves them alone. A job that waits for work
//! on the loop ([`Remote::spawn`](crate::Remote::spawn)) then gets an error that the runtime is gone.
//!
//! A pool belongs to the process that made it: after a `fork`, the child has to make its own.
//!
//! | method | cancel safe |
//! |---|---|
//! | `Unblock` | an `Unblock` that is no longer polled loses nothing; one that is *dropped* takes its job back, or ignores its result |
//! | `ThreadPool::map` | as if all its `Unblock`s were dropped: jobs that have not started never do |
//!
//! What it does not know: how threads are started, and when.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::core::context::{self, budget};
use crate::core::inbox::{Debt, Inbox};
use crate::core::panics::{contain, swallow};
use crate::error::JoinError;
use crate::own_pool::OwnPool;
use crate::pool::{Call, Called, Job, Pool, Refusal, Settings};
use crate::reply::Reply;

/// Runs `f` on a thread of the running loop's own pool, starting now.
///
/// The pool starts threads on demand and keeps one in reserve. They are named `roundel-blocking-N`, and there are at
/// most [`max_blocking_threads`](crate::Builder::max_blocking_threads) of them; further jobs wait their turn. A thread
/// that has been idle for ten seconds ends.
///
/// ```
/// roundel::run(async {
///     let primes = roundel::blocking::unblock(|| {
///         (2..10_000).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
///     });
///     // Other tasks run in the meantime.
///     assert_eq!(primes.await.unwrap(), 1229);
/// });
/// ```
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
pub fn unblock<F, T>(f: F) -> Unblock<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let pool = context::with("blocking::unblock", |context| OwnPool::of(context).clone());
    let job = Work::new(f, debt());
    let number = pool.submit(Arc::clone(&job) as Arc<dyn Job>);
    Unblock { job, state: Cell::new(JobState::Submitted(number)), pool, _owner: None }
}

/// Another thread is going to answer the running loop. That is counted only for a loop on virtual time.
fn debt() -> Option<Debt> {
    let context = context::current().filter(|context| context.clock.is_virtual())?;
    Some(Inbox::owe(&context.inbox))
}

#[track_caller]
fn refuse_forked(pool: &Pool, what: &str) {
    assert!(
        pool.is_ours(),
        "`{what}` was called on a pool that was made before a `fork`, whose threads the child does not have: make a new one in the child"
    );
}

/// The handle of a job on another thread. Awaiting it gives the job's result.
///
/// Dropping it takes the job back if the job has not started; otherwise the job's result will be dropped.
#[must_use = "dropping an Unblock cancels its job, unless it runs already; to let it go on, say `.detach()`"]
pub struct Unblock<T> {
    pool: Pool,
    /// Keeps a `ThreadPool` from being retired while this job may still have to be submitted to it.
    _owner: Option<ThreadPool>,
    job: Arc<dyn ReplyingJob<T>>,
    state: Cell<JobState>,
}

#[derive(Clone, Copy)]
enum JobState {
    /// The job is not in the pool: there was no place for it, or it was cancelled.
    Outside,
    /// The job is not in the pool, and waits for a place with this number in line. From a poll that finds no place.
    InLine(u64),
    /// The job is in the pool under this number.
    Submitted(u64),
    /// The result has been handed out, or is not wanted.
    Over,
}

impl<T> Unblock<T> {
    /// Cancels the job. If it has not started, its closure is dropped when this returns. If it runs, it goes on, and
    /// its result will be dropped. Either way the `Unblock` now returns an error that says so, unless the result was
    /// already there.
    pub fn cancel(&self) {
        match self.withdraw() {
            Some(job) => job.refuse(Refusal::Cancelled),
            None => self.job.reply().finish(Err(JoinError::job_cancelled())),
        }
    }

    /// Lets the job go on by itself. If it was waiting for a place in its pool, it is put into the pool now, over the
    /// limit.
    pub fn detach(self) {
        if let Some(job) = self.withdraw_from_line() {
            self.job.set_debt(debt());
            self.pool.submit(job);
        }
        self.state.set(JobState::Over);
        self.job.reply().abandon();
    }

    /// Whether awaiting it would give a result at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.job.reply().is_finished()
    }

    /// Puts the job into the pool when there is a place for it.
    fn poll_submit(&self, cx: &Context<'_>) -> Poll<()> {
        // Only a job that is not in the pool has something to do here.
        let place = match self.state.get() {
            JobState::Submitted(_) | JobState::Over => return Poll::Ready(()),
            JobState::Outside if self.job.reply().is_finished() => return Poll::Ready(()),
            JobState::Outside => None,
            JobState::InLine(place) => Some(place),
        };
        // Wait in line for a place. The debt keeps virtual time from going on until the pool has called us.
        let call = Call { waker: Some(cx.waker().clone()), debt: debt() };
        match self.pool.stand_in_line(place, call) {
            Ok(place) => {
                self.state.set(JobState::InLine(place));
                Poll::Pending
            }
            Err(Called) => {
                self.job.set_debt(debt());
                self.state.set(JobState::Submitted(self.pool.redeem(self.job.clone())));
                Poll::Ready(())
            }
        }
    }

    /// The job, if it has not started.
    fn withdraw(&self) -> Option<Arc<dyn Job>> {
        match self.state.get() {
            JobState::Submitted(number) => self.pool.withdraw(number),
            _ => self.withdraw_from_line(),
        }
    }

    /// The job, if it is not in the pool.
    fn withdraw_from_line(&self) -> Option<Arc<dyn Job>> {
        match self.state.get() {
            JobState::Submitted(_) | JobState::Over => return None,
            JobState::InLine(place) => self.pool.leave_line(place),
            JobState::Outside => {}
        }
        self.state.set(JobState::Outside);
        Some(self.job.clone())
    }
}

impl<T> Future for Unblock<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.poll_submit(cx));
        let result = ready!(self.job.reply().poll(cx, "an Unblock"));
        self.state.set(JobState::Over);
        Poll::Ready(result)
    }
}

impl<T> Drop for Unblock<T> {
    fn drop(&mut self) {
        // In a forked child, the pool's lock may be held by a thread that does not exist there.
        if matches!(self.state.get(), JobState::Over) || !self.pool.is_ours() {
            return;
        }
        if !self.job.reply().abandon() {
            self.withdraw().into_iter().for_each(|job| job.refuse(Refusal::Cancelled));
        }
    }
}

impl<T> fmt::Debug for Unblock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unblock").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}

/// A job and the place for its result: one allocation, shared by the pool and the [`Unblock`].
struct Work<F, T> {
    /// `None` when the job has started or was refused.
    todo: Mutex<Option<Todo<F>>>,
    reply: Reply<T>,
}

struct Todo<F> {
    f: F,
    /// Held while the job is in the pool: virtual time waits for it.
    debt: Option<Debt>,
}

/// A job as its [`Unblock`] sees it.
trait ReplyingJob<T>: Job {
    fn reply(&self) -> &Reply<T>;
    /// Replaces the debt that is held while the job is in the pool.
    fn set_debt(&self, debt: Option<Debt>);
}

impl<F, T> Work<F, T> {
    fn new(f: F, debt: Option<Debt>) -> Arc<Work<F, T>> {
        Arc::new(Work { todo: Mutex::new(Some(Todo { f, debt })), reply: Reply::new() })
    }

    fn todo(&self) -> MutexGuard<'_, Option<Todo<F>>> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F, T> Job for Work<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(&self) -> Call {
        let todo = self.todo().take();
        let Some(Todo { f, debt }) = todo else { return Call::default() };
        let waker = self.reply.put(contain(f).map_err(JoinError::job_panicked));
        Call { waker, debt }
    }

    fn refuse(&self, why: Refusal<'_>) {
        let todo = self.todo().take();
        let Some(Todo { f, debt }) = todo else { return };
        swallow(|| drop(f));
        self.reply.finish(Err(match why {
            Refusal::Cancelled => JoinError::job_cancelled(),
            Refusal::NoThread(error) => JoinError::no_thread(error),
        }));
        drop(debt);
    }
}

impl<F, T> ReplyingJob<T> for Work<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn reply(&self) -> &Reply<T> {
        &self.reply
    }

    fn set_debt(&self, debt: Option<Debt>) {
        let old = self.todo().as_mut().and_then(|todo| std::mem::replace(&mut todo.debt, debt));
        drop(old);
    }
}

/// A pool of threads of your own: for jobs that should not delay others, or of which only a few may run at a time.
///
/// The handle is cheap to clone. It belongs to no loop: several loops can share a pool, and it works without one. When
/// the last handle is dropped, the jobs in the pool are still done, and then the threads end. Nothing waits for them.
///
/// ```
/// use roundel::blocking::ThreadPool;
///
/// roundel::run(async {
///     let pool = ThreadPool::new(4).named("hasher");
///     let squares = pool.map(1..=5, |n| n * n).await.unwrap();
///     assert_eq!(squares, [1, 4, 9, 16, 25]);
/// });
/// ```
#[derive(Clone)]
pub struct ThreadPool {
    closer: Arc<Closer>,
}

/// Dropped with the last handle; then the pool takes no more jobs.
struct Closer {
    pool: Pool,
}

impl ThreadPool {
    /// A pool of at most `threads` threads, started on demand.
    ///
    /// # Panics
    ///
    /// If `threads` is zero.
    #[track_caller]
    #[must_use]
    pub fn new(threads: usize) -> ThreadPool {
        assert!(threads > 0, "`ThreadPool::new(0)`: a pool without threads would never do anything");
        ThreadPool { closer: Arc::new(Closer { pool: Pool::new(Settings::new(threads, "roundel-pool")) }) }
    }

    /// Gives the threads that start from now on this name, followed by a number.
    ///
    /// # Panics
    ///
    /// If the name contains a zero byte.
    #[track_caller]
    #[must_use]
    pub fn named(self, prefix: impl Into<Cow<'static, str>>) -> ThreadPool {
        let prefix = prefix.into();
        assert!(!prefix.contains('\0'), "the name of a thread cannot contain a zero byte");
        self.with(|settings| settings.prefix = prefix)
    }

    /// Lets at most this many jobs wait in the pool while all its threads are busy. When that many wait, the job of a
    /// further [`run`](ThreadPool::run) stays in its [`Unblock`] until a place is free: first come, first served,
    /// counted from the first poll. So a producer that awaits its jobs is slowed down, and memory is bounded.
    #[must_use]
    pub fn queue_limit(self, jobs: usize) -> ThreadPool {
        self.with(|settings| settings.waiting = Some(jobs))
    }

    /// Lets a thread end when it has been idle for this long. The default is ten seconds.
    #[must_use]
    pub fn keep_alive(self, idle: Duration) -> ThreadPool {
        self.with(|settings| settings.keep_alive = idle)
    }

    /// Gives the threads that start from now on a stack of this size.
    #[must_use]
    pub fn stack_size(self, bytes: usize) -> ThreadPool {
        self.with(|settings| settings.stack = Some(bytes))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> ThreadPool {
        self.closer.pool.set(change);
        self
    }

    /// Runs `f` on a thread of this pool, starting now, or when the [`Unblock`] is polled and there is a place.
    ///
    /// # Panics
    ///
    /// In a forked child.
    #[track_caller]
    pub fn run<F, T>(&self, f: F) -> Unblock<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let pool = &self.closer.pool;
        refuse_forked(pool, "ThreadPool::run");
        let job = Work::new(f, debt());
        let number = pool.try_submit(&(Arc::clone(&job) as Arc<dyn Job>));
        if number.is_none() {
            job.set_debt(None);
        }
        self.handle(job, number.map_or(JobState::Outside, JobState::Submitted))
    }

    /// Like [`run`](ThreadPool::run), but gives `f` back if there is no place.
    ///
    /// # Panics
    ///
    /// In a forked child.
    #[track_caller]
    pub fn try_run<F, T>(&self, f: F) -> Result<Unblock<T>, F>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let pool = &self.closer.pool;
        refuse_forked(pool, "ThreadPool::try_run");
        if !pool.reserve() {
            return Err(f);
        }
        let job = Work::new(f, debt());
        let number = pool.redeem(Arc::clone(&job) as Arc<dyn Job>);
        Ok(self.handle(job, JobState::Submitted(number)))
    }

    /// Calls `f` with each item, on as many threads as the pool has. The results are in the order of the items. The
    /// first failure in that order is returned; calls that have not started by then never do.
    ///
    /// The next item is taken when there is a place for its job, so with a [`queue_limit`](ThreadPool::queue_limit) a
    /// long iterator costs no memory.
    ///
    /// # Errors
    ///
    /// If a call panicked, or there was no thread.
    ///
    /// # Panics
    ///
    /// In a forked child.
    pub async fn map<I, F, T>(&self, items: I, f: F) -> Result<Vec<T>, JoinError>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let f = Arc::new(f);
        let start = |item| {
            let f = Arc::clone(&f);
            self.run(move || f(item))
        };
        // The job that has no place in the pool, those that are in the pool, and the results so far.
        let mut items = items.into_iter().fuse();
        let (mut outside, mut inside, mut results) = (None, VecDeque::new(), Vec::new());
        poll_fn(|cx| {
            ready!(budget::spend(cx.waker()));
            // Put jobs into the pool until there is no place, no item or no budget left.
            let all_inside = loop {
                let Some(job) = outside.take().or_else(|| items.next().map(start)) else { break true };
                if job.poll_submit(cx).is_pending() {
                    outside = Some(job);
                    break false;
                }
                inside.push_back(job);
                if budget::spend(cx.waker()).is_pending() {
                    break false;
                }
            };
            // Then collect results from the front, in the order of the items.
            while let Some(job) = inside.front_mut() {
                results.push(ready!(Pin::new(job).poll(cx))?);
                inside.pop_front();
            }
            if all_inside { Poll::Ready(Ok(std::mem::take(&mut results))) } else { Poll::Pending }
        })
        .await
    }

    fn handle<T>(&self, job: Arc<dyn ReplyingJob<T>>, state: JobState) -> Unblock<T> {
        let (pool, _owner) = (self.closer.pool.clone(), Some(self.clone()));
        Unblock { pool, _owner, job, state: Cell::new(state) }
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        if self.pool.is_ours() {
            self.pool.retire();
        }
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ThreadPool").field(&self.closer.pool).finish()
    }
}
