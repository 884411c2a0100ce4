//! The watched loops of this process, by their numbers.
//!
//! Facts. A process may have several loops, each on a thread of its own. They come and go at any time. A thread that answers
//! questions has to find them, and so has a task that asks for the counters of its own loop.
//!
//! What follows. One table for the process, under one lock. A look-up returns a reference of its own.
//!
//! Invariant. Nothing else is locked and nothing is called inside this lock.
//!
//! What it does not know: what is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::inspect::seen::Seen;

type Loops = BTreeMap<u16, Arc<Seen>>;

static LOOPS: Mutex<Loops> = Mutex::new(BTreeMap::new());

fn loops() -> MutexGuard<'static, Loops> {
    LOOPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A watched loop has been built.
pub(super) fn add(number: u16, seen: Arc<Seen>) {
    let before = loops().insert(number, seen);
    drop(before);
}

/// A watched loop is gone.
pub(super) fn remove(gone: &Arc<Seen>) {
    loops().retain(|_, seen| !Arc::ptr_eq(seen, gone));
}

/// Forgets all loops: they are those of the process that has forked this one.
pub(super) fn clear() {
    let before = std::mem::take(&mut *loops());
    drop(before);
}

/// What is known of a loop, if it is watched.
pub(super) fn find(number: u16) -> Option<Arc<Seen>> {
    loops().get(&number).cloned()
}

/// The loops that may be asked from outside, with their numbers.
pub(super) fn open() -> Vec<(u16, Arc<Seen>)> {
    let loops = loops();
    let open = loops.iter().filter(|(_, seen)| seen.is_open);
    open.map(|(number, seen)| (*number, Arc::clone(seen))).collect()
}
