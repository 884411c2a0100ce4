//! In what order a channel gives back what was put in.
//!
//! Facts. First in, first out needs a ring; last in, first out a stack; by rank, a heap. To rank two values runs
//! their own code, which may do anything, also use the very channel that is asking.
//!
//! What follows. The ring and the stack are borrowed for a moment. The heap is *taken out* while it compares, so
//! that whoever comes meanwhile finds an empty one; what they leave there is merged afterwards (invariant 4).
//!
//! Invariant. Values of equal rank leave a heap in the order in which they came.
//!
//! What it does not know: who waits.

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

pub(crate) enum Store<T> {
    Fifo(RefCell<VecDeque<T>>),
    Lifo(RefCell<Vec<T>>),
    Ranked(Box<dyn Ranked<T>>),
}

impl<T> Store<T> {
    pub(crate) fn fifo() -> Store<T> {
        Store::Fifo(RefCell::default())
    }

    pub(crate) fn lifo() -> Store<T> {
        Store::Lifo(RefCell::default())
    }

    /// The smallest comes out first.
    pub(crate) fn smallest_first() -> Store<T>
    where
        T: Ord + 'static,
    {
        Store::Ranked(Box::new(RefCell::new(Heap { values: BinaryHeap::new(), arrived: 0, out: 0 })))
    }

    #[inline]
    pub(crate) fn push(&self, value: T) {
        match self {
            Store::Fifo(ring) => ring.borrow_mut().push_back(value),
            Store::Lifo(stack) => stack.borrow_mut().push(value),
            Store::Ranked(heap) => heap.push(value),
        }
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<T> {
        match self {
            Store::Fifo(ring) => ring.borrow_mut().pop_front(),
            Store::Lifo(stack) => stack.borrow_mut().pop(),
            Store::Ranked(heap) => heap.pop(),
        }
    }

    /// Whether values are being compared right now, so that there seem to be none.
    #[inline]
    pub(crate) fn is_out(&self) -> bool {
        match self {
            Store::Fifo(_) | Store::Lifo(_) => false,
            Store::Ranked(heap) => heap.is_out(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Store::Fifo(ring) => ring.borrow().len(),
            Store::Lifo(stack) => stack.borrow().len(),
            Store::Ranked(heap) => heap.len(),
        }
    }
}

/// A heap, as the channel sees it, which does not know that its values can be ranked.
pub(crate) trait Ranked<T> {
    fn push(&self, value: T);
    fn pop(&self) -> Option<T>;
    fn len(&self) -> usize;
    fn is_out(&self) -> bool;
}

struct Heap<T> {
    values: BinaryHeap<Reverse<Entry<T>>>,
    arrived: u64,
    /// How many times the values are taken out at the moment.
    out: usize,
}

struct Entry<T> {
    value: T,
    /// When it came: the tie-breaker.
    arrived: u64,
}

impl<T: Ord> Ranked<T> for RefCell<Heap<T>> {
    fn push(&self, value: T) {
        let mut heap = self.borrow_mut();
        let arrived = heap.arrived;
        heap.arrived += 1;
        drop(heap);
        TakenOut::new(self).values.push(Reverse(Entry { value, arrived }));
    }

    fn pop(&self) -> Option<T> {
        TakenOut::new(self).values.pop().map(|Reverse(entry)| entry.value)
    }

    fn len(&self) -> usize {
        self.borrow().values.len()
    }

    fn is_out(&self) -> bool {
        self.borrow().out > 0
    }
}

/// The heap's values while they are compared; they go back even if that panics.
struct TakenOut<'a, T: Ord> {
    values: BinaryHeap<Reverse<Entry<T>>>,
    home: &'a RefCell<Heap<T>>,
    _out: Out<'a, T>,
}

/// Counts as out until this is dropped: after the values are back, and also if that panics.
struct Out<'a, T>(&'a RefCell<Heap<T>>);

impl<T> Drop for Out<'_, T> {
    fn drop(&mut self) {
        self.0.borrow_mut().out -= 1;
    }
}

impl<'a, T: Ord> TakenOut<'a, T> {
    fn new(home: &'a RefCell<Heap<T>>) -> TakenOut<'a, T> {
        let mut heap = home.borrow_mut();
        heap.out += 1;
        TakenOut { values: std::mem::take(&mut heap.values), home, _out: Out(home) }
    }
}

impl<T: Ord> Drop for TakenOut<'_, T> {
    fn drop(&mut self) {
        loop {
            let meanwhile = std::mem::take(&mut self.home.borrow_mut().values);
            if meanwhile.is_empty() {
                break;
            }
            self.values.extend(meanwhile);
        }
        let mut heap = self.home.borrow_mut();
        heap.values = std::mem::take(&mut self.values);
    }
}

impl<T: Ord> Ord for Entry<T> {
    fn cmp(&self, other: &Entry<T>) -> Ordering {
        self.value.cmp(&other.value).then(self.arrived.cmp(&other.arrived))
    }
}

impl<T: Ord> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Entry<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Entry<T> {
    fn eq(&self, other: &Entry<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Entry<T> {}
