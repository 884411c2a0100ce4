//! Threads that do what would block the loop.
//!
//! Facts. A thread costs some ten microseconds to start and nothing while it waits. The operating system may
//! refuse one. A job may block for ever, or panic.
//!
//! What follows. Jobs wait in one queue, under one lock. Up to a limit, one idle thread is kept in reserve: a
//! job that takes the last idle thread starts another one, and a thread that has been idle for long ends. A job that
//! panics harms nothing else.
//!
//! The reserve also makes one job after another faster. With a single thread, the thread and the loop would
//! each sleep on a processor of its own, and each job would have to wake both processors. Two threads in turn can run where
//! the loop has just gone to sleep. (On two virtual processors: 17 µs there and back instead of 45.)
//!
//! ```text
//!   submit ──► queue ──► a thread: run it ──► count it out ──► wake the task ──► the next job
//!                │                                                                │ none
//!                └─ withdraw: it never starts                 ended ◄── too long ─┴─ idle
//! ```
//!
//! The task that a result wakes may submit the next job at once, before this thread has come back to the queue. So a
//! thread counts its job out *first*, and that submit finds it idle instead of starting another.
//!
//! A pool may have a limit of jobs that wait. Beyond it, callers stand in *line*, as wakers. A place that becomes
//! free is kept for the first caller, which takes it, or leaves and passes it on (invariant 13).
//!
//! Invariants. Every thread that counts as idle is going to look at the queue before it sleeps. A pool that has
//! no thread and cannot start one has no jobs: they have been refused. Jobs are run, wakers are woken and debts are
//! dropped outside the lock.
//!
//! What it does not know: futures, tasks, results.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::core::clock::Stopwatch;
use crate::core::inbox::Debt;
use crate::core::panics::{self, swallow};

/// A piece of work, as the pool sees it. Neither method panics.
pub(crate) trait Job: Send + Sync {
    /// Does it, and returns the call that tells of it.
    fn run(&self) -> Call;
    /// Drops it.
    fn refuse(&self, why: Refusal<'_>);
}

/// Why a job is not run.
#[derive(Clone, Copy)]
pub(crate) enum Refusal<'a> {
    /// It was withdrawn, or the pool is closed.
    Cancelled,
    /// There is no thread, and this is why.
    NoThread(&'a io::Error),
}

/// A waker to wake, and the debt that is settled after the wake.
#[derive(Default)]
pub(crate) struct Call {
    pub(crate) waker: Option<Waker>,
    pub(crate) debt: Option<Debt>,
}

impl Call {
    fn is_empty(&self) -> bool {
        self.waker.is_none() && self.debt.is_none()
    }

    pub(crate) fn make(self) {
        self.waker.into_iter().for_each(panics::wake);
        drop(self.debt);
    }
}

/// How a pool starts its threads, and how much it takes on.
pub(crate) struct Settings {
    /// How many threads at most.
    pub(crate) threads: usize,
    /// How many jobs may wait when all threads are busy; `None` for any number.
    pub(crate) waiting: Option<usize>,
    pub(crate) prefix: Cow<'static, str>,
    pub(crate) keep_alive: Duration,
    pub(crate) stack: Option<usize>,
}

impl Settings {
    pub(crate) fn new(threads: usize, prefix: &'static str) -> Settings {
        let (prefix, keep_alive) = (Cow::Borrowed(prefix), Duration::from_secs(10));
        Settings { threads, waiting: None, prefix, keep_alive, stack: None }
    }

    fn thread(&self, number: u64) -> thread::Builder {
        let builder = thread::Builder::new().name(format!("{}-{number}", self.prefix));
        match self.stack {
            Some(size) => builder.stack_size(size),
            None => builder,
        }
    }
}

/// A pool, as its callers see it.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Inner>,
}

/// A pool, as its callers and its threads share it.
struct Inner {
    state: Mutex<State>,
    /// For idle threads: there is a job, or the end.
    work: Condvar,
    /// For the shutdown: the last thread has left.
    ended: Condvar,
    /// The process that built it. After a fork the child's copy has no threads, and its lock may be locked.
    process: u32,
}

struct State {
    settings: Settings,
    /// The jobs that wait for a thread, and the callers that wait for a place, in the order of their numbers.
    queue: BTreeMap<u64, Arc<dyn Job>>,
    line: BTreeMap<u64, Call>,
    /// How many places are kept for callers that stood in line and have not come yet.
    kept: usize,
    /// How many jobs run.
    running: usize,
    threads: usize,
    /// How many threads have no job, those that have just been started included.
    idle: usize,
    handles: BTreeMap<u64, JoinHandle<()>>,
    /// The last thread that left. The next one that leaves joins it, or the shutdown does.
    left: Option<JoinHandle<()>>,
    /// For jobs, places in the line, and threads.
    last_number: u64,
    last_thread: u64,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(settings: Settings) -> Pool {
        let state = State {
            settings,
            queue: BTreeMap::new(),
            line: BTreeMap::new(),
            kept: 0,
            running: 0,
            threads: 0,
            idle: 0,
            handles: BTreeMap::new(),
            left: None,
            last_number: 0,
            last_thread: 0,
            closed: false,
        };
        let (work, ended) = (Condvar::new(), Condvar::new());
        let shared = Inner { state: Mutex::new(state), work, ended, process: std::process::id() };
        Pool { shared: Arc::new(shared) }
    }

    /// Puts a job into the queue, over the limit if need be. Returns the number by which it can be withdrawn.
    pub(crate) fn submit(&self, job: Arc<dyn Job>) -> u64 {
        self.admit(self.lock(), job)
    }

    /// Puts a job into the queue if there is a place for it.
    pub(crate) fn try_submit(&self, job: &Arc<dyn Job>) -> Option<u64> {
        let state = self.lock();
        state.has_place().then(|| self.admit(state, Arc::clone(job)))
    }

    /// Whether there is a place now; then it is kept until the caller comes with [`redeem`](Pool::redeem).
    pub(crate) fn reserve(&self) -> bool {
        let mut state = self.lock();
        let open = state.has_place();
        state.kept += usize::from(open);
        open
    }

    /// Puts a job into the place that was kept for it.
    pub(crate) fn redeem(&self, job: Arc<dyn Job>) -> u64 {
        let mut state = self.lock();
        state.kept -= 1;
        self.admit(state, job)
    }

    /// Stands in line, at the end or again at `place`. `call` comes when it is our turn. `Ready` if we have been called
    /// already, and have to come now.
    pub(crate) fn stand_in_line(&self, place: Option<u64>, call: Call) -> Result<u64, Called> {
        let mut state = self.lock();
        let place = match place {
            Some(place) if !state.line.contains_key(&place) => return Err(Called),
            Some(place) => place,
            None if state.has_place() => {
                state.kept += 1;
                return Err(Called);
            }
            None => state.next_number(),
        };
        let old = state.line.insert(place, call);
        drop(state);
        drop(old);
        Ok(place)
    }

    /// Leaves the line. A caller that has been called already passes the place on.
    pub(crate) fn leave_line(&self, place: u64) {
        let mut state = self.lock();
        let call = state.line.remove(&place);
        state.kept -= usize::from(call.is_none());
        let next = state.call_next();
        drop(state);
        drop(call);
        next.into_iter().for_each(Call::make);
    }

    /// Takes a job out that has not started.
    pub(crate) fn withdraw(&self, number: u64) -> Option<Arc<dyn Job>> {
        let mut state = self.lock();
        let job = state.queue.remove(&number);
        let next = state.call_next();
        drop(state);
        next.into_iter().for_each(Call::make);
        job
    }

    /// Changes the settings; they hold for the threads that start from now on.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut state = self.lock();
        change(&mut state.settings);
        let next = state.call_next();
        drop(state);
        next.into_iter().for_each(Call::make);
    }

    /// The threads end when the queue is empty.
    pub(crate) fn retire(&self) {
        self.lock().closed = true;
        self.shared.work.notify_all();
    }

    /// Drops the jobs that wait. Later jobs find the threads that are free.
    pub(crate) fn clear(&self) {
        let waiting = std::mem::take(&mut self.lock().queue);
        waiting.into_values().for_each(|job| job.refuse(Refusal::Cancelled));
    }

    /// No job starts any more: the jobs that wait are dropped, and so are later ones.
    pub(crate) fn close(&self) {
        self.retire();
        self.clear();
    }

    /// Waits until all threads of a closed pool have ended, but not for ever. (A thread that has left the pool still runs the
    /// destructors of its thread-locals.)
    pub(crate) fn wait(&self, limit: Duration) {
        let (state, began) = (self.lock(), Stopwatch::now());
        let waited = self.shared.ended.wait_timeout_while(state, limit, |state| state.threads > 0);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let last = state.left.take().filter(|_| !timeout.timed_out());
        drop(state);
        last.into_iter().for_each(|last| join_within(last, limit.saturating_sub(began.elapsed())));
    }

    /// Whether this process has the pool's threads, and not a copy of their memory.
    pub(crate) fn is_ours(&self) -> bool {
        self.shared.process == std::process::id()
    }

    /// How many threads there are, how many jobs they run, and how many jobs wait for a thread.
    #[cfg(feature = "diagnostics")]
    pub(crate) fn load(&self) -> (usize, usize, usize) {
        let state = self.lock();
        (state.threads, state.running, state.queue.len())
    }

    fn admit(&self, mut state: MutexGuard<'_, State>, job: Arc<dyn Job>) -> u64 {
        let number = state.next_number();
        if state.closed {
            drop(state);
            job.refuse(Refusal::Cancelled);
            return number;
        }
        state.queue.insert(number, job);
        let (jobs, idle) = (state.queue.len(), state.idle);
        // This job would take the last idle thread, so start another first.
        if jobs >= idle && state.threads < state.settings.threads {
            self.hire(state);
        } else {
            drop(state);
        }
        if jobs <= idle {
            // Outside the lock, or the thread would wake only to wait for it.
            self.shared.work.notify_one();
        }
        number
    }

    /// Starts a thread. If that fails, the job waits for the threads that exist. If there is none, all jobs are refused.
    fn hire(&self, mut state: MutexGuard<'_, State>) {
        // It counts as idle from the start, so that a job need not start a second one.
        let (pool, number) = (self.clone(), state.last_thread + 1);
        match state.settings.thread(number).spawn(move || pool.work(number)) {
            Ok(handle) => {
                state.threads += 1;
                state.idle += 1;
                state.last_thread = number;
                state.handles.insert(number, handle);
            }
            Err(_) if state.threads > 0 => {}
            // No thread at all: the jobs would wait for ever.
            Err(error) => {
                let refused = std::mem::take(&mut state.queue);
                let next = state.call_next();
                drop(state);
                refused.into_values().for_each(|job| job.refuse(Refusal::NoThread(&error)));
                next.into_iter().for_each(Call::make);
            }
        }
    }

    /// The life of a thread.
    fn work(&self, thread: u64) {
        let mut next = self.wait_for_job(self.lock(), thread);
        while let Some(job) = next {
            let call = job.run();
            swallow(|| drop(job));
            next = self.next_job(thread, call);
        }
    }

    /// Counts the last job out, makes its call and those of the line, and takes the next job.
    fn next_job(&self, thread: u64, call: Call) -> Option<Arc<dyn Job>> {
        let mut state = self.lock();
        state.running -= 1;
        // Under one lock: the last job is over, its place goes to the line, and the next job is ours.
        let next = state.call_next();
        let job = state.take_job();
        state.idle += usize::from(job.is_none());
        // Outside the lock: tell of both.
        if !call.is_empty() || !next.is_empty() {
            drop(state);
            call.make();
            next.into_iter().for_each(Call::make);
            if job.is_some() {
                return job;
            }
            state = self.lock();
        }
        job.or_else(|| self.wait_for_job(state, thread))
    }

    /// An idle thread takes a job, if need be after a while, or ends.
    fn wait_for_job(&self, state: MutexGuard<'_, State>, thread: u64) -> Option<Arc<dyn Job>> {
        let keep_alive = state.settings.keep_alive;
        let nothing_to_do = |state: &mut State| state.queue.is_empty() && !state.closed;
        let waited = self.shared.work.wait_timeout_while(state, keep_alive, nothing_to_do);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        let job = state.take_job();
        if job.is_none() {
            self.leave(state, thread);
        }
        job
    }

    /// A thread ends, and joins the one that ended before it. So to join the last one is to join all.
    fn leave(&self, mut state: MutexGuard<'_, State>, thread: u64) {
        state.threads -= 1;
        let own = state.handles.remove(&thread);
        let before = std::mem::replace(&mut state.left, own);
        if state.threads == 0 {
            self.shared.ended.notify_all();
        }
        drop(state);
        before.into_iter().for_each(join);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Pool::stand_in_line`] says to a caller that need not stand there: a place is kept for it.
pub(crate) struct Called;

fn join(thread: JoinHandle<()>) {
    // Its jobs cannot have made it panic.
    drop(thread.join());
}

/// To join a thread takes as long as the destructors of its thread-locals do, so another thread does that. If that thread
/// cannot be started, nothing joins.
fn join_within(thread: JoinHandle<()>, limit: Duration) {
    let joined = Arc::new((Mutex::new(false), Condvar::new()));
    let tell = joined.clone();
    let joins = move || {
        join(thread);
        *tell.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        tell.1.notify_one();
    };
    let Ok(joiner) = thread::Builder::new().name("roundel-joiner".into()).spawn(joins) else { return };
    let (is_joined, changed) = &*joined;
    // Not a channel of `std`: to wait for one, this thread would make itself a handle, which valgrind calls lost.
    let guard = is_joined.lock().unwrap_or_else(PoisonError::into_inner);
    let (guard, _) = changed
        .wait_timeout_while(guard, limit, |is_joined| !*is_joined)
        .unwrap_or_else(PoisonError::into_inner);
    let is_joined = *guard;
    drop(guard);
    if is_joined {
        join(joiner);
    }
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Whether there is a place for a new caller. It overtakes no other: while callers stand in line, no place is free,
    /// because each place that becomes free is kept for the line at once.
    fn has_place(&self) -> bool {
        let Settings { threads, waiting, .. } = self.settings;
        waiting.is_none_or(|waiting| {
            self.running + self.queue.len() + self.kept < threads.saturating_add(waiting)
        })
    }

    /// Keeps the free places for the first callers in line, and returns their calls.
    fn call_next(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        while !self.line.is_empty() && self.has_place() {
            self.kept += 1;
            calls.extend(self.line.pop_first().map(|(_, call)| call));
        }
        calls
    }

    fn take_job(&mut self) -> Option<Arc<dyn Job>> {
        let (_, job) = self.queue.pop_first()?;
        self.running += 1;
        Some(job)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Pool")
            .field("threads", &state.threads)
            .field("running", &state.running)
            .field("waiting", &state.queue.len())
            .finish_non_exhaustive()
    }
}
