//! What each slot keeps for the slab and its queue.
//!
//! Facts. A wake has to learn two things: does the task that it names still live, and is it queued already? There are
//! millions of wakes, and the answer is mostly in memory that is not in the cache.
//!
//! What follows. Both answers stand in one word, beside the task: the serial of the tenant and the bits above it. If the
//! word, without the notes, equals the serial of the wake, the task lives and is not queued.
//!
//! ```text
//!   31       30     29      28  27            20 19                    0
//!  ┌────────┬──────┬───────┬───┬────────────────┬──────────────────────┐
//!  │ QUEUED │ OVER │ EMPTY │   │  notes (8)     │  serial (20)         │
//!  └────────┴──────┴───────┴───┴────────────────┴──────────────────────┘
//! ```
//!
//! What it does not know: what the notes mean, and what is in the slot.

use crate::core::id::MAX_SERIAL;

/// The index of a slot.
pub(crate) type Index = u32;

/// No slot: there are never so many.
pub(crate) const NOWHERE: Index = Index::MAX;

/// A slot, with room for a mark where its other fields leave some.
pub(crate) trait Slot: Default {
    fn mark(&mut self) -> &mut Mark;
}

#[derive(Debug, Default)]
pub(crate) struct Mark {
    /// The serial of the tenant, or of the next one when the tenant is over; the notes; and the three bits.
    pub(super) state: u32,
    /// The next slot in the queue, unless this is the last one of its lane; for a vacant slot, the next vacant one.
    pub(crate) next: Index,
}

/// Set while the slot is in the queue: from `open` or a wake until `pop`. It outlives the tenant: `close` leaves it, and
/// `pop` then passes over the slot.
pub(crate) const QUEUED: u32 = 1 << 31;
/// Set by `close`, when the tenant is over; cleared by `open`. The serial is already that of the next tenant, so no wake
/// fits.
pub(super) const OVER: u32 = 1 << 30;
/// Set when a slot is vacated while it is in the queue, which it can only leave by `pop`: that makes it vacant. Excludes a
/// place among the vacant slots. (`shrink` uses it for the vacant slots, while the queue is empty.)
pub(super) const EMPTY: u32 = 1 << 29;

/// Eight bits in which the slot's owner may note something about a tenant. `open` clears them.
pub(super) const NOTES: u32 = 0xff << 20;
const _: () = assert!(MAX_SERIAL < 1 << 20);

/// One of the eight notes.
pub(crate) const fn note(number: u32) -> u32 {
    1 << (20 + number) & NOTES
}

impl Mark {
    #[inline]
    pub(super) fn serial(&self) -> u32 {
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
