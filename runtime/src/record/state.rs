//! What stood where after each event of a trace.
//!
//! Facts. The loop's state follows from its events: a task is queued by a spawn or a wake and leaves the queue when it is
//! polled; a timer is set until it fires; a wait lasts until it ends. Which of the two lanes a task is queued in follows from
//! the step of the turn.
//!
//! What follows. The state is computed from the trace alone, one event after the other. The steps 3 to 5 of a turn begin
//! with the first thing that no task does. A task that is over stays in its lane until the loop would have passed over it,
//! because that changes which lane is next.
//!
//! Contract. For a trace of a whole run, this is the state that the loop had at each poll. After a gap, and with a shuffled
//! order, it is only what can be known: a task that is polled leaves the queue, wherever it stood.
//!
//! What it does not know: times, texts, the loop itself.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::record::trace::Trace;
use crate::record::what::What;

/// A step of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// Before the first turn, or after the future of the `block_on` is done.
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
}

/// A timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timer {
    /// The resource.
    pub timer: u32,
    /// Its deadline, in nanoseconds since the runtime was built.
    pub deadline: u64,
    /// The task that has set it.
    pub task: Option<u32>,
}

/// A wait that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiter {
    /// The task that waits, if it is one.
    pub task: Option<u32>,
    /// The resource that it waits for.
    pub on: u32,
    /// The task that had it when the wait began.
    pub holder: Option<u32>,
}

/// The state of the loop after some events of a trace: feed it with one after the other.
#[derive(Clone, Debug, Default)]
pub struct State {
    is_shuffled: bool,
    /// Set by a gap: what is in the lanes may be wrong from then on.
    is_partial: bool,
    step: Step,
    turn: u64,
    /// The tasks that were spawned nowhere: the futures of `block_on`s. When one is over, so is its last turn.
    roots: HashSet<u32>,
    /// The tasks that no task has spawned.
    orphans: HashSet<u32>,
    running: Option<u32>,
    tasks: VecDeque<u32>,
    outside: VecDeque<u32>,
    outside_is_next: bool,
    /// The tasks that are over and still in a lane.
    over: HashSet<u32>,
    /// By deadline, and then in the order in which they were set.
    timers: BTreeMap<(u64, u64), Timer>,
    /// Where a timer stands among them.
    keys: HashMap<u32, (u64, u64)>,
    /// In the order in which they began.
    waiters: BTreeMap<u64, Waiter>,
    /// The waits of a task for a resource.
    waits: HashMap<(Option<u32>, u32), Vec<u64>>,
    /// How many timers and waits there have been.
    count: u64,
}

impl State {
    /// Before the first event of a trace.
    #[must_use]
    pub fn new(trace: &Trace) -> State {
        let orphans = (0..).zip(trace.tasks()).filter(|(_, task)| task.by.is_none());
        let roots = orphans.clone().filter(|(_, task)| task.at.is_none()).map(|(index, _)| index).collect();
        let orphans = orphans.map(|(index, _)| index).collect();
        State { is_shuffled: trace.is_shuffled(), roots, orphans, ..State::default() }
    }

    /// The number of the turn; 0 before the first one.
    #[must_use]
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// The step of the turn.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// The task that is being polled.
    #[must_use]
    pub fn running(&self) -> Option<u32> {
        self.running
    }

    /// The lane of the tasks that were spawned or woken by tasks, from its front.
    pub fn tasks_lane(&self) -> impl Iterator<Item = u32> {
        self.tasks.iter().copied().filter(|task| !self.over.contains(task))
    }

    /// The lane of the tasks that were woken from outside, from its front.
    pub fn outside_lane(&self) -> impl Iterator<Item = u32> {
        self.outside.iter().copied().filter(|task| !self.over.contains(task))
    }

    /// The timers that are set, in the order in which they will fire.
    pub fn timers(&self) -> impl Iterator<Item = Timer> {
        self.timers.values().copied()
    }

    /// The waits that have not ended, in the order in which they began.
    pub fn waiters(&self) -> impl Iterator<Item = Waiter> {
        self.waiters.values().copied()
    }

    /// Goes on to the state after the next event.
    pub fn apply(&mut self, what: &What) {
        self.go_on(what);
        match *what {
            What::Turn { number } => self.turn = number,
            What::Spawn { task } | What::Wake { task, .. } => self.queue(task),
            What::Poll { task } => {
                self.pop(task);
                self.running = Some(task);
            }
            What::Polled { .. } => self.running = None,
            What::Done { task, .. } => self.end(task),
            What::Set { timer, deadline, task } => {
                self.count += 1;
                self.keys.insert(timer, (deadline, self.count));
                self.timers.insert((deadline, self.count), Timer { timer, deadline, task });
            }
            What::Fired { timer } | What::Unset { timer } => {
                self.keys.remove(&timer).and_then(|key| self.timers.remove(&key));
            }
            What::Wait { task, on, holder } => {
                self.count += 1;
                self.waits.entry((task, on)).or_default().push(self.count);
                self.waiters.insert(self.count, Waiter { task, on, holder });
            }
            What::Waited { task, on } => self.stop_waiting(task, on),
            What::Gap { .. } => self.is_partial = true,
            _ => {}
        }
    }

    /// Which step the event belongs to.
    fn go_on(&mut self, what: &What) {
        let step = match what {
            What::Turn { .. } => return self.step = Step::Poll,
            What::Park { .. } | What::Unpark | What::Ready { .. } => Step::Kernel,
            What::Fired { .. } => Step::Timers,
            // What no task does comes from other threads, if no timer has fired and no source was reported. (The first task
            // of a `block_on` comes before its first turn.)
            What::Wake { by: None, cause: None, .. } | What::Cancel { by: None, .. } => Step::Mail,
            What::Spawn { task } if self.orphans.contains(task) => Step::Mail,
            _ => return,
        };
        if self.step != Step::Outside {
            self.step = self.step.max(step);
        }
    }

    fn queue(&mut self, task: u32) {
        // The steps that look outside fill the outside lane, whatever queues the task there.
        let lane = if self.step > Step::Poll { &mut self.outside } else { &mut self.tasks };
        lane.push_back(task);
    }

    /// A task is polled: it leaves its lane, and so do those before it that are over.
    fn pop(&mut self, task: u32) {
        while !self.is_shuffled && !self.is_partial {
            let Some(next) = self.next() else { break };
            if next == task {
                return;
            }
            if !self.over.remove(&next) {
                // The trace does not tell the whole story: from here on the order is not known.
                self.is_partial = true;
                self.tasks.push_front(next);
            }
        }
        self.tasks.retain(|queued| *queued != task);
        self.outside.retain(|queued| *queued != task);
    }

    /// Takes what is next out of the queue, by the rules of `core/slots/queue.rs`.
    fn next(&mut self) -> Option<u32> {
        if self.outside.is_empty() {
            return self.tasks.pop_front();
        }
        if !self.tasks.is_empty() {
            self.outside_is_next = !self.outside_is_next;
            if !self.outside_is_next {
                return self.tasks.pop_front();
            }
        }
        self.outside.pop_front()
    }

    fn end(&mut self, task: u32) {
        if self.tasks.contains(&task) || self.outside.contains(&task) {
            self.over.insert(task);
        }
        if self.roots.contains(&task) {
            self.step = Step::Outside;
        }
    }

    fn stop_waiting(&mut self, task: Option<u32>, on: u32) {
        let Some(waits) = self.waits.get_mut(&(task, on)) else { return };
        if !waits.is_empty() {
            self.waiters.remove(&waits.remove(0));
        }
        if waits.is_empty() {
            self.waits.remove(&(task, on));
        }
    }
}
