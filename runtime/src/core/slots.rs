//! The slab of tasks, and the queue of those that can make progress.
//!
//! Facts. A task may be woken many times before it runs, and once more after it is gone. To poll it
//! twice for two wakes is waste; to poll it zero times for one is a hang.
//!
//! What follows. Tasks live in slots, and each slot has a *mark* ([`Mark`]): the serial of its tenant, whether the
//! tenant is in the queue, and the next slot there. A wake compares its number with the mark, and that
//! single comparison answers "does this task still live?" and "is it queued already?" at once. The queue is nothing but
//! these links, and so is the list of vacant slots: to queue, to vacate and to move in never allocate.
//!
//! ```text
//!                ┌────── 3 wake ──────┐
//!                │                    ▼
//!              idle ◄──── 2 pop ──── queued ◄──── 1 open ──── vacant
//!                │                    │                         ▲ ▲
//!             4 close              4 close                      │ │
//!                ▼                    ▼                         │ │
//!              over                 over, still queued          │ │
//!                │                    └── 5 vacate, 2 pop ──────┘ │
//!                └─────────────────────── 5 vacate ───────────────┘
//! ```
//!
//! `close` raises the serial, so from then on no wake fits. `pop` passes over a slot whose task is over.
//!
//! Invariants. 1: a number is in the queue at most once. The slot of a task that is gone may still be in
//! the queue; `pop` passes over it, and only then can the slot have a new tenant. The order is first in, first out within
//! each of two lanes ([`queue`]), unless a seed asks for another one.
//!
//! What it does not know: what is in a slot (`T`), futures, time, I/O, threads.

mod mark;
mod queue;

use self::mark::{EMPTY, Index, NOTES, NOWHERE, OVER};
pub(crate) use self::mark::{Mark, QUEUED, Slot, note};
use self::queue::Queue;
use crate::core::id::{MAX_SERIAL, MAX_SLOTS, TaskId};
use crate::core::random::Shuffle;

pub(crate) struct Slots<T> {
    runtime: u16,
    /// Where the serials of fresh slots begin.
    first_serial: u32,
    pub(crate) queue: Queue,
    pub(crate) slots: Vec<T>,
    /// The first of the vacant slots.
    vacant: Index,
    /// Takes the place of the queue's order, if a seed was given.
    shuffle: Option<Box<Shuffle>>,
}

/// A table of more slots is made smaller when most of them are vacant.
pub(crate) const SHRINK_ABOVE: usize = 1024;

impl<T: Slot> Slots<T> {
    /// `first_serial` is where the serials of fresh slots begin. A `seed` shuffles the order of `pop`.
    pub(crate) fn new(runtime: u16, first_serial: u32, seed: Option<u64>) -> Slots<T> {
        Slots {
            runtime,
            first_serial: first_serial.max(1),
            queue: Queue::new(),
            slots: Vec::new(),
            vacant: NOWHERE,
            shuffle: seed.map(|seed| Box::new(Shuffle::new(seed))),
        }
    }

    /// A task moves in: it gets a slot, as the last tenant left it, and a number. It is queued at once.
    #[inline]
    pub(crate) fn open(&mut self) -> (TaskId, &mut T) {
        if self.vacant == NOWHERE {
            self.build_slot();
        }
        let index = self.vacant;
        self.queue.push(&mut self.slots, index);
        let slot = &mut self.slots[index as usize];
        let mark = slot.mark();
        let serial = mark.serial();
        self.vacant = mark.next;
        mark.state = serial | QUEUED;
        (TaskId::new(self.runtime, serial, index as usize), slot)
    }

    #[cold]
    #[inline(never)]
    fn build_slot(&mut self) {
        let count = self.slots.len();
        assert!(count < MAX_SLOTS, "a roundel loop holds at most {MAX_SLOTS} tasks at once");
        if count == self.slots.capacity() && count >= SHRINK_ABOVE {
            // To double a large table would waste half of it.
            self.slots.reserve_exact(count / 8);
        }
        let mut slot = T::default();
        *slot.mark() = Mark { state: self.first_serial | OVER, next: NOWHERE };
        self.slots.push(slot);
        self.vacant = count as Index;
    }

    /// The slot of a number that is known to be good: it has not been vacated.
    #[inline]
    pub(crate) fn get(&mut self, id: TaskId) -> &mut T {
        &mut self.slots[id.slot()]
    }

    /// The task is over: `pop` returns its number no more, and its number wakes nothing.
    #[inline]
    pub(crate) fn close(&mut self, id: TaskId) -> &mut T {
        let slot = &mut self.slots[id.slot()];
        let mark = slot.mark();
        // After the highest serial comes 1.
        let before = if mark.serial() == MAX_SERIAL { mark.state - MAX_SERIAL } else { mark.state };
        mark.state = (before + 1) | OVER;
        slot
    }

    /// The slot of a task that is over can be used again, as soon as it is out of the queue, if `look` finds what it needs.
    #[inline]
    pub(crate) fn vacate_if<R, E>(
        &mut self,
        id: TaskId,
        look: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let slot = &mut self.slots[id.slot()];
        let found = look(slot)?;
        let mark = slot.mark();
        // A slot that is queued is vacant only when `pop` has passed over it, because its link belongs to the queue.
        if mark.has(QUEUED) {
            mark.state |= EMPTY;
        } else {
            mark.next = self.vacant;
            self.vacant = id.slot() as Index;
        }
        Ok(found)
    }

    /// The slots that are vacant.
    pub(crate) fn for_each_vacant(&mut self, mut visit: impl FnMut(&mut T)) {
        let mut index = self.vacant;
        while let Some(slot) = self.slots.get_mut(index as usize) {
            visit(slot);
            index = slot.mark().next;
        }
    }

    /// How many slots there are, with the vacant ones.
    pub(crate) fn count(&self) -> usize {
        self.slots.len()
    }

    /// The number of the task in `slot`; if it is over or the slot is vacant, the number of the next task there.
    pub(crate) fn number(&mut self, slot: usize) -> TaskId {
        TaskId::new(self.runtime, self.slots[slot].mark().serial(), slot)
    }

    /// The number of the task that was the last to end in `slot`.
    pub(crate) fn former(&mut self, slot: usize) -> TaskId {
        let next = self.slots[slot].mark().serial();
        TaskId::new(self.runtime, if next == 1 { MAX_SERIAL } else { next - 1 }, slot)
    }

    /// Queues a task. Whether that changed anything: not if it is queued already, and not if it is gone.
    #[inline]
    pub(crate) fn wake(&mut self, id: TaskId) -> bool {
        let Some(slot) = self.slots.get_mut(id.slot()) else { return false };
        let mark = slot.mark();
        if mark.state & !NOTES != id.serial() {
            return false;
        }
        mark.state |= QUEUED;
        self.queue.push(&mut self.slots, id.slot() as Index);
        true
    }

    /// Takes the next task out of the queue, and from its slot what `take` takes. From here on a wake queues it again
    /// (invariant 2). With `PLAIN`, there is no shuffle.
    #[inline]
    pub(crate) fn pop<const PLAIN: bool, R>(
        &mut self,
        take: impl FnOnce(&mut T) -> R,
    ) -> Option<(TaskId, R)> {
        loop {
            if !PLAIN {
                self.draw();
            }
            let (index, slot) = self.queue.pop(&mut self.slots)?;
            let mark = slot.mark();
            mark.state &= !QUEUED;
            if !mark.has(OVER) {
                let id = TaskId::new(self.runtime, mark.serial(), index as usize);
                return Some((id, take(slot)));
            }
            self.pass_over(index);
        }
    }

    /// The slot of a task that is gone has left the queue.
    #[cold]
    fn pass_over(&mut self, index: Index) {
        let mark = self.slots[index as usize].mark();
        if mark.has(EMPTY) {
            mark.state &= !EMPTY;
            mark.next = self.vacant;
            self.vacant = index;
        }
    }

    /// Puts one of the queued slots, chosen at random, in front. All others go to the shuffle.
    #[cold]
    fn draw(&mut self) {
        let Some(shuffle) = &mut self.shuffle else { return };
        let drawn = shuffle.draw(std::iter::from_fn(|| Some(self.queue.pop(&mut self.slots)?.0)));
        if let Some(index) = drawn {
            self.queue.push(&mut self.slots, index);
        }
    }

    /// Whether the queue is empty. Slots of finished tasks still count as queued. The cost is at most one extra look.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.shuffle.as_ref().is_none_or(|shuffle| shuffle.is_empty())
    }

    /// Removes the vacant slots at the end of the table. New tasks get the first of the others. The queue must be empty. A
    /// slot that is built again begins with the highest serial that a removed one had reached, so that old wakers still miss.
    #[cold]
    pub(crate) fn shrink(&mut self) {
        debug_assert!(self.is_empty());
        // Mark the vacant slots, because a slot does not know whether it is in their list.
        self.for_each_vacant(|slot| slot.mark().state |= EMPTY);
        while let Some(mut last) = self.slots.pop_if(|last| last.mark().has(EMPTY)) {
            self.first_serial = self.first_serial.max(last.mark().serial());
        }
        self.slots.shrink_to_fit();
        // Make the list again, in the order of the slots.
        self.vacant = NOWHERE;
        for (index, slot) in self.slots.iter_mut().enumerate().rev() {
            let mark = slot.mark();
            if mark.has(EMPTY) {
                (mark.state, mark.next) = (mark.state & !EMPTY, self.vacant);
                self.vacant = index as Index;
            }
        }
        if let Some(shuffle) = &mut self.shuffle {
            shuffle.shrink();
        }
    }

    /// Whether the task of the last slot is over, so that the slot may be vacant.
    pub(crate) fn is_last_over(&mut self) -> bool {
        self.slots.last_mut().is_some_and(|last| last.mark().is_over())
    }
}
