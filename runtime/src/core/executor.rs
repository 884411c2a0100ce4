//! The tasks: take one out of its slot, poll it, put it back.
//!
//! Facts. A poll runs foreign code, which may spawn, wake, cancel and join any task, also the one that is
//! being polled, and may panic. So does the drop of a future or an output. A drop may drop the next task,
//! whose drop drops the next, a million deep.
//!
//! What follows. Nothing of ours is borrowed while foreign code runs: a task is *taken out* of its slot for
//! the poll, and code that looks at the slot meanwhile finds it empty. Tasks are dropped in `executor/drops.rs`.
//!
//! ```text
//!            ┌──────────────────── 3 ◄── Pending ──┐
//!            ▼                                     │
//!   1 ──► in its slot ─────── 2 ───────────────► out, polled ── Ready ──► 4 ──► over: returned
//!           ▲    │                                 │    │
//!           │    │                        doomed ──┘    └────── panic ──► 5 ──► over: panicked
//!           │    │                          │                                        ▲ a drop panics
//!           │    └── 6 ──► out, dropped ◄── 6                                        │
//!           │                   └── 7 ──┬──────────────────────────────────────────► 4 ──► over: cancelled
//!           └────────── 8 ◄── cleanups ─┘
//!
//!   over ── 9, or 10 without a handle ──► vacant
//! ```
//!
//! | | function | |
//! |--:|---|---|
//! | 1 | `spawn` | a future gets a slot and a number, and is queued |
//! | 2 | `poll_stretch` | the task is next in the queue |
//! | 3 | `put_back` | not done: it waits in its slot; a *doomed* task (it has cancelled itself) goes on to 6 |
//! | 4 | `settle` | the slot keeps what the handle may want: the output, the panic, or nothing |
//! | 5 | `crash` | what panicked is dropped, then settled |
//! | 6 | `cancel` | by the handle, or by the shutdown |
//! | 7 | `drop_one` | the future is dropped |
//! | 8 | `continue_as_cleanup` | the drop has left a cleanup, which takes the task's place |
//! | 9 | `join`, `take_outcome` | the handle collects the output, or hears why there is none |
//! | 10 | `discard` | there is no handle: the output is dropped |
//!
//! Invariants. 2: marked as running, and not queued, before the poll. 4: no borrow across foreign code.
//! 10: futures and outputs are polled and dropped here, on the loop's thread. 11: a panic ends its own task
//! only. 12: a future is dropped exactly once. A slot belongs to the task *and* its handle: it is vacant
//! only when the one is over and the other gone, so a handle's number is always good.
//!
//! What it does not know: mio, time, how a waker is made. It is given the function that polls.

mod drops;
mod handles;

use std::cell::{Cell, RefCell, RefMut};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use self::drops::Drops;
pub(crate) use self::drops::{Cleanup, Home, in_turn};
pub(crate) use self::handles::Join;
use crate::core::cell::{BoxedTask, Task, TaskCell};
use crate::core::extras::{Extras, Locals};
use crate::core::id::TaskId;
use crate::core::panics::{self, swallow};
use crate::core::probe::{End, Event, Probe};
use crate::core::slots::{self, Mark, Slots, note};

pub(crate) struct Executor {
    state: RefCell<State>,
    pub(crate) probe: Rc<Probe>,
    /// Whether the loop has neither a watcher nor a shuffled schedule. A poll would ask three times.
    pub(crate) plain: Cell<bool>,
    pub(crate) is_shuffled: bool,
    /// The task whose code runs right now.
    running: Cell<Option<TaskId>>,
    pub(crate) drops: Drops,
    pub(crate) extras: Extras,
    /// The task whose poll has panicked, until `crash` drops it.
    fallen: Cell<Option<BoxedTask>>,
}

struct State {
    slots: Slots<Slot>,
    /// How many tasks have not ended.
    live: usize,
    /// How many vacant slots have a shell in them.
    shells: usize,
    /// How many slots and live tasks were left when the table was last made smaller.
    looked: (usize, usize),
}

/// A shell that is larger is not worth its memory.
const LARGEST_SHELL: usize = 512;
/// While the loop waits, it keeps at most this many shells.
const MOST_SHELLS: usize = 1024;
/// With fewer tasks than this, it is no burden to look through a large table each time that one ends.
const FEW: usize = 64;

/// Half a cache line.
#[derive(Default)]
pub(crate) struct Slot {
    /// The future; when the task is over, its output, or what it panicked with; in a vacant slot, perhaps a shell.
    ///
    /// `None` means one of four things, and three of them can be told apart: the task is over, and nothing is left of it
    /// (the mark says that it is over); it is a root, whose future is on its caller's stack (`poll_stretch` finds nothing
    /// to poll); or it is out, to be polled or to be dropped, and no caller needs to know which.
    task: Option<BoxedTask>,
    /// The task that awaits the handle. If something else does, its waker is among the extras.
    pub(crate) waiter: Option<TaskId>,
    pub(crate) mark: Mark,
}

/// Set when the handle is dropped; then the task's end empties the slot.
const DETACHED: u32 = note(0);
/// Set when a task is cancelled while it is out; cleared when its cleanup takes its place. A task that is being dropped
/// may be doomed, too, which changes nothing.
const DOOMED: u32 = note(1);
/// Set when a cleanup takes the task's place. From then on a second cancel ends the task, and it cannot end as returned.
const CLEANING: u32 = note(2);
/// Set when a task is over that was cancelled. Excludes `PANICKED`; a task that is over and has neither has returned.
const CANCELLED: u32 = note(3);
/// Set when a task is over that has panicked, in a poll or in a drop.
const PANICKED: u32 = note(4);

impl Executor {
    pub(crate) fn new(runtime: u16, seed: Option<u64>, probe: Rc<Probe>) -> Executor {
        let slots = Slots::new(runtime, 1, seed);
        let executor = Executor {
            state: RefCell::new(State { slots, live: 0, shells: 0, looked: (0, 0) }),
            plain: Cell::default(),
            is_shuffled: seed.is_some(),
            probe,
            running: Cell::default(),
            drops: Drops::default(),
            extras: Extras::default(),
            fallen: Cell::default(),
        };
        executor.set_watched(executor.probe.is_on());
        executor
    }

    /// The loop has a watcher from now on, or has none any more.
    pub(crate) fn set_watched(&self, watched: bool) {
        self.plain.set(!watched && !self.is_shuffled);
        watched.then(|| self.extras.always());
    }

    /// The slots and the queue, to be looked at. While this lives, no foreign code may run.
    pub(crate) fn slots(&self) -> RefMut<'_, Slots<Slot>> {
        RefMut::map(self.state.borrow_mut(), |state| &mut state.slots)
    }

    /// Takes a future in; it is first polled when its turn comes. One allocation, the box; or none, if a shell of the
    /// right type is left in the slot.
    #[inline]
    pub(crate) fn spawn<F>(&self, future: F, spawned_at: &'static Location<'static>) -> TaskId
    where
        F: Future<Output: 'static> + 'static,
    {
        // A slot and a number, and the task is queued.
        let mut future = Some(future);
        let mut state = self.state.borrow_mut();
        let (id, slot) = state.open();
        // The future moves into the shell that the last tenant left, if it fits; or else into a new box.
        let moved_in =
            slot.task.as_mut().is_some_and(|shell| shell.as_mut().move_in(&mut future, spawned_at));
        if !moved_in {
            slot.task = future.take().map(|future| Box::pin(TaskCell::new(future, spawned_at)) as BoxedTask);
        }
        drop(state);
        if self.extras.any() {
            self.admit(id);
        }
        id
    }

    /// A new task in a loop that is watched, has locals to inherit, or refuses spawns.
    #[cold]
    fn admit(&self, id: TaskId) {
        self.probe.emit(|| Event::Spawn { task: id, by: self.running.get() });
        // A child begins with its parent's locals.
        self.locals()
            .into_iter()
            .for_each(|locals| self.extras.with(id, |extra| extra.locals = Some(locals)));
        if let Some(left) = self.drops.refusing() {
            self.refuse(id, left);
        }
    }

    /// Gives the future of a `block_on` a number; the future itself stays on its caller's stack.
    pub(crate) fn open_root(&self) -> TaskId {
        let mut state = self.state.borrow_mut();
        let (id, slot) = state.open();
        slot.task = None;
        drop(state);
        self.probe.emit(|| Event::Spawn { task: id, by: None });
        id
    }

    /// The `block_on` is over.
    pub(crate) fn close_root(&self, id: TaskId, end: End) {
        drop(self.settle(id, end, None));
        self.discard(id);
    }

    /// Invariant 3: this only enqueues. Whether it changed anything.
    #[inline]
    pub(crate) fn wake(&self, id: TaskId) -> bool {
        self.state.borrow_mut().slots.wake(id)
    }

    /// As [`wake`](Executor::wake), but false if the tasks are borrowed, so that this cannot panic: to be prepared for an
    /// unwinding costs each wake six instructions.
    #[inline]
    pub(crate) fn try_wake(&self, id: TaskId) -> bool {
        self.state.try_borrow_mut().map(|mut state| state.slots.wake(id)).is_ok()
    }

    /// As [`wake`](Executor::wake), for many wakes under one borrow. While this lives, no foreign code may run.
    pub(crate) fn waking(&self) -> impl FnMut(TaskId) {
        let mut state = self.state.borrow_mut();
        move |id| _ = state.slots.wake(id)
    }

    /// Says what wakes from now on: the kernel, timers and other threads, or tasks.
    pub(crate) fn set_arriving(&self, arriving: bool) {
        self.slots().queue.set_arriving(arriving);
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.state.borrow().slots.is_empty()
    }

    /// Polls the tasks at the front of the queue, `most` at most. `poll` gets the future that was in the task's slot; for a
    /// root, the slot is empty. If `poll` panics, the caller has to go on with [`crash`](Executor::crash). `PLAIN` says that
    /// the loop has neither a watcher nor a shuffle, so no poll asks for them.
    #[inline]
    pub(crate) fn poll_stretch<const PLAIN: bool>(
        &self,
        most: u32,
        mut poll: impl FnMut(TaskId, Option<HeldTask<'_>>) -> Poll<()>,
    ) -> Stretch {
        let mut state = self.state.borrow_mut();
        for _ in 0..most {
            // Take out, release, call.
            let next = state.slots.pop::<PLAIN, _>(|slot| slot.task.take());
            let Some((id, task)) = next else { return Stretch::RanDry };
            let mut hand = Hand { task, fallen: &self.fallen };
            drop(state);
            if !PLAIN {
                self.probe.emit(|| Event::PollBegin { task: id });
            }
            self.running.set(Some(id));
            let polled = poll(id, hand.task.as_mut().map(Pin::as_mut));
            self.running.set(None);
            if !PLAIN {
                self.probe.emit(|| Event::PollEnd { task: id, ready: polled.is_ready() });
            }
            // Put back, or settle.
            state = match (polled, hand.task.take()) {
                (Poll::Pending, task) => self.put_back(id, task),
                (Poll::Ready(()), None) => return Stretch::RootDone,
                (Poll::Ready(()), task) => self.settle(id, End::Returned, task),
            };
        }
        Stretch::Full
    }

    #[inline(always)]
    fn put_back(&self, id: TaskId, task: Option<BoxedTask>) -> RefMut<'_, State> {
        let mut state = self.state.borrow_mut();
        let slot = state.slots.get(id);
        slot.put(task);
        if slot.mark.has(DOOMED) {
            drop(state);
            self.cancel(id);
            state = self.state.borrow_mut();
        }
        state
    }

    /// The task is over and its future is dropped. `task` holds what its handle may want.
    #[inline(always)]
    fn settle(&self, id: TaskId, end: End, task: Option<BoxedTask>) -> RefMut<'_, State> {
        let mut state = self.state.borrow_mut();
        state.live -= 1;
        let slot = state.slots.close(id);
        // After its cleanup a task is over as cancelled, and nothing is left of it, unless the cleanup panicked.
        let cut = end == End::Returned && slot.mark.has(CLEANING);
        let (end, task) = if cut { (End::Cancelled, task.and(None)) } else { (end, task) };
        match end {
            End::Returned => {}
            End::Cancelled => slot.mark.set(CANCELLED, true),
            End::Panicked => slot.mark.set(PANICKED, true),
        }
        slot.put(task);
        let detached = slot.mark.has(DETACHED);
        let woken = slot.waiter.take().filter(|waiter| state.slots.wake(*waiter));
        if detached || self.extras.any() {
            drop(state);
            self.see_off(id, end, woken, detached);
            state = self.state.borrow_mut();
        }
        state
    }

    /// A task is over, and there is more to do than to wake the task that awaits it.
    #[cold]
    fn see_off(&self, id: TaskId, end: End, woken: Option<TaskId>, detached: bool) {
        self.probe.emit(|| Event::Done { task: id, end });
        if let Some(task) = woken {
            self.probe.emit(|| Event::Wake { task, by: Some(id) });
        }
        self.settle_extras(id);
        if detached {
            self.discard(id);
        }
    }

    /// Wakes a foreign waker, and drops the locals, which end with their task. Both are foreign code.
    #[cold]
    fn settle_extras(&self, id: TaskId) {
        let taken = self.extras.get(id, |extra| Some((extra.waiter.take(), extra.locals.take())));
        let Some((waiter, locals)) = taken else { return };
        let before = self.running.replace(Some(id));
        swallow(|| drop(locals));
        waiter.into_iter().for_each(panics::wake);
        self.running.set(before);
    }

    /// The loop is about to wait: gives back the shells and slots that many tasks have left.
    pub(crate) fn tidy_up(&self) {
        let State { slots, shells, live, looked } = &mut *self.state.borrow_mut();
        if *shells > MOST_SHELLS {
            slots.for_each_vacant(|slot| slot.task = None);
            *shells = 0;
        }
        let count = slots.count();
        if count <= slots::SHRINK_ABOVE || *live >= count / 4 {
            return;
        }
        // A look through the table is slow. Look again only if the table has grown, if half of its tasks have ended, or if
        // few are left and the last slot is free.
        let few_gone = *live < FEW && slots.is_last_over();
        if count > looked.0 || *live < looked.1 / 2 || few_gone {
            slots.for_each_vacant(|slot| slot.task = None);
            *shells = 0;
            slots.shrink();
            self.drops.shrink();
            self.extras.shrink();
            *looked = (slots.count(), *live);
        }
    }

    #[inline]
    pub(crate) fn running(&self) -> Option<TaskId> {
        self.running.get()
    }

    /// How many tasks have not ended.
    pub(crate) fn live(&self) -> usize {
        self.state.borrow().live
    }

    /// The tasks that have not ended, in the order of their slots.
    pub(crate) fn all(&self) -> Vec<TaskId> {
        let slots = &mut self.state.borrow_mut().slots;
        let mut all: Vec<TaskId> = (0..slots.count()).map(|slot| slots.number(slot)).collect();
        all.retain(|id| !slots.get(*id).mark.is_over());
        all
    }

    /// Whether this is the number of a task that has not ended.
    pub(crate) fn lives(&self, id: TaskId) -> bool {
        let slots = &mut self.state.borrow_mut().slots;
        id.slot() < slots.count() && slots.number(id.slot()) == id && !slots.get(id).mark.is_over()
    }

    /// Where in the program a task was spawned, and how many bytes its box has. `None` if it is out of its slot.
    pub(crate) fn origin(&self, id: TaskId) -> Option<(&'static Location<'static>, usize)> {
        let mut state = self.lives(id).then(|| self.state.borrow_mut())?;
        let task = state.slots.get(id).task.as_ref()?;
        Some((task.spawned_at()?, size_of_val(&**task)))
    }

    /// The locals of the running task.
    pub(crate) fn locals(&self) -> Option<Locals> {
        self.extras.get(self.running.get()?, |extra| extra.locals.clone())
    }
}

/// A task, taken out of its slot.
pub(crate) type HeldTask<'a> = Pin<&'a mut (dyn Task + 'static)>;

/// How a stretch of polls has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stretch {
    /// As many tasks were polled as was asked for.
    Full,
    /// No task is ready any more.
    RanDry,
    /// The root was polled, and is done.
    RootDone,
}

/// The task that is being polled. A panic does not drop it, but leaves it to `crash`.
struct Hand<'a> {
    task: Option<BoxedTask>,
    fallen: &'a Cell<Option<BoxedTask>>,
}

impl Drop for Hand<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.fallen.set(Some(task));
        }
    }
}

impl State {
    #[inline]
    fn open(&mut self) -> (TaskId, &mut Slot) {
        self.live += 1;
        let (id, slot) = self.slots.open();
        self.shells -= usize::from(slot.task.is_some());
        (id, slot)
    }
}

impl slots::Slot for Slot {
    #[inline]
    fn mark(&mut self) -> &mut Mark {
        &mut self.mark
    }
}

impl Slot {
    /// Puts a task into the place that was kept for it. (An assignment would first look for something to drop.)
    #[inline]
    fn put(&mut self, task: Option<BoxedTask>) {
        let before = std::mem::replace(&mut self.task, task);
        debug_assert!(before.is_none(), "a task's place is kept while it is out");
        std::mem::forget(before);
    }
}
