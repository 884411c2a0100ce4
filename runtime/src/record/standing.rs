//! What stands where in a loop, as far as its events tell.
//!
//! Facts. The loop's state follows from its events: a task is queued by a spawn or a wake and leaves the queue when it is
//! polled; a timer is set until it fires; a wait lasts until it ends. Which of the two lanes a task is queued in follows from
//! the step of the turn. A ring of events needs this state for the events that leave it, at a few instructions for each.
//!
//! What follows. The rules stand here once. They serve a trace in memory and a ring of events. What is known of a task is a
//! byte at the task's place in a table, so most events look nothing up.
//!
//! The steps 3 to 5 of a turn begin with the first thing that no task does. A task that is over stays in its lane until the
//! loop would have passed over it, because that changes which lane is next.
//!
//! What it does not know: times, texts, the loop itself, traces.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;

use crate::record::format::{ResourceNo, TaskNo};
use crate::record::snapshot::{Snapshot, Step, Timer, Waiter};
use crate::record::what::What;
use crate::waits::Numbered;

/// Something that has a place in a table without many holes.
pub(crate) trait Place: Copy + Eq + Hash {
    fn place(self) -> usize;
}

/// A task or resource of a trace.
impl Place for u32 {
    fn place(self) -> usize {
        self as usize
    }
}

/// A task of a loop. Its slot has no other tenant while it lives or is queued.
impl Place for TaskNo {
    fn place(self) -> usize {
        self.slot as usize
    }
}

/// Set while the task stands in a lane.
const QUEUED: u8 = 1;
/// Set when a task that stands in a lane is over; cleared when the loop passes over it.
const OVER: u8 = 2;
/// Set for the future of a `block_on`. When it is over, so is its last turn.
const ROOT: u8 = 4;
/// Set for a task that no task has spawned.
const ORPHAN: u8 = 8;

/// What stands where after some events. `T` is a task, and `R` a resource.
#[derive(Clone, Debug)]
pub(crate) struct Standing<T, R> {
    is_shuffled: bool,
    /// Set by a gap: what is in the lanes may be wrong from then on.
    is_partial: bool,
    /// Set while no event has come since a snapshot: a gap then stands for what the snapshot tells.
    is_snapshot: bool,
    pub(crate) step: Step,
    pub(crate) turn: u64,
    pub(crate) shutdown: u32,
    /// What is known of each task, by its place.
    marks: Vec<u8>,
    pub(crate) running: Option<T>,
    /// How many of those in the lanes are over.
    over: usize,
    tasks: VecDeque<T>,
    outside: VecDeque<T>,
    outside_is_next: bool,
    /// How many tasks have not ended.
    live: u64,
    /// By deadline, and then in the order in which they were set.
    timers: BTreeMap<(u64, u64), Timer<T, R>>,
    /// Where a timer stands among them.
    keys: HashMap<R, (u64, u64), Numbered>,
    /// The waits of each task, by its place.
    waits: Vec<(Option<T>, Waits<T, R>)>,
    /// Those of code that is no task of the loop, and of tasks that are over: a task may leave word at a source, and end.
    others: Vec<(Option<T>, Waits<T, R>)>,
    /// The sources that are registered, and when each was.
    sources: HashMap<R, u64, Numbered>,
    /// How many timers, waits and sources there have been.
    count: u64,
}

/// When a wait began, and the task that had the thing then.
type Begun<T> = (u64, Option<T>);

/// The waits of one task: mostly one. Those for the same thing end in the order in which they began.
#[derive(Clone, Debug)]
struct Waits<T, R> {
    /// It is older than all of `more` that are for the same thing.
    first: Option<(R, Begun<T>)>,
    more: Option<Box<More<T, R>>>,
}

type More<T, R> = HashMap<R, VecDeque<Begun<T>>, Numbered>;

impl<T, R> Default for Waits<T, R> {
    fn default() -> Waits<T, R> {
        Waits { first: None, more: None }
    }
}

impl<T: Copy, R: Copy + Eq + Hash> Waits<T, R> {
    #[inline]
    fn begin(&mut self, on: R, begun: Begun<T>) {
        if self.first.is_none() && self.more.is_none() {
            return self.first = Some((on, begun));
        }
        self.more.get_or_insert_default().entry(on).or_default().push_back(begun);
    }

    #[inline]
    fn end(&mut self, on: R) {
        if self.first.is_some_and(|(first, _)| first == on) {
            self.first = None;
        } else if let Some(more) = &mut self.more {
            let left = more.get_mut(&on).map(|waits| {
                waits.pop_front();
                waits.len()
            });
            if left == Some(0) {
                more.remove(&on);
            }
            if more.is_empty() {
                self.more = None;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.more.is_none()
    }

    fn all(&self) -> impl Iterator<Item = (R, Begun<T>)> {
        let more = self.more.iter().flat_map(|more| more.iter());
        self.first.into_iter().chain(more.flat_map(|(on, waits)| waits.iter().map(|begun| (*on, *begun))))
    }
}

impl<T, R> Default for Standing<T, R> {
    fn default() -> Standing<T, R> {
        Standing {
            is_shuffled: false,
            is_partial: false,
            is_snapshot: false,
            step: Step::Outside,
            turn: 0,
            shutdown: 0,
            marks: Vec::new(),
            running: None,
            over: 0,
            tasks: VecDeque::new(),
            outside: VecDeque::new(),
            outside_is_next: false,
            live: 0,
            timers: BTreeMap::new(),
            keys: HashMap::default(),
            waits: Vec::new(),
            others: Vec::new(),
            sources: HashMap::default(),
            count: 0,
        }
    }
}

impl<T: Place, R: Copy + Eq + Hash> Standing<T, R> {
    pub(crate) fn set_shuffled(&mut self, is_shuffled: bool) {
        self.is_shuffled = is_shuffled;
    }

    /// Says where a task comes from, before its spawn is told.
    pub(crate) fn introduce(&mut self, task: T, is_orphan: bool, is_root: bool) {
        *self.mark(task) = u8::from(is_orphan) * ORPHAN + u8::from(is_root) * ROOT;
    }

    /// The lane of the tasks that were spawned or woken by tasks, from its front.
    pub(crate) fn tasks_lane(&self) -> impl Iterator<Item = T> {
        self.tasks.iter().copied().filter(|task| !self.has(*task, OVER))
    }

    /// The lane of the tasks that were woken from outside, from its front.
    pub(crate) fn outside_lane(&self) -> impl Iterator<Item = T> {
        self.outside.iter().copied().filter(|task| !self.has(*task, OVER))
    }

    /// The timers that are set, in the order in which they will fire.
    pub(crate) fn timers(&self) -> impl Iterator<Item = Timer<T, R>> {
        self.timers.values().copied()
    }

    /// The waits that have not ended, in the order in which they began.
    pub(crate) fn waiters(&self) -> Vec<Waiter<T, R>> {
        let each = |(task, waits): &(Option<T>, Waits<T, R>)| {
            let task = *task;
            let waiter = |(on, (at, holder))| (at, Waiter { task, on, holder });
            waits.all().map(waiter).collect::<Vec<_>>()
        };
        in_order(self.waits.iter().chain(&self.others).flat_map(each))
    }

    /// The sources that are registered, in the order in which they were.
    pub(crate) fn sources(&self) -> Vec<R> {
        in_order(self.sources.iter().map(|(source, at)| (*at, *source)))
    }

    /// Goes on to the state after the next event.
    #[inline]
    pub(crate) fn apply(&mut self, what: &What<T, R>) {
        let before = self.step;
        self.go_on(what);
        if self.over > 0 && before == Step::Poll {
            self.run_dry(matches!(what, What::Turn { .. }));
        }
        match *what {
            What::Poll { task } => self.poll(task),
            What::Polled { .. } => self.polled(),
            What::Wake { task, .. } => self.queue(task),
            What::Wait { task, on, holder } => self.wait(task, on, holder),
            What::Waited { task, on } => self.stop_waiting(task, on),
            ref what => self.apply_rare(what),
        }
        self.is_snapshot = false;
    }

    /// A poll begins.
    #[inline]
    pub(crate) fn poll(&mut self, task: T) {
        self.pop(task);
        self.running = Some(task);
        self.is_snapshot = false;
    }

    /// The poll has ended.
    #[inline]
    pub(crate) fn polled(&mut self) {
        self.running = None;
    }

    /// A task was queued by the one that is running, so the step stays as it is.
    #[inline]
    pub(crate) fn woken_by_running(&mut self, task: T) {
        self.queue(task);
    }

    fn apply_rare(&mut self, what: &What<T, R>) {
        match *what {
            What::Turn { number } => self.turn = number,
            What::Spawn { task } => {
                self.live = self.live.saturating_add(1);
                self.queue(task);
            }
            What::Done { task, .. } => self.end(task),
            What::Set { timer, deadline, task } => {
                self.count += 1;
                self.keys.insert(timer, (deadline, self.count));
                self.timers.insert((deadline, self.count), Timer { timer, deadline, task });
            }
            What::Fired { timer } | What::Unset { timer } => {
                self.keys.remove(&timer).and_then(|key| self.timers.remove(&key));
            }
            What::Open { source, .. } => {
                self.count += 1;
                self.sources.insert(source, self.count);
            }
            What::Close { source } => drop(self.sources.remove(&source)),
            What::Shutdown { step } => self.shutdown = step,
            What::Gap { .. } => self.is_partial |= !self.is_snapshot,
            _ => {}
        }
    }

    /// Which step the event belongs to.
    #[inline]
    fn go_on(&mut self, what: &What<T, R>) {
        let step = match what {
            What::Turn { .. } => return self.step = Step::Poll,
            What::Shutdown { .. } => return self.step = Step::Outside,
            What::Park { .. } | What::Unpark | What::Ready { .. } => Step::Kernel,
            What::Fired { .. } => Step::Timers,
            // What no task does comes from other threads, or from a function of the program that the loop calls, if no timer
            // has fired and no source was reported. (The first task of a `block_on` comes before its first turn.)
            What::Wake { by: None, cause: None, .. } | What::Cancel { by: None, .. } => Step::Mail,
            What::Spawn { task } if self.has(*task, ORPHAN) => Step::Mail,
            _ => return,
        };
        if self.step != Step::Outside {
            self.step = self.step.max(step);
        }
    }

    /// A batch of polls has ended. If no live task is left in the lanes, the loop has looked for one, and has passed over all
    /// that are over.
    fn run_dry(&mut self, is_turn: bool) {
        let has_ended = is_turn || self.step > Step::Poll;
        if has_ended && self.over == self.tasks.len() + self.outside.len() {
            while let Some(next) = self.next() {
                *self.mark(next) &= !(OVER | QUEUED);
            }
            self.over = 0;
        }
    }

    #[inline]
    fn mark(&mut self, task: T) -> &mut u8 {
        let place = task.place();
        if place >= self.marks.len() {
            self.marks.resize(place + 1, 0);
        }
        &mut self.marks[place]
    }

    fn has(&self, task: T, mark: u8) -> bool {
        self.marks.get(task.place()).is_some_and(|marks| marks & mark != 0)
    }

    #[inline]
    fn queue(&mut self, task: T) {
        *self.mark(task) |= QUEUED;
        // The steps that look outside fill the outside lane, whatever queues the task there.
        let lane = if self.step > Step::Poll { &mut self.outside } else { &mut self.tasks };
        lane.push_back(task);
    }

    /// A task is polled: it leaves its lane, and so do those before it that are over.
    #[inline]
    fn pop(&mut self, task: T) {
        *self.mark(task) &= !QUEUED;
        while !self.is_shuffled && !self.is_partial {
            let Some(next) = self.next() else { break };
            if next == task {
                return;
            }
            if !self.has(next, OVER) {
                // The trace does not tell the whole story: from here on the order is not known.
                self.is_partial = true;
                self.tasks.push_front(next);
                break;
            }
            *self.mark(next) &= !(OVER | QUEUED);
            self.over = self.over.saturating_sub(1);
        }
        self.tasks.retain(|queued| *queued != task);
        self.outside.retain(|queued| *queued != task);
    }

    /// Takes what is next out of the queue, by the rules of `core/slots/queue.rs`.
    #[inline]
    fn next(&mut self) -> Option<T> {
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

    fn end(&mut self, task: T) {
        self.live = self.live.saturating_sub(1);
        let mark = self.mark(task);
        let is_root = *mark & ROOT != 0;
        if *mark & QUEUED != 0 {
            *mark |= OVER;
            self.over += 1;
        }
        if is_root {
            self.step = Step::Outside;
        }
    }

    /// A wait begins.
    pub(crate) fn wait(&mut self, task: Option<T>, on: R, holder: Option<T>) {
        self.count += 1;
        let begun = (self.count, holder);
        let Some(id) = task else { return self.waits_of_other(None).begin(on, begun) };
        let place = id.place();
        if place >= self.waits.len() {
            self.waits.resize_with(place + 1, Default::default);
        }
        let (of, waits) = &mut self.waits[place];
        if *of != task {
            let former = (std::mem::replace(of, task), std::mem::take(waits));
            if !former.1.is_empty() {
                self.others.push(former);
            }
        }
        self.waits[place].1.begin(on, begun);
    }

    fn waits_of_other(&mut self, task: Option<T>) -> &mut Waits<T, R> {
        let found = self.others.iter().position(|(other, _)| *other == task);
        let index = found.unwrap_or_else(|| {
            self.others.push((task, Waits::default()));
            self.others.len() - 1
        });
        &mut self.others[index].1
    }

    /// The oldest such wait ends.
    pub(crate) fn stop_waiting(&mut self, task: Option<T>, on: R) {
        let found = task.and_then(|id| self.waits.get_mut(id.place()));
        match found.filter(|(of, _)| *of == task) {
            Some((_, waits)) => waits.end(on),
            None => {
                self.waits_of_other(task).end(on);
                self.others.retain(|(_, waits)| !waits.is_empty());
            }
        }
    }

    /// All of this, to be written down.
    pub(crate) fn snapshot(&self) -> Snapshot<T, R> {
        let all = self.tasks.iter().chain(&self.outside).copied();
        Snapshot {
            step: self.step,
            turn: self.turn,
            shutdown: self.shutdown,
            is_partial: self.is_partial,
            running: self.running,
            outside_is_next: self.outside_is_next,
            live: self.live,
            tasks: self.tasks.iter().copied().collect(),
            outside: self.outside.iter().copied().collect(),
            over: all.filter(|task| self.has(*task, OVER)).collect(),
            timers: in_order(self.timers.iter().map(|((_, set), timer)| (*set, *timer))),
            waiters: self.waiters(),
            sources: self.sources(),
        }
    }

    /// Begins where a snapshot was made.
    pub(crate) fn begin(&mut self, snapshot: &Snapshot<T, R>) {
        (self.step, self.turn, self.shutdown) = (snapshot.step, snapshot.turn, snapshot.shutdown);
        (self.is_partial, self.is_snapshot) = (snapshot.is_partial, true);
        (self.running, self.outside_is_next) = (snapshot.running, snapshot.outside_is_next);
        self.live = snapshot.live;
        self.tasks = snapshot.tasks.iter().copied().collect();
        self.outside = snapshot.outside.iter().copied().collect();
        snapshot.tasks.iter().chain(&snapshot.outside).for_each(|task| *self.mark(*task) |= QUEUED);
        snapshot.over.iter().for_each(|task| *self.mark(*task) |= OVER);
        self.over = snapshot.over.len();
        for Timer { timer, deadline, task } in &snapshot.timers {
            self.apply_rare(&What::Set { timer: *timer, deadline: *deadline, task: *task });
        }
        for Waiter { task, on, holder } in &snapshot.waiters {
            self.wait(*task, *on, *holder);
        }
        for source in &snapshot.sources {
            self.apply_rare(&What::Open { source: *source, descriptor: None });
        }
    }
}

/// The things, by the numbers before them.
fn in_order<V>(all: impl Iterator<Item = (u64, V)>) -> Vec<V> {
    let mut all: Vec<(u64, V)> = all.collect();
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, value)| value).collect()
}

/// What stands where in a loop, by the loop's own numbers.
pub(crate) type LoopStanding = Standing<TaskNo, ResourceNo>;
