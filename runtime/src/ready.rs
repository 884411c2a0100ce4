//! Whose turn it is: the queue of tasks that can make progress.
//!
//! Facts. A task may be woken many times before it runs, and once more after it is gone. To poll it
//! twice for two wakes is waste; to poll it zero times for one is a hang.
//!
//! What follows. Beside the queue there is one *mark* per slot: the serial of the task that lives there,
//! and whether its number is in the queue. A wake compares its number with the mark, and that single
//! comparison answers "does this task still live?" and "is it queued already?" at once.
//!
//! ```text
//!            open(slot)                  wake(id)
//!   vacant ─────────────► idle mark ──────────────► queued mark
//!     ▲                     │  ▲                        │
//!     └─────── close(id) ───┘  └───────── pop() ────────┘
//! ```
//!
//! Invariants. 1: a number is in the queue at most once. A number whose task is gone may still stand in
//! the queue; `pop` passes over it. Order is first in, first out, unless a seed asks for disorder.
//!
//! What it does not know: futures, time, I/O, threads. It is a list of numbers.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::id::{SERIALS, TaskId};

#[derive(Debug)]
pub(crate) struct Ready {
    runtime: u16,
    first_serial: u32,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<TaskId>,
    marks: Vec<u32>,
    dice: Option<Dice>,
}

/// Set in a mark while the task's number is in the queue. Serials are shorter than this bit is high.
const QUEUED: u32 = 1 << 31;

impl Ready {
    /// `first_serial` is where the serials of fresh slots begin; a `seed` shuffles the order of `pop`.
    pub(crate) fn new(runtime: u16, first_serial: u32, seed: Option<u64>) -> Ready {
        let state = State { queue: VecDeque::new(), marks: Vec::new(), dice: seed.map(Dice) };
        Ready { runtime, first_serial, state: RefCell::new(state) }
    }

    pub(crate) fn runtime(&self) -> u16 {
        self.runtime
    }

    /// A task moves into `slot` and gets its number; it is queued at once.
    pub(crate) fn open(&self, slot: usize) -> TaskId {
        let mut state = self.state.borrow_mut();
        if slot >= state.marks.len() {
            state.marks.resize(slot + 1, self.first_serial);
        }
        let mark = state.marks[slot] & !QUEUED;
        let id = TaskId::new(self.runtime, mark, slot);
        state.marks[slot] = mark | QUEUED;
        state.queue.push_back(id);
        id
    }

    /// The task is over. Its number will not be popped any more, and the slot's next tenant gets another.
    pub(crate) fn close(&self, id: TaskId) {
        self.state.borrow_mut().marks[id.slot()] = (id.serial() + 1) % SERIALS;
    }

    /// The number of the task that lives in `slot`.
    pub(crate) fn tenant(&self, slot: usize) -> TaskId {
        TaskId::new(self.runtime, self.state.borrow().marks[slot] & !QUEUED, slot)
    }

    /// Queues a task. Whether that changed anything: not if it is queued already, not if it is gone.
    #[inline]
    pub(crate) fn wake(&self, id: TaskId) -> bool {
        let mut state = self.state.borrow_mut();
        match state.marks.get_mut(id.slot()) {
            Some(mark) if *mark == id.serial() => *mark |= QUEUED,
            _ => return false,
        }
        state.queue.push_back(id);
        true
    }

    /// Takes the next task out of the queue. From here on a wake queues it again (invariant 2).
    #[inline]
    pub(crate) fn pop(&self) -> Option<TaskId> {
        let mut state = self.state.borrow_mut();
        loop {
            let id = state.next()?;
            let mark = &mut state.marks[id.slot()];
            if *mark == id.serial() | QUEUED {
                *mark = id.serial();
                return Some(id);
            }
        }
    }

    /// Whether the queue is empty. A queue of the gone counts as not empty: one look too many at most.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.borrow().queue.is_empty()
    }

    /// The serial from which a successor of this loop may start, so that our last wakers miss its tasks.
    pub(crate) fn last_serial(&self) -> u32 {
        self.state.borrow().marks.iter().map(|mark| mark & !QUEUED).max().unwrap_or(self.first_serial)
    }
}

impl State {
    #[inline]
    fn next(&mut self) -> Option<TaskId> {
        match &mut self.dice {
            None => self.queue.pop_front(),
            Some(dice) => {
                let chosen = dice.roll(self.queue.len().max(1));
                self.queue.swap_remove_front(chosen)
            }
        }
    }
}

/// A small random number generator (splitmix64): the same seed gives the same schedule, for ever.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}
