//! The loop in numbers.
//!
//! Facts. A loop that is not watched counts nothing for others, because each count would cost an instruction or two at each
//! step. But some numbers are there anyway: how long its tables are.
//!
//! What follows. [`Metrics`] has these always. What was counted is in [`Metrics::counts`], if the loop is watched.
//!
//! What it does not know: how it is counted.

use std::fmt;

use crate::core::context::Context;
use crate::inspect::counts::Counts;
use crate::inspect::histogram::Fine;
use crate::inspect::loops;
use crate::inspect::task::Count;
use crate::own_pool::OwnPool;

/// The loop in numbers, at one moment.
///
/// ```
/// let runtime = roundel::Runtime::builder().metrics(true).build().unwrap();
/// runtime.block_on(async {
///     roundel::spawn(async { roundel::yield_now().await }).await.unwrap();
/// });
/// let counts = runtime.metrics().counts.unwrap();
/// // The task, and the future of the `block_on`, were polled twice each.
/// assert_eq!((counts.spawned, counts.returned, counts.polls), (2, 2, 4));
/// println!("{}", counts.queue_delay); // p50 410 ns, p99 1.1 µs, max 1.1 µs
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// The tasks that have not ended.
    pub tasks: usize,
    /// The deadlines that tasks wait for.
    pub timers: usize,
    /// The sources of I/O that are registered.
    pub sources: usize,
    /// The threads that the loop has for [`blocking`](crate::blocking).
    pub threads: usize,
    /// The jobs that they run.
    pub jobs_running: usize,
    /// The jobs that wait for a thread.
    pub jobs_waiting: usize,
    /// What was counted: with [`Builder::metrics`](crate::Builder::metrics) or [`Builder::inspect`](crate::Builder::inspect).
    pub counts: Option<Counts>,
}

impl Metrics {
    pub(crate) fn of(context: &Context) -> Metrics {
        let (threads, jobs_running, jobs_waiting) = OwnPool::load(context);
        Metrics {
            tasks: context.executor.live(),
            timers: context.timers.pending().iter().count(),
            sources: context.reactor.sources().len(),
            threads,
            jobs_running,
            jobs_waiting,
            counts: loops::find(context.runtime).map(|seen| seen.table().tally.counts()),
        }
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tasks, timers) = (Count(self.tasks, "task"), Count(self.timers, "timer"));
        write!(f, "now      {tasks}, {timers}, {}; ", Count(self.sources, "source"))?;
        let (running, waiting) = (Count(self.jobs_running, "job"), self.jobs_waiting);
        write!(f, "{}, {running} running, {waiting} waiting", Count(self.threads, "thread"))?;
        match &self.counts {
            Some(counts) => write!(f, "\n{counts}"),
            None => f.write_str("\ncounted  nothing: use `Builder::metrics(true)`, or ROUNDEL_INSPECT=1"),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { spawned, returned, cancelled, panicked, turns, parks, parked, .. } = self;
        writeln!(
            f,
            "tasks    {spawned} spawned, {returned} returned, {cancelled} cancelled, {panicked} panicked"
        )?;
        let (tasks, timers) = (self.wakes_by_tasks, self.wakes_by_timers);
        let (sources, outside) = (self.wakes_by_sources, self.wakes_from_outside);
        writeln!(
            f,
            "wakes    {tasks} by tasks, {timers} by timers, {sources} by sources, {outside} from outside"
        )?;
        let count = |number: u64, what| Count(usize::try_from(number).unwrap_or(usize::MAX), what);
        let (turns, polls, parks) = (count(*turns, "turn"), count(self.polls, "poll"), count(*parks, "park"));
        writeln!(f, "loop     {turns}, {polls}, {parks} of {} in all", Fine(*parked))?;
        writeln!(f, "queued   {}", self.queue_delay)?;
        write!(f, "polled   {}", self.poll_time)
    }
}
