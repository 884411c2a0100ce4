//! Whose turn it is: the queue of tasks that can make progress.
//!
//! Facts. A task may be woken many times before it runs, and once more after it is gone. To poll it
//! twice for two wakes is waste; to poll it zero times for one is a hang.
//!
//! What follows. Tasks live in slots, and each slot has a *mark*: the serial of its tenant, and whether the
//! tenant's number is in the queue. A wake compares its number with the mark, and that single comparison
//! answers "does this task still live?" and "is it queued already?" at once.
//!
//! ```text
//!                          wake
//!              idle mark ─────────► queued mark ◄───── open ───── vacant slot
//!                │   ▲                  │ │                            ▲
//!                │   └────── pop ───────┘ │                            │
//!                └────────► close ◄───────┘                            │
//!                             │ the serial goes up: wakes miss         │
//!                             └──────────────── vacate ────────────────┘
//! ```
//!
//! Invariants. 1: a number is in the queue at most once. A number whose task is gone may still stand in
//! the queue; `pop` passes over it. Order is first in, first out within each of two lanes ([`lanes`]), unless a seed
//! asks for disorder.
//!
//! What it does not know: what is in a slot (`T`), futures, time, I/O, threads.

mod lanes;

use crate::dice::Dice;
use crate::id::{MAX_SERIAL, MAX_SLOTS, TaskId};
use lanes::Lanes;

#[derive(Debug)]
pub(crate) struct Ready<T> {
    runtime: u16,
    first_serial: u32,
    queue: Lanes,
    slots: Vec<T>,
    vacant: Vec<u32>,
    dice: Option<Dice>,
}

/// What a slot keeps for us: the serial of its tenant (of the next one, if it is vacant), and [`QUEUED`].
pub(crate) type Mark = u32;

/// Set in a mark while the tenant's number is in the queue; higher than any serial.
const QUEUED: Mark = 1 << 31;

/// A slot, with room for a mark where its other fields leave some.
pub(crate) trait Slot: Default {
    fn mark(&mut self) -> &mut Mark;
}

impl<T: Slot> Ready<T> {
    /// `first_serial` is where the serials of fresh slots begin; a `seed` shuffles the order of `pop`.
    pub(crate) fn new(runtime: u16, first_serial: u32, seed: Option<u64>) -> Ready<T> {
        let (queue, slots, vacant) = (Lanes::new(), Vec::new(), Vec::new());
        Ready { runtime, first_serial: first_serial.max(1), queue, slots, vacant, dice: seed.map(Dice::new) }
    }

    /// A task moves in: it gets a slot, as the last tenant left it, and a number; and is queued at once.
    #[inline]
    pub(crate) fn open(&mut self) -> (TaskId, &mut T) {
        let place = match self.vacant.pop() {
            Some(slot) => slot as usize,
            None => self.build_slot(),
        };
        let slot = &mut self.slots[place];
        let id = TaskId::new(self.runtime, *slot.mark(), place);
        *slot.mark() |= QUEUED;
        self.queue.push(id);
        (id, slot)
    }

    #[cold]
    #[inline(never)]
    fn build_slot(&mut self) -> usize {
        assert!(self.slots.len() < MAX_SLOTS, "a roundel loop holds at most {MAX_SLOTS} tasks at once");
        let mut slot = T::default();
        *slot.mark() = self.first_serial;
        self.slots.push(slot);
        self.slots.len() - 1
    }

    /// The slot of a number that is known to be good: it has not been vacated.
    #[inline]
    pub(crate) fn get(&mut self, id: TaskId) -> &mut T {
        &mut self.slots[id.slot()]
    }

    /// The task is over: its number will not be popped any more, and wakes nobody.
    #[inline]
    pub(crate) fn close(&mut self, id: TaskId) -> &mut T {
        let slot = &mut self.slots[id.slot()];
        *slot.mark() = if id.serial() == MAX_SERIAL { 1 } else { id.serial() + 1 };
        slot
    }

    /// The slot of a task that is over can be used again.
    #[inline]
    pub(crate) fn vacate(&mut self, id: TaskId) {
        self.vacant.push(id.slot() as u32);
    }

    /// How many slots there are, vacant ones too.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The number of the task in `slot`, or, if it is over or vacant, one that nobody has yet.
    pub(crate) fn number(&mut self, slot: usize) -> TaskId {
        TaskId::new(self.runtime, *self.slots[slot].mark() & !QUEUED, slot)
    }

    /// Queues a task. Whether that changed anything: not if it is queued already, not if it is gone.
    #[inline]
    pub(crate) fn wake(&mut self, id: TaskId) -> bool {
        let Some(slot) = self.slots.get_mut(id.slot()) else { return false };
        if *slot.mark() != id.serial() {
            return false;
        }
        *slot.mark() |= QUEUED;
        self.queue.push(id);
        true
    }

    /// From now on it is the world that wakes, or it is tasks again.
    pub(crate) fn set_arriving(&mut self, arriving: bool) {
        self.queue.set_arriving(arriving);
    }

    /// The loop is about to wait, and has time to give back what it does not need.
    pub(crate) fn tidy_up(&mut self) {
        self.queue.tidy_up();
    }

    /// Takes the next task out of the queue. From here on a wake queues it again (invariant 2).
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(TaskId, &mut T)> {
        let id = loop {
            let id = self.next()?;
            if *self.slots[id.slot()].mark() == id.serial() | QUEUED {
                break id;
            }
        };
        let slot = &mut self.slots[id.slot()];
        *slot.mark() = id.serial();
        Some((id, slot))
    }

    #[inline]
    fn next(&mut self) -> Option<TaskId> {
        match &self.dice {
            // The dice are not rolled for nothing: how often the loop finds nothing to do depends on the world outside,
            // and the schedule is not to.
            Some(dice) if self.queue.len() > 1 => {
                let chosen = dice.roll(self.queue.len());
                self.queue.take(chosen)
            }
            _ => self.queue.pop(),
        }
    }

    /// Whether the queue is empty. Numbers of the gone count: they cost one look too many at most.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The serial from which a successor of this loop may start, so that our last wakers miss its tasks.
    pub(crate) fn last_serial(&mut self) -> u32 {
        // Serials go in a circle, and some slots may have come round while others have not: what counts is how far each
        // has gone since the beginning.
        let first = self.first_serial;
        let gone = |serial: u32| if serial >= first { serial - first } else { serial + MAX_SERIAL - first };
        let farthest = self.slots.iter_mut().map(|slot| gone(*slot.mark() & !QUEUED)).max().unwrap_or(0);
        let last = first + farthest;
        if last > MAX_SERIAL { last - MAX_SERIAL } else { last }
    }
}
