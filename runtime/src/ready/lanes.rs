//! The queue itself: numbers of tasks, in two lanes.
//!
//! Facts. Whom the world has woken (the kernel, a deadline, another thread) has waited for long, and does little. Whom
//! another task of this loop has woken, or the task itself, may come back for ever. In one queue, a task that
//! waits for a byte stands behind sixteen that burn 20 µs each, and is a third of a millisecond late.
//!
//! What follows. Two lanes, each first in, first out. While both have somebody, they take turns; so none waits for
//! more than the others in its own lane, twice over.
//!
//! ```text
//!   woken by the world ──► ▢ ▢ ▢ ──┐
//!                                  ├─ by turns ──► pop
//!   woken by a task    ──► ▢ ▢ ▢ ──┘
//! ```
//!
//! A lane is two lists: one grows at its end while the other is read from its beginning, and when that has been read
//! the two change places. To put a number in, and to take one out, is a few instructions each.
//!
//! What it does not know: what the numbers mean.

use std::mem::swap;

use crate::id::TaskId;

#[derive(Debug, Default)]
pub(crate) struct Lanes {
    tasks: Lane,
    world: Lane,
    /// Whether it is the world that wakes, at present.
    arriving: bool,
    /// Whose turn it is, if both have somebody.
    worlds_turn: bool,
}

#[derive(Debug, Default)]
struct Lane {
    /// Read up to `read`.
    leaving: Vec<TaskId>,
    read: usize,
    coming: Vec<TaskId>,
}

impl Lanes {
    /// Into which lane those go that are woken from now on.
    pub(crate) fn set_arriving(&mut self, arriving: bool) {
        self.arriving = arriving;
    }

    #[inline]
    pub(crate) fn push(&mut self, id: TaskId) {
        let lane = if self.arriving { &mut self.world } else { &mut self.tasks };
        lane.coming.push(id);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<TaskId> {
        if self.world.is_empty() {
            return self.tasks.pop();
        }
        self.worlds_turn = !self.worlds_turn;
        if self.worlds_turn || self.tasks.is_empty() { self.world.pop() } else { self.tasks.pop() }
    }

    /// Takes out any one of them, the last taking its place: for those who ask for disorder.
    pub(crate) fn take(&mut self, mut index: usize) -> TaskId {
        for lane in [&mut self.tasks, &mut self.world] {
            lane.leaving.drain(..lane.read);
            lane.read = 0;
            for list in [&mut lane.leaving, &mut lane.coming] {
                if index < list.len() {
                    return list.swap_remove(index);
                }
                index -= list.len();
            }
        }
        unreachable!("an index that is not below the length")
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len() + self.world.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.world.is_empty()
    }
}

impl Lane {
    #[inline]
    fn pop(&mut self) -> Option<TaskId> {
        if self.read == self.leaving.len() {
            self.turn_over();
        }
        let id = *self.leaving.get(self.read)?;
        self.read += 1;
        Some(id)
    }

    #[inline]
    fn turn_over(&mut self) {
        self.leaving.clear();
        self.read = 0;
        swap(&mut self.leaving, &mut self.coming);
    }

    fn len(&self) -> usize {
        self.leaving.len() - self.read + self.coming.len()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.read == self.leaving.len() && self.coming.is_empty()
    }
}
