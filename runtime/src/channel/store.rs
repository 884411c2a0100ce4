//! The values of a channel, and the order in which it gives them out.
//!
//! Facts. First in, first out needs a ring; last in, first out a stack; by rank, a heap. Comparing two values runs
//! the values' own code, which may do anything, and may even use the same channel.
//!
//! What follows. The ring and the stack are borrowed for a moment. The values of the heap are *taken out* while they
//! are compared, so that code that runs in the meantime finds an empty heap. Values that it puts there are merged
//! afterwards (invariant 4).
//!
//! Invariant. Values of equal rank leave a heap in the order in which they came.
//!
//! What it does not know: which tasks wait.

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

    /// The smallest value comes out first.
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

    /// Whether values are being compared right now, so that the store looks empty.
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

/// A heap as the channel sees it: the channel does not require that its values can be ranked.
pub(crate) trait Ranked<T> {
    fn push(&self, value: T);
    fn pop(&self) -> Option<T>;
    fn len(&self) -> usize;
    fn is_out(&self) -> bool;
}

struct Heap<T> {
    values: BinaryHeap<Reverse<RankedValue<T>>>,
    /// How many values have come in all; the next value gets this number.
    arrived: u64,
    /// How many calls have the values taken out now; more than one if a comparison uses this channel.
    out: usize,
}

struct RankedValue<T> {
    value: T,
    /// How many values came before it: of two values of equal rank, the earlier one leaves first.
    arrived: u64,
}

impl<T: Ord> Ranked<T> for RefCell<Heap<T>> {
    fn push(&self, value: T) {
        let mut heap = self.borrow_mut();
        let arrived = heap.arrived;
        heap.arrived += 1;
        drop(heap);
        TakenOut::new(self).values.push(Reverse(RankedValue { value, arrived }));
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

/// The heap's values while they are compared. They go back when this is dropped, even if a comparison panics.
struct TakenOut<'a, T: Ord> {
    values: BinaryHeap<Reverse<RankedValue<T>>>,
    home: &'a RefCell<Heap<T>>,
    _out: Out<'a, T>,
}

/// Counts the values as taken out until this is dropped. That is after they are back, and also if putting them back
/// panics.
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
        // Merge what was put into the heap in the meantime. The merge compares values as well, so more may come.
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

impl<T: Ord> Ord for RankedValue<T> {
    fn cmp(&self, other: &RankedValue<T>) -> Ordering {
        self.value.cmp(&other.value).then(self.arrived.cmp(&other.arrived))
    }
}

impl<T: Ord> PartialOrd for RankedValue<T> {
    fn partial_cmp(&self, other: &RankedValue<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for RankedValue<T> {
    fn eq(&self, other: &RankedValue<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for RankedValue<T> {}
