//! The values that are sent. Each has a number, and its whole way is recorded in the books.
//!
//! For a channel, dropping, cloning and comparing values is foreign code. So here these operations use that very
//! channel.

use std::cell::Cell;
use std::cmp::Ordering;
use std::rc::Rc;

use crate::meddle;
use crate::panics::contain;
use crate::world::{Alive, World, here};

/// Where a value is, as far as the program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The program has it.
    Held,
    /// It was handed to a send that has not returned yet.
    Offered(usize),
    /// A send into this lane has returned `Ok`.
    Sent(usize),
    /// A send into this rendezvous has returned `Ok`. So a receiver must have it, or be about to return it.
    HandedOver(usize),
    Received,
    /// It was dropped with its send, or by the channel before that send had ended.
    DroppedUnsent,
    Dropped,
}

pub(crate) struct Value {
    pub(crate) number: usize,
    rank: usize,
    _alive: Alive,
}

impl Value {
    pub(crate) fn new(world: &World) -> Value {
        let number = world.values.borrow().len();
        world.values.borrow_mut().push(Place::Held);
        Value { number, rank: world.dice.below(3), _alive: Alive::new(world) }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        let Some(world) = here() else { return };
        let place = world.place(self.number);
        let after = match place {
            Place::Offered(_) => Place::DroppedUnsent,
            _ => Place::Dropped,
        };
        world.move_value(self.number, after);
        if let Place::Sent(lane) | Place::HandedOver(lane) = place
            && world.has_receivers(lane)
        {
            world.fault(format!("value {} was sent into lane {lane}, and was dropped there", self.number));
        }
        meddle::in_drop(&world);
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        if let Some(world) = here() {
            // This does not panic, because if a comparison panics, the channel may lose one of the values.
            let before = world.comparing.replace(true);
            contain(|| meddle::rarely(&world, 30));
            world.comparing.set(before);
        }
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

/// A broadcast value. It can be cloned, and carries its number in the sequence.
pub(crate) struct Note {
    pub(crate) row: u64,
    /// It was cloned, and does not panic any more: if the original is dropped while its clone is on its way out of a
    /// function, and panics, the compiler leaks the clone.
    calm: Cell<bool>,
    _alive: Alive,
}

impl Note {
    pub(crate) fn new(world: &World, row: u64) -> Note {
        Note { row, calm: Cell::new(false), _alive: Alive::new(world) }
    }

    /// The first note, made while the world is not complete yet.
    pub(crate) fn first(alive: &Rc<Cell<usize>>) -> Note {
        Note { row: 0, calm: Cell::new(false), _alive: Alive::count_in(alive) }
    }
}

impl Clone for Note {
    fn clone(&self) -> Note {
        self.calm.set(true);
        if let Some(world) = here() {
            contain(|| meddle::rarely(&world, 8));
        }
        Note { row: self.row, calm: Cell::new(false), _alive: self._alive.clone() }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        match here() {
            Some(world) if self.calm.get() => drop(contain(|| meddle::rarely(&world, 6))),
            Some(world) => meddle::in_drop(&world),
            None => {}
        }
    }
}
