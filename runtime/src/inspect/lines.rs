//! What is known of locks and channels that tasks have waited for.
//!
//! Facts. The name and the place of a lock are told once, with the first wait for it. Nothing tells when a lock is gone, and a
//! program may make a channel for each request.
//!
//! What follows. The last few thousand that tasks have waited for are remembered, by when they were last used.
//!
//! Contract. A lock that was forgotten is shown by what it is and its number. The holder of a mutex is the one of this moment.
//! Of other locks, several tasks may have a part, so none of them is named.
//!
//! What it does not know: which tasks wait.

use std::collections::BTreeMap;
use std::panic::Location;

use crate::core::clock::Nanos;
use crate::core::id::TaskId;

/// What is said of a lock or a channel when a task waits for it for the first time.
#[derive(Clone, Copy, Default)]
pub(super) struct Line {
    pub(super) name: Option<&'static str>,
    pub(super) made_at: Option<&'static Location<'static>>,
    /// When a task has last begun to wait for it.
    pub(super) used: Nanos,
    /// The task that holds it now, if it is a mutex.
    pub(super) holder: Option<TaskId>,
}

/// How many locks and channels are remembered at least, if there are that many.
const LINES: usize = 4096;

/// The locks and channels that tasks have waited for. Nothing tells when one is gone.
#[derive(Default)]
pub(super) struct Lines {
    known: BTreeMap<u64, Line>,
}

impl Lines {
    pub(super) fn add(&mut self, number: u64, line: Line) {
        self.known.insert(number, line);
        if self.known.len() > 2 * LINES {
            self.forget_the_older_half();
        }
    }

    /// The task that holds it now, if that is known.
    pub(super) fn holder(&self, number: u64) -> Option<TaskId> {
        self.known.get(&number)?.holder
    }

    /// A mutex is held by this task from now on, or by none.
    pub(super) fn set_holder(&mut self, number: u64, holder: Option<TaskId>) {
        self.known.get_mut(&number).into_iter().for_each(|line| line.holder = holder);
    }

    /// A task begins to wait for it.
    pub(super) fn use_one(&mut self, number: u64, now: Nanos) -> Line {
        let Some(line) = self.known.get_mut(&number) else { return Line::default() };
        line.used = now;
        *line
    }

    #[cold]
    fn forget_the_older_half(&mut self) {
        let mut used: Vec<(Nanos, u64)> =
            self.known.iter().map(|(number, line)| (line.used, *number)).collect();
        let (older, ..) = used.select_nth_unstable(LINES);
        older.iter().for_each(|(_, number)| _ = self.known.remove(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ones_in_use_are_remembered_and_there_are_never_many() {
        let mut lines = Lines::default();
        let name = |name| Line { name: Some(name), ..Line::default() };
        lines.add(0, name("in use"));
        lines.add(1, name("idle"));
        for number in 2..100_000 {
            lines.add(number, Line { used: number, ..Line::default() });
            assert_eq!(lines.use_one(0, number).name, Some("in use"));
            assert!(lines.known.len() <= 2 * LINES);
        }
        assert_eq!(lines.use_one(1, 0).name, None);
        assert!(lines.known.len() >= LINES);
    }
}
