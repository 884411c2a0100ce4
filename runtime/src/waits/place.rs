//! Where a task waits at a source: a number that tells its wait from all others there.
//!
//! Facts. Any number of tasks may wait for one source, in both directions. Some wait in a future, which has a place of its own
//! among the waiters. Others have only left word, and are woken by the next report.
//!
//! What it does not know: who waits.

use crate::core::reactor::Direction;

/// Set in the place of a task that has left word at a source. Such a wait ends with the source's next report. Bit 62 is
/// the direction.
const WORD: u64 = 1 << 63;

/// The place of a future that waits at a source. Bit 61 is the direction.
pub(crate) fn place(direction: Direction, number: u64) -> u64 {
    (direction as u64) << 61 | number
}

/// The place of a task that has left word at a source.
pub(crate) fn word(direction: Direction, number: u64) -> u64 {
    WORD | (direction as u64) << 62 | number
}

/// Whether this is the place of a task that has left word.
pub(crate) fn is_word(place: u64) -> bool {
    place & WORD != 0
}

/// Which way the bytes go that a task waits for at this place of a source.
pub(crate) fn direction(place: u64) -> Direction {
    let bit = if place & WORD == 0 { 61 } else { 62 };
    if place & (1 << bit) == 0 { Direction::Read } else { Direction::Write }
}
