//! Whose turn it is: the queue of tasks that can make progress.
//!
//! Facts. A task may be woken many times before it runs, and once more after it is gone. To poll it
//! twice for two wakes is waste; to poll it zero times for one is a hang.
//!
//! What follows. Tasks live in slots, and each slot has a *mark*: the serial of its tenant, whether the
//! tenant's number is in the queue, and who stands behind it there. A wake compares its number with the mark, and that
//! single comparison answers "does this task still live?" and "is it queued already?" at once. The queue is nothing but
//! these links, and so is the list of vacant slots: to queue, to vacate and to move in never allocate.
//!
//! ```text
//!                          wake
//!              idle mark ─────────► queued mark ◄───── open ───── vacant slot
//!                │   ▲                  │ │                            ▲
//!                │   └────── pop ───────┘ │                            │
//!                └────────► close ◄───────┘                            │
//!                             │ the serial goes up: wakes miss         │
//!                             └──── vacate, and out of the queue ──────┘
//! ```
//!
//! Invariants. 1: a number is in the queue at most once. The slot of a task that is gone may still stand in
//! the queue; `pop` passes over it, and only then has it a new tenant. Order is first in, first out within each of two
//! lanes ([`queue`]), unless a seed asks for disorder.
//!
//! What it does not know: what is in a slot (`T`), futures, time, I/O, threads.

mod queue;

use crate::core::id::{MAX_SERIAL, MAX_SLOTS, TaskId};
use crate::core::random::Shuffle;
use queue::Lanes;

pub(crate) struct Slots<T> {
    runtime: u16,
    first_serial: u32,
    lanes: Lanes,
    slots: Vec<T>,
    /// The first of the vacant slots.
    vacant: Place,
    /// For those who ask for disorder.
    shuffle: Option<Box<Shuffle>>,
}

/// The index of a slot.
pub(crate) type Place = u32;

/// No slot: there are never so many.
pub(crate) const NOWHERE: Place = Place::MAX;

/// What a slot keeps for us.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    /// The serial of the tenant (of the next one, when it is over), and the bits below, higher than any serial; between
    /// them, the notes.
    state: u32,
    /// The slot behind this one: in the queue, or among the vacant.
    next: Place,
}

/// The slot is in the queue.
const QUEUED: u32 = 1 << 31;
/// The tenant is over.
const OVER: u32 = 1 << 30;
/// The slot is vacant as soon as it is out of the queue.
const EMPTY: u32 = 1 << 29;

/// Eight bits in which the slot's owner may note something about a tenant; the next one begins without notes.
const NOTES: u32 = 0xff << 20;
const _: () = assert!(MAX_SERIAL < 1 << 20);

pub(crate) const fn note(number: u32) -> u32 {
    1 << (20 + number) & NOTES
}

impl Mark {
    #[inline]
    fn serial(&self) -> u32 {
        self.state & MAX_SERIAL
    }

    /// Whether the tenant is over, and the slot perhaps vacant.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.has(OVER)
    }

    #[inline]
    pub(crate) fn has(&self, bit: u32) -> bool {
        self.state & bit != 0
    }

    #[inline]
    pub(crate) fn set(&mut self, note: u32, to: bool) {
        self.state = if to { self.state | note } else { self.state & !note };
    }
}

/// A slot, with room for a mark where its other fields leave some.
pub(crate) trait Slot: Default {
    fn mark(&mut self) -> &mut Mark;
}

impl<T: Slot> Slots<T> {
    /// `first_serial` is where the serials of fresh slots begin; a `seed` shuffles the order of `pop`.
    pub(crate) fn new(runtime: u16, first_serial: u32, seed: Option<u64>) -> Slots<T> {
        Slots {
            runtime,
            first_serial: first_serial.max(1),
            lanes: Lanes::new(),
            slots: Vec::new(),
            vacant: NOWHERE,
            shuffle: seed.map(|seed| Box::new(Shuffle::new(seed))),
        }
    }

    /// A task moves in: it gets a slot, as the last tenant left it, and a number; and is queued at once.
    #[inline]
    pub(crate) fn open(&mut self) -> (TaskId, &mut T) {
        if self.vacant == NOWHERE {
            self.build_slot();
        }
        let place = self.vacant;
        self.lanes.push(&mut self.slots, place);
        let slot = &mut self.slots[place as usize];
        let mark = slot.mark();
        let serial = mark.serial();
        self.vacant = mark.next;
        (mark.state, mark.next) = (serial | QUEUED, NOWHERE);
        (TaskId::new(self.runtime, serial, place as usize), slot)
    }

    #[cold]
    #[inline(never)]
    fn build_slot(&mut self) {
        let count = self.slots.len();
        assert!(count < MAX_SLOTS, "a roundel loop holds at most {MAX_SLOTS} tasks at once");
        if count == self.slots.capacity() && count >= CROWD {
            // To double a large table would waste half of it.
            self.slots.reserve_exact(count / 8);
        }
        let mut slot = T::default();
        *slot.mark() = Mark { state: self.first_serial | OVER, next: NOWHERE };
        self.slots.push(slot);
        self.vacant = count as Place;
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
        let next_serial = if id.serial() == MAX_SERIAL { 1 } else { id.serial() + 1 };
        slot.mark().state = slot.mark().state & (QUEUED | NOTES) | OVER | next_serial;
        slot
    }

    /// The slot of a task that is over can be used again, at the latest when it is out of the queue.
    pub(crate) fn vacate(&mut self, id: TaskId) {
        let _ = self.vacate_if(id, |_| Ok::<(), ()>(()));
    }

    /// The same, if it is found to be so.
    #[inline]
    pub(crate) fn vacate_if<R, E>(
        &mut self,
        id: TaskId,
        look: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let slot = &mut self.slots[id.slot()];
        let found = look(slot)?;
        let mark = slot.mark();
        if mark.has(QUEUED) {
            mark.state |= EMPTY;
        } else {
            mark.next = self.vacant;
            self.vacant = id.slot() as Place;
        }
        Ok(found)
    }

    /// The slots that are vacant.
    pub(crate) fn for_each_vacant(&mut self, mut visit: impl FnMut(&mut T)) {
        let mut place = self.vacant;
        while let Some(slot) = self.slots.get_mut(place as usize) {
            visit(slot);
            place = slot.mark().next;
        }
    }

    /// How many slots there are, vacant ones too.
    pub(crate) fn count(&self) -> usize {
        self.slots.len()
    }

    /// The number of the task in `slot`, or, if it is over or vacant, one that nobody has yet.
    pub(crate) fn number(&mut self, slot: usize) -> TaskId {
        TaskId::new(self.runtime, self.slots[slot].mark().serial(), slot)
    }

    /// The number of the task that was the last to end in `slot`.
    pub(crate) fn former(&mut self, slot: usize) -> TaskId {
        let next = self.slots[slot].mark().serial();
        TaskId::new(self.runtime, if next == 1 { MAX_SERIAL } else { next - 1 }, slot)
    }

    /// Queues a task. Whether that changed anything: not if it is queued already, not if it is gone.
    #[inline]
    pub(crate) fn wake(&mut self, id: TaskId) -> bool {
        let Some(slot) = self.slots.get_mut(id.slot()) else { return false };
        let mark = slot.mark();
        if mark.state & !NOTES != id.serial() {
            return false;
        }
        (mark.state, mark.next) = (mark.state | QUEUED, NOWHERE);
        self.lanes.push(&mut self.slots, id.slot() as Place);
        true
    }

    /// From now on it is the world that wakes, or it is tasks again.
    pub(crate) fn set_arriving(&mut self, arriving: bool) {
        self.lanes.set_arriving(arriving);
    }

    /// Takes the next task out of the queue. From here on a wake queues it again (invariant 2).
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(TaskId, &mut T)> {
        let (place, serial) = loop {
            if self.shuffle.is_some() {
                self.draw();
            }
            let place = self.lanes.pop(&mut self.slots)?;
            let mark = self.slots[place as usize].mark();
            mark.state &= !QUEUED;
            if !mark.has(OVER) {
                break (place as usize, mark.serial());
            }
            self.pass_over(place);
        };
        Some((TaskId::new(self.runtime, serial, place), &mut self.slots[place]))
    }

    /// The slot of a task that is gone has left the queue.
    #[cold]
    fn pass_over(&mut self, place: Place) {
        let mark = self.slots[place as usize].mark();
        if mark.has(EMPTY) {
            mark.state &= !EMPTY;
            mark.next = self.vacant;
            self.vacant = place;
        }
    }

    /// Puts any one of those in the queue in front, and all others into the shuffle.
    #[cold]
    fn draw(&mut self) {
        let Some(shuffle) = &mut self.shuffle else { return };
        let drawn = shuffle.draw(std::iter::from_fn(|| self.lanes.pop(&mut self.slots)));
        if let Some(place) = drawn {
            self.slots[place as usize].mark().next = NOWHERE;
            self.lanes.push(&mut self.slots, place);
        }
    }

    /// Whether the queue is empty. The gone count: they cost one look too many at most.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.shuffle.as_ref().is_none_or(|shuffle| shuffle.is_empty())
    }

    /// Removes the vacant slots at the end of the table; new tasks get the first of the others. The queue must be empty. A slot
    /// that is built again begins with the highest serial that a removed one had reached, so that old wakers still miss.
    #[cold]
    pub(crate) fn shrink(&mut self) {
        debug_assert!(self.is_empty());
        self.for_each_vacant(|slot| slot.mark().state |= EMPTY);
        while let Some(mut last) = self.slots.pop_if(|last| last.mark().has(EMPTY)) {
            self.first_serial = self.first_serial.max(last.mark().serial());
        }
        self.slots.shrink_to_fit();
        self.vacant = NOWHERE;
        for (place, slot) in self.slots.iter_mut().enumerate().rev() {
            let mark = slot.mark();
            if mark.has(EMPTY) {
                (mark.state, mark.next) = (mark.state & !EMPTY, self.vacant);
                self.vacant = place as Place;
            }
        }
        if let Some(shuffle) = &mut self.shuffle {
            shuffle.shrink();
        }
    }

    /// Whether the task of the last slot is over, so that the slot may be vacant.
    pub(crate) fn ends_with_nobody(&mut self) -> bool {
        self.slots.last_mut().is_some_and(|last| last.mark().is_over())
    }
}

/// A table of so many slots is large.
pub(crate) const CROWD: usize = 1024;
