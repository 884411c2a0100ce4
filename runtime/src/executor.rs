//! The slab of tasks: take one out, poll it, put it back.
//!
//! Facts. A poll runs foreign code, which may spawn, wake, cancel and join any task, also the one that is
//! being polled, and may panic. So does the drop of a future or an output. A drop may drop the next task,
//! whose drop drops the next, a million deep.
//!
//! What follows. Nothing of ours is borrowed while foreign code runs: a task is *taken out* of its slot for
//! the poll, and whoever looks at the slot meanwhile finds a note instead ("running"). What has to be
//! dropped goes through one place, [`Executor::bury`], which is a loop where recursion would be the
//! natural mistake: a drop inside a drop only adds to the list.
//!
//! ```text
//!   spawn ──► Idle ◄──────────┐
//!              │ poll         │ Pending
//!              ▼              │
//!           Running ──────────┘
//!              │ Ready: settle               cancel:  Idle ──────► Dying ──► Cancelled
//!              │ panic: bury, settle                  Running ──► (after its poll) Dying
//!              ▼
//!           Returned / Panicked / Cancelled ── the handle: collect, or drop ──► vacant
//! ```
//!
//! Invariants. 2: marked Running, and not queued, before the poll. 4: no borrow across foreign code.
//! 10: futures and outputs are polled and dropped here, on the loop's thread. 11: a panic ends its own task
//! only. 12: a future is dropped exactly once. A slot belongs to the task *and* its handle: it is vacant
//! only when the one is over and the other gone, so a handle's number is always good.
//!
//! What it does not know: mio, time, how a waker is made. It is given the `Context` to poll with.

use std::borrow::Cow;
use std::cell::{Cell, RefCell, RefMut};
use std::collections::{HashMap, VecDeque};
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::cell::{BoxedTask, TaskCell, Wreck};
use crate::id::{MAX_SLOTS, TaskId};
use crate::panics::{self, Payload, contain, swallow};
use crate::probe::{End, Event, Probe};
use crate::ready::Ready;

pub(crate) struct Executor {
    slots: RefCell<Slab<Slot>>,
    ready: Rc<Ready>,
    probe: Rc<Probe>,
    /// How many tasks have not ended.
    live: Cell<usize>,
    /// The task whose code runs right now.
    running: Cell<Option<TaskId>>,
    /// What waits to be dropped while something else is being dropped.
    graves: RefCell<VecDeque<Grave>>,
    digging: Cell<bool>,
    /// Set by the shutdown: what is spawned from now on is dropped at once.
    closed: Cell<bool>,
    /// What few tasks have, so that the others need no room for it.
    extras: RefCell<HashMap<TaskId, Extras>>,
}

struct Slot {
    /// The future, the output or the wreck; out while it is polled or dropped.
    task: Option<BoxedTask>,
    /// Who awaits the handle.
    waiter: Option<Waker>,
    phase: Phase,
    /// The handle is gone.
    detached: bool,
    /// Cancelled in the middle of its own poll.
    doomed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Running,
    Dying,
    Over(End),
}

#[derive(Default)]
struct Extras {
    name: Option<Cow<'static, str>>,
    locals: Option<Locals>,
}

/// The values of a task's `task_local!` keys; shared with its children until one of them sets another.
pub(crate) type Locals = Rc<Vec<(usize, Rc<dyn std::any::Any>)>>;

/// Something to be dropped with care, and in whose name.
struct Grave {
    id: TaskId,
    task: BoxedTask,
    cause: Cause,
}

enum Cause {
    Cancelled,
    Panicked(Payload),
    /// Not a future but an output that nobody has fetched.
    Unwanted,
}

/// How a task ended, for its handle.
pub(crate) enum Outcome {
    /// The box, with the output in it.
    Returned(BoxedTask),
    Panicked(Payload),
    Cancelled,
}

impl Executor {
    pub(crate) fn new(ready: Rc<Ready>, probe: Rc<Probe>) -> Executor {
        Executor {
            slots: RefCell::default(),
            ready,
            probe,
            live: Cell::default(),
            running: Cell::default(),
            graves: RefCell::default(),
            digging: Cell::default(),
            closed: Cell::default(),
            extras: RefCell::default(),
        }
    }

    /// Takes a future in; it is first polled when its turn comes. One allocation: the box.
    pub(crate) fn spawn<F>(&self, future: F, spawned_at: &'static Location<'static>) -> TaskId
    where
        F: Future<Output: 'static> + 'static,
    {
        self.admit(Box::pin(TaskCell::new(future, spawned_at)))
    }

    fn admit(&self, task: BoxedTask) -> TaskId {
        let id = self.open(Phase::Idle, Some(task));
        self.inherit(id);
        self.probe.emit(|| Event::Spawn { task: id, by: self.running.get() });
        if self.closed.get() {
            self.cancel(id);
        }
        id
    }

    /// Gives the future of a `block_on` a number; the future itself stays on its caller's stack.
    pub(crate) fn open_root(&self) -> TaskId {
        let id = self.open(Phase::Running, None);
        self.probe.emit(|| Event::Spawn { task: id, by: None });
        id
    }

    /// The `block_on` is over.
    pub(crate) fn close_root(&self, id: TaskId, end: End) {
        self.ready.close(id);
        self.live.update(|live| live - 1);
        self.vacate(id);
        self.probe.emit(|| Event::Done { task: id, end });
    }

    fn open(&self, phase: Phase, task: Option<BoxedTask>) -> TaskId {
        let mut slots = self.slots.borrow_mut();
        assert!(slots.len() < MAX_SLOTS, "a roundel loop holds at most {MAX_SLOTS} tasks at once");
        self.live.update(|live| live + 1);
        self.ready.open(slots.insert(Slot { task, waiter: None, phase, detached: false, doomed: false }))
    }

    fn slot(&self, id: TaskId) -> RefMut<'_, Slot> {
        RefMut::map(self.slots.borrow_mut(), |slots| &mut slots[id.slot()])
    }

    /// Gives a task its turn.
    pub(crate) fn poll(&self, id: TaskId, cx: &mut Context<'_>) {
        let Some(mut task) = self.take_out(id) else { return };
        let result = self.run_poll(id, || task.as_mut().poll(cx));
        match result {
            Ok(Poll::Pending) => self.put_back(id, task),
            Ok(Poll::Ready(())) => self.settle(id, End::Returned, Some(task)),
            Err(payload) => self.bury(Grave { id, task, cause: Cause::Panicked(payload) }),
        }
    }

    /// Polls in a task's name, and says so.
    pub(crate) fn run_poll(&self, id: TaskId, poll: impl FnOnce() -> Poll<()>) -> Result<Poll<()>, Payload> {
        self.probe.emit(|| Event::PollBegin { task: id });
        let result = self.run_as(id, poll);
        self.probe.emit(|| Event::PollEnd { task: id, ready: !matches!(result, Ok(Poll::Pending)) });
        result
    }

    /// Runs foreign code in a task's name.
    fn run_as<R>(&self, id: TaskId, f: impl FnOnce() -> R) -> Result<R, Payload> {
        let before = self.running.replace(Some(id));
        let result = contain(f);
        self.running.set(before);
        result
    }

    fn take_out(&self, id: TaskId) -> Option<BoxedTask> {
        let mut slot = self.slot(id);
        slot.phase = Phase::Running;
        slot.task.take()
    }

    fn put_back(&self, id: TaskId, task: BoxedTask) {
        let mut slot = self.slot(id);
        if slot.doomed {
            slot.phase = Phase::Dying;
            drop(slot);
            return self.bury(Grave { id, task, cause: Cause::Cancelled });
        }
        slot.phase = Phase::Idle;
        slot.task = Some(task);
    }

    /// The task is over, its future is dropped; `task` holds what its handle may want.
    fn settle(&self, id: TaskId, end: End, task: Option<BoxedTask>) {
        self.ready.close(id);
        self.live.update(|live| live - 1);
        let mut slot = self.slot(id);
        slot.phase = Phase::Over(end);
        slot.task = task;
        let (waiter, detached) = (slot.waiter.take(), slot.detached);
        drop(slot);
        self.probe.emit(|| Event::Done { task: id, end });
        if let Some(waiter) = waiter {
            panics::wake(waiter);
        }
        if detached {
            self.discard(id);
        }
    }

    fn settle_wreck(&self, id: TaskId, payload: Payload) {
        self.settle(id, End::Panicked, Some(Box::pin(Wreck(Some(payload)))));
    }

    /// Empties the slot of a task that is over and has no handle.
    fn discard(&self, id: TaskId) {
        if let Some(task) = self.vacate(id).task {
            self.bury(Grave { id, task, cause: Cause::Unwanted });
        }
    }

    fn vacate(&self, id: TaskId) -> Slot {
        let slot = self.slots.borrow_mut().remove(id.slot());
        if !self.extras.borrow().is_empty() {
            let extras = self.extras.borrow_mut().remove(&id);
            swallow(|| drop(extras));
        }
        slot
    }

    /// Drops a future *now*, so that what it held is free when this returns. The two exceptions: a task
    /// that cancels itself goes after its poll, and one that is cancelled by a drop goes after that drop.
    pub(crate) fn cancel(&self, id: TaskId) {
        let mut slot = self.slot(id);
        match slot.phase {
            Phase::Dying | Phase::Over(_) => return,
            Phase::Running => slot.doomed = true,
            Phase::Idle => slot.phase = Phase::Dying,
        }
        let task = slot.task.take();
        drop(slot);
        if let Some(task) = task {
            self.bury(Grave { id, task, cause: Cause::Cancelled });
        }
    }

    /// Drops what is in the box; a loop, however deep the drops of drops go.
    fn bury(&self, grave: Grave) {
        if self.digging.replace(true) {
            return self.graves.borrow_mut().push_back(grave);
        }
        let mut next = Some(grave);
        while let Some(grave) = next {
            self.dig(grave);
            next = self.graves.borrow_mut().pop_front();
        }
        self.digging.set(false);
    }

    fn dig(&self, grave: Grave) {
        let Grave { id, task, cause } = grave;
        let dropped = self.run_as(id, || drop(task));
        match (cause, dropped) {
            (Cause::Cancelled, Ok(())) => self.settle(id, End::Cancelled, None),
            (Cause::Cancelled, Err(payload)) => self.settle_wreck(id, payload),
            // Nobody wanted the output, nor will anybody hear of its panic.
            (Cause::Unwanted, dropped) => swallow(|| drop(dropped)),
            // The first panic is the cause; what the drop adds to it is a consequence.
            (Cause::Panicked(first), dropped) => {
                swallow(|| drop(dropped));
                self.settle_wreck(id, first);
            }
        }
    }

    /// For the handle: how the task ended; or leaves word whom to wake when it has.
    pub(crate) fn collect(&self, id: TaskId, waker: &Waker) -> Poll<Outcome> {
        if self.is_over(id) {
            return Poll::Ready(self.take_outcome(id));
        }
        let known = self.slot(id).waiter.as_ref().is_some_and(|waiter| waiter.will_wake(waker));
        if !known {
            let waker = waker.clone();
            let old = self.slot(id).waiter.replace(waker);
            drop(old);
            // To clone and to drop a waker is foreign code, and the task may be over by now.
            if self.is_over(id) {
                return Poll::Ready(self.take_outcome(id));
            }
        }
        Poll::Pending
    }

    fn take_outcome(&self, id: TaskId) -> Outcome {
        let slot = self.vacate(id);
        match (slot.phase, slot.task) {
            (Phase::Over(End::Returned), Some(task)) => Outcome::Returned(task),
            (Phase::Over(End::Panicked), Some(mut wreck)) => {
                let payload = wreck.as_mut().output().downcast_mut::<Option<Payload>>();
                Outcome::Panicked(payload.and_then(Option::take).expect("a wreck holds its payload"))
            }
            _ => Outcome::Cancelled,
        }
    }

    pub(crate) fn is_over(&self, id: TaskId) -> bool {
        matches!(self.slot(id).phase, Phase::Over(_))
    }

    /// The handle is dropped: nobody will collect.
    pub(crate) fn detach(&self, id: TaskId) {
        let mut slot = self.slot(id);
        slot.detached = true;
        let (over, waiter) = (matches!(slot.phase, Phase::Over(_)), slot.waiter.take());
        drop(slot);
        if let Some(waiter) = waiter {
            swallow(|| drop(waiter));
        }
        if over {
            self.discard(id);
        }
    }

    pub(crate) fn running(&self) -> Option<TaskId> {
        self.running.get()
    }

    /// How many tasks have not ended.
    pub(crate) fn live(&self) -> usize {
        self.live.get()
    }

    /// Cancels all tasks there are, in the order of their slots.
    pub(crate) fn cancel_all(&self) {
        let slots: Vec<usize> = self.slots.borrow().iter().map(|(slot, _)| slot).collect();
        for id in slots.into_iter().map(|slot| self.ready.tenant(slot)) {
            // It may have gone with one of those before it.
            if self.slots.borrow().contains(id.slot()) {
                self.cancel(id);
            }
        }
    }

    /// From here on, whatever is spawned is dropped at once.
    pub(crate) fn close(&self) {
        self.closed.set(true);
    }

    pub(crate) fn spawned_at(&self, id: TaskId) -> Option<&'static Location<'static>> {
        self.slot(id).task.as_ref().and_then(|task| task.spawned_at())
    }

    pub(crate) fn set_name(&self, id: TaskId, name: Cow<'static, str>) {
        self.extras.borrow_mut().entry(id).or_default().name = Some(name);
    }

    pub(crate) fn name(&self, id: TaskId) -> Option<Cow<'static, str>> {
        self.extras.borrow().get(&id)?.name.clone()
    }

    /// The locals of the running task.
    pub(crate) fn locals(&self) -> Option<Locals> {
        self.extras.borrow().get(&self.running.get()?)?.locals.clone()
    }

    /// Gives the running task other locals; returns those it had.
    pub(crate) fn replace_locals(&self, locals: Option<Locals>) -> Option<Locals> {
        let id = self.running.get()?;
        std::mem::replace(&mut self.extras.borrow_mut().entry(id).or_default().locals, locals)
    }

    /// A child begins with its parent's locals.
    fn inherit(&self, child: TaskId) {
        if self.extras.borrow().is_empty() {
            return;
        }
        if let Some(locals) = self.locals() {
            self.extras.borrow_mut().entry(child).or_default().locals = Some(locals);
        }
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("live", &self.live()).finish_non_exhaustive()
    }
}
