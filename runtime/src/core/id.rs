//! A task's number, and how it is packed into one machine word.
//!
//! ```text
//!  63            48 47                28 27                           0
//! ┌────────────────┬────────────────────┬──────────────────────────────┐
//! │  runtime (16)  │    serial (20)     │          slot (28)           │
//! └────────────────┴────────────────────┴──────────────────────────────┘
//! ```
//!
//! Facts. A task sits in a *slot* of its loop's slab; slots are used again. A waker may outlive its task
//! by any length of time, and may be on any thread.
//!
//! What follows. The slot alone does not name a task: the *serial* tells one tenant of a slot from the
//! next, and the *runtime* tells one loop from another. Together they fit the pointer-sized word that a
//! [`std::task::Waker`] carries, so a waker needs no memory of its own.
//!
//! Serials begin with 1 in each loop, and a loop's number is a fresh one as long as there are any. So two runs of one program
//! give its tasks the same slots and serials. A task is printed as these two, and the traces of the two runs are the same text.
//!
//! What is not promised. A serial returns after a million tenants of its slot, and a loop's number after 65,536 loops. A
//! waker kept that long may wake a stranger: one poll too many, which every future has to tolerate anyway. Memory safety
//! never depends on a serial.
//!
//! This file knows nothing but arithmetic.

use std::fmt;
use std::num::NonZeroU64;

const SLOT_BITS: u32 = 28;
const SERIAL_BITS: u32 = 20;

/// How many tasks one loop can hold at once: 268 million.
pub(crate) const MAX_SLOTS: usize = 1 << SLOT_BITS;
/// The highest serial; the next is 1. Zero is never given out, so no number is zero.
pub(crate) const MAX_SERIAL: u32 = (1 << SERIAL_BITS) - 1;

/// The number by which a task is known, unique among the tasks alive in this process.
///
/// It is printed as slot and serial. These tell the tasks of one loop apart, and with
/// [`virtual_time`](crate::Builder::virtual_time) they are the same in each run of a program.
///
/// ```
/// roundel::run(async {
///     let handle = roundel::spawn(async { roundel::task::current().unwrap() });
///     let id = handle.id();
///     assert_eq!(handle.await.unwrap(), id);
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    #[inline]
    pub(crate) fn new(runtime: u16, serial: u32, slot: usize) -> TaskId {
        debug_assert!(serial != 0 && serial <= MAX_SERIAL && slot < MAX_SLOTS);
        let word =
            u64::from(runtime) << (SLOT_BITS + SERIAL_BITS) | u64::from(serial) << SLOT_BITS | slot as u64;
        TaskId(NonZeroU64::new(word).expect("serials begin with 1"))
    }

    /// The number in a waker's word. Any other word gives none, or a number that no task has.
    #[inline]
    pub(crate) fn from_word(word: usize) -> Option<TaskId> {
        NonZeroU64::new(word as u64).map(TaskId)
    }

    /// The task's number as one word. It is unique among the tasks alive in this process.
    #[must_use]
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.0.get()
    }

    #[inline]
    pub(crate) fn runtime(self) -> u16 {
        (self.0.get() >> (SLOT_BITS + SERIAL_BITS)) as u16
    }

    #[inline]
    pub(crate) fn serial(self) -> u32 {
        (self.0.get() >> SLOT_BITS) as u32 & MAX_SERIAL
    }

    #[inline]
    pub(crate) fn slot(self) -> usize {
        self.0.get() as usize % MAX_SLOTS
    }
}

// A waker's word is a pointer's word: on a smaller machine the number would not fit.
const _: () = assert!(size_of::<usize>() == 8, "roundel packs a task's number into a 64-bit waker word");

impl fmt::Display for TaskId {
    /// `#slot.serial`, for example `#3.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.slot(), self.serial())
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_survives_the_word() {
        for runtime in [0, 1, u16::MAX] {
            for serial in [1, 2, MAX_SERIAL] {
                for slot in [0, 1, MAX_SLOTS - 1] {
                    let id = TaskId::from_word(TaskId::new(runtime, serial, slot).as_u64() as usize).unwrap();
                    assert_eq!((id.runtime(), id.serial(), id.slot()), (runtime, serial, slot));
                }
            }
        }
    }
}
