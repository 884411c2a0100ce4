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
//! What is not promised. A serial returns after 2²⁰ tenants of its slot. A waker kept that long wakes a
//! stranger: one poll too many, which every future has to tolerate anyway. Memory safety never depends
//! on a serial.
//!
//! This file knows nothing but arithmetic.

use std::fmt;

const SLOT_BITS: u32 = 28;
const SERIAL_BITS: u32 = 20;

/// How many tasks one loop can hold at once: 268 million.
pub(crate) const MAX_SLOTS: usize = 1 << SLOT_BITS;
/// Serials count modulo this.
pub(crate) const SERIALS: u32 = 1 << SERIAL_BITS;

/// The number by which a task is known, unique among the tasks alive in this process.
///
/// ```
/// roundel::run(async {
///     let handle = roundel::spawn(async { roundel::task::current().unwrap() });
///     let id = handle.id();
///     assert_eq!(handle.await.unwrap(), id);
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

impl TaskId {
    pub(crate) fn new(runtime: u16, serial: u32, slot: usize) -> TaskId {
        debug_assert!(serial < SERIALS && slot < MAX_SLOTS);
        TaskId(u64::from(runtime) << (SLOT_BITS + SERIAL_BITS) | u64::from(serial) << SLOT_BITS | slot as u64)
    }

    pub(crate) fn from_word(word: usize) -> TaskId {
        TaskId(word as u64)
    }

    /// The whole number as one word: what a waker carries.
    pub(crate) fn word(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn runtime(self) -> u16 {
        (self.0 >> (SLOT_BITS + SERIAL_BITS)) as u16
    }

    pub(crate) fn serial(self) -> u32 {
        (self.0 >> SLOT_BITS) as u32 % SERIALS
    }

    pub(crate) fn slot(self) -> usize {
        self.0 as usize % MAX_SLOTS
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
        write!(f, "TaskId(#{}.{} of runtime {})", self.slot(), self.serial(), self.runtime())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_survives_the_word() {
        for runtime in [0, 1, u16::MAX] {
            for serial in [0, 1, SERIALS - 1] {
                for slot in [0, 1, MAX_SLOTS - 1] {
                    let id = TaskId::from_word(TaskId::new(runtime, serial, slot).word());
                    assert_eq!((id.runtime(), id.serial(), id.slot()), (runtime, serial, slot));
                }
            }
        }
    }
}
