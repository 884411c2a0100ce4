//! The queue itself: numbers of tasks, in two lanes.
//!
//! Facts. Whom the world has woken (the kernel, a deadline, another thread) has waited for long, and does little. Whom
//! another task of this loop has woken, or the task itself, may come back for ever. In one queue, a task that
//! waits for a byte stands behind sixteen that burn 20 µs each, and is a third of a millisecond late.
//!
//! What follows. Two lanes, each first in, first out. While both have somebody, they take turns; so nobody waits for
//! more than the others in the same lane, twice over.
//!
//! ```text
//!   woken by the world ──► ▢ ▢ ▢ ──┐
//!                                  ├─ by turns ──► pop
//!   woken by a task    ──► ▢ ▢ ▢ ──┘
//! ```
//!
//! So those whose deadlines have passed run in the order of their deadlines, whatever else there is to do.
//!
//! What it does not know: what the numbers mean.

use std::collections::VecDeque;

use crate::id::TaskId;

#[derive(Debug)]
pub(crate) struct Lanes {
    tasks: VecDeque<TaskId>,
    world: VecDeque<TaskId>,
    /// Whether it is the world that wakes, at present.
    arriving: bool,
    /// Whose turn it is, if both have somebody.
    worlds_turn: bool,
}

/// Room for so many is kept. More comes with a crowd, and goes with it.
const USUAL: usize = 128;

impl Lanes {
    pub(crate) fn new() -> Lanes {
        let lane = || VecDeque::with_capacity(USUAL);
        Lanes { tasks: lane(), world: lane(), arriving: false, worlds_turn: false }
    }

    /// There is time for it: gives back the memory that a crowd has needed.
    pub(crate) fn tidy_up(&mut self) {
        for lane in [&mut self.tasks, &mut self.world] {
            if lane.capacity() > 8 * USUAL {
                lane.shrink_to(USUAL);
            }
        }
    }

    /// From now on it is the world that wakes, or it is tasks again.
    #[inline]
    pub(crate) fn set_arriving(&mut self, arriving: bool) {
        self.arriving = arriving;
    }

    #[inline]
    pub(crate) fn push(&mut self, id: TaskId) {
        let lane = if self.arriving { &mut self.world } else { &mut self.tasks };
        lane.push_back(id);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<TaskId> {
        if self.world.is_empty() {
            return self.tasks.pop_front();
        }
        if !self.tasks.is_empty() {
            self.worlds_turn = !self.worlds_turn;
            if !self.worlds_turn {
                return self.tasks.pop_front();
            }
        }
        self.world.pop_front()
    }

    /// Takes out any one of them, and puts the first in its place: for those who ask for disorder.
    pub(crate) fn take(&mut self, index: usize) -> Option<TaskId> {
        match index.checked_sub(self.tasks.len()) {
            None => self.tasks.swap_remove_front(index),
            Some(index) => self.world.swap_remove_front(index),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len() + self.world.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.world.is_empty()
    }
}
