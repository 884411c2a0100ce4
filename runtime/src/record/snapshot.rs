//! The state of a loop at one moment, as values: what a trace begins with if its recorder had to begin in the middle.
//!
//! Facts. What follows from the events of a whole run cannot follow from its last part alone.
//!
//! What it does not know: how it is written down, and how it changes.

/// A step of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// Before the first turn, after the future of the `block_on` is done, or where the shutdown runs no turn.
    #[default]
    Outside,
    /// 1: tasks are polled.
    Poll,
    /// 3: the kernel is asked. (In step 2, in which the loop decides how long it may wait, nothing happens.)
    Kernel,
    /// 4: what other threads have sent is taken in.
    Mail,
    /// 5: timers that are due are fired.
    Timers,
}

impl Step {
    /// The step's number in the turn; 0 outside of a turn.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Step::Outside => 0,
            Step::Poll => 1,
            Step::Kernel => 3,
            Step::Mail => 4,
            Step::Timers => 5,
        }
    }

    /// The step that has this number.
    pub(crate) fn from_number(number: u64) -> Option<Step> {
        [Step::Outside, Step::Poll, Step::Kernel, Step::Mail, Step::Timers]
            .into_iter()
            .find(|step| u64::from(step.number()) == number)
    }
}

/// A timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timer<T = u32, R = u32> {
    /// The resource.
    pub timer: R,
    /// Its deadline, in nanoseconds since the runtime was built.
    pub deadline: u64,
    /// The task that has set it.
    pub task: Option<T>,
}

/// A wait that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiter<T = u32, R = u32> {
    /// The task that waits, if it is one.
    pub task: Option<T>,
    /// The resource that it waits for.
    pub on: R,
    /// The task that had it when the wait began.
    pub holder: Option<T>,
}

/// What stood where before the first event of a trace whose recorder began in the middle. In a
/// [`Trace`](crate::record::Trace), tasks and resources are the indices of its tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot<T = u32, R = u32> {
    /// The step of the turn.
    pub step: Step,
    /// The number of the turn; 0 before the first one that was recorded.
    pub turn: u64,
    /// The step of the shutdown; 0 before it.
    pub shutdown: u32,
    /// Whether the order in the lanes is not known for certain.
    pub is_partial: bool,
    /// The task that was running.
    pub running: Option<T>,
    /// Whether the tasks lane is next, if neither lane is empty: the last poll that had a choice took from the other.
    pub outside_is_next: bool,
    /// How many tasks had not ended.
    pub live: u64,
    /// The lane of the tasks that were spawned or woken by tasks, from its front, with those that are over.
    pub tasks: Vec<T>,
    /// The lane of the tasks that were woken from outside, the same.
    pub outside: Vec<T>,
    /// Those in the lanes that are over. The loop passes over them.
    pub over: Vec<T>,
    /// The timers, in the order in which they were set.
    pub timers: Vec<Timer<T, R>>,
    /// The waits, in the order in which they began.
    pub waiters: Vec<Waiter<T, R>>,
    /// The sources, in the order in which they were registered.
    pub sources: Vec<R>,
}

impl<T: Copy, R: Copy> Snapshot<T, R> {
    /// The same, with other names for tasks and resources.
    pub(crate) fn map<U, S>(&self, t: impl Fn(T) -> U, r: impl Fn(R) -> S) -> Snapshot<U, S> {
        let all = |tasks: &[T]| tasks.iter().map(|task| t(*task)).collect();
        let timer = |timer: &Timer<T, R>| Timer {
            timer: r(timer.timer),
            deadline: timer.deadline,
            task: timer.task.map(&t),
        };
        let waiter = |waiter: &Waiter<T, R>| Waiter {
            task: waiter.task.map(&t),
            on: r(waiter.on),
            holder: waiter.holder.map(&t),
        };
        Snapshot {
            step: self.step,
            turn: self.turn,
            shutdown: self.shutdown,
            is_partial: self.is_partial,
            running: self.running.map(&t),
            outside_is_next: self.outside_is_next,
            live: self.live,
            tasks: all(&self.tasks),
            outside: all(&self.outside),
            over: all(&self.over),
            timers: self.timers.iter().map(timer).collect(),
            waiters: self.waiters.iter().map(waiter).collect(),
            sources: self.sources.iter().map(|source| r(*source)).collect(),
        }
    }
}
