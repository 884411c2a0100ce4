//! What is known of a watched loop, for its own thread and for others.
//!
//! Facts. The loop's thread writes, and a thread that answers questions reads. Neither may wait for long.
//!
//! What follows. A table under a lock, which both take for a few steps at a time. What does not change stands beside it.
//!
//! What it does not know: what is written, and what it is read for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::core::clock::{Nanos, Stopwatch, saturating_nanos};
use crate::inspect::table::Table;

/// What is known of a watched loop, for its own thread and for others.
pub(crate) struct Seen {
    /// Runs since the runtime was built.
    watch: Stopwatch,
    pub(super) is_virtual: bool,
    /// Whether other processes may ask.
    pub(super) is_open: bool,
    /// The name of the thread that has built the runtime.
    pub(super) thread: Option<String>,
    table: Mutex<Table>,
}

impl Seen {
    pub(crate) fn new(is_virtual: bool, is_open: bool) -> Arc<Seen> {
        let thread = std::thread::current().name().map(String::from);
        Arc::new(Seen {
            watch: Stopwatch::now(),
            is_virtual,
            is_open,
            thread,
            table: Mutex::new(Table::default()),
        })
    }

    /// The real time since the runtime was built.
    pub(super) fn now(&self) -> Nanos {
        saturating_nanos(self.watch.elapsed())
    }

    /// The loop's clock, as far as a thread can read it: it is the real time, unless it is virtual.
    pub(super) fn clock(&self) -> Option<Nanos> {
        (!self.is_virtual).then(|| self.now())
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
