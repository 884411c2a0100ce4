//! All pending timers of a loop: which waker to use at which time.
//!
//! Facts. Most timers never fire: they are timeouts, dropped long before. The loop asks for the nearest
//! deadline each time it parks. Deadlines are exact, so there are no ticks to round to.
//!
//! What follows. A 4-ary heap ordered by (deadline, order of insertion). A table beside it says where in the heap each timer
//! stands, so that any timer can be taken out, for real, in O(log n). A new deadline is mostly the latest, so inserting it
//! at the bottom costs one comparison. Four children rather than two: half the levels, and the four stand in one cache line.
//!
//! ```text
//!   heap     [(5 ms, #7, slot 2)] [(8 ms, #4, slot 0)] [(9 ms, #9, slot 1)] …    by deadline
//!   places   0: at 1               1: at 2              2: at 0                  by slot
//!   slab     0: #4, waker          1: #9, waker         2: #7, waker             by slot
//! ```
//!
//! When few of many timers are left, they move to smaller tables. Their keys cannot be changed, because the sleeps hold them,
//! so a map gives the new slot for a serial. A key is looked up in its slot first and then in that map.
//!
//! Invariants. 4: wakers are taken out, the borrow is released, and then the loop wakes them.
//! 9: a timer fires only if its deadline is not later than the time given. Timers that are due at the same
//! time fire in the order of their deadlines, then of their insertion. A timer fires at most once.
//!
//! What it does not know: tasks, clocks, the kernel. It is told the time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;

use slab::Slab;

use crate::core::clock::{NEVER, Nanos};
use crate::core::panics;
use crate::core::probe::{Event, Probe};

/// Names one pending timer. Once the timer has fired or was cancelled, the key fits nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    slot: u32,
    serial: u32,
}

impl Key {
    /// The timer's number for the probe.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.serial)
    }
}

pub(crate) struct Timers {
    heap: RefCell<Heap>,
    /// When the runtime ended.
    closed: Cell<Option<Nanos>>,
    pub(crate) probe: Rc<Probe>,
}

impl Timers {
    pub(crate) fn new(probe: Rc<Probe>) -> Timers {
        Timers { heap: RefCell::default(), closed: Cell::new(None), probe }
    }

    pub(crate) fn insert(&self, deadline: Nanos, waker: Waker) -> Key {
        self.heap.borrow_mut().insert(deadline, waker)
    }

    /// Whether the timer is still pending; if it is, it will wake `waker`.
    pub(crate) fn renew(&self, key: Key, waker: &Waker) -> bool {
        match self.heap.borrow().get(key) {
            None => return false,
            Some(timer) if timer.waker.will_wake(waker) => return true,
            Some(_) => {}
        }
        // The borrow is over: `clone` may run anything, even something that cancels this very timer.
        let mut waker = waker.clone();
        let pending = match self.heap.borrow_mut().get_mut(key) {
            Some(timer) => {
                std::mem::swap(&mut timer.waker, &mut waker);
                true
            }
            None => false,
        };
        drop(waker);
        pending
    }

    /// Takes the timer out, if it is still pending.
    pub(crate) fn cancel(&self, key: Key) {
        let waker = self.heap.borrow_mut().remove(key);
        drop(waker);
    }

    /// The nearest deadline, if there is any.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.heap.borrow().entries.first().map(|entry| entry.deadline)
    }

    /// Takes out all that are due at `now`, in order. The caller wakes them.
    pub(crate) fn take_due(&self, now: Nanos, due: &mut Vec<Waker>) {
        loop {
            let Some((key, waker)) = self.heap.borrow_mut().pop_due(now) else { return };
            self.probe.emit(|| Event::TimerFired { timer: key.number() });
            due.push(waker);
        }
    }

    /// The loop is about to wait: gives back the memory that many timers have needed.
    pub(crate) fn tidy_up(&self) {
        let mut heap = self.heap.borrow_mut();
        let slots = heap.timers.capacity();
        if slots > SHRINK_ABOVE && heap.timers.len() < slots / 4 {
            heap.shrink();
        }
    }

    /// The runtime ends `now`: nothing fires any more. A sleep that another loop awaits is woken to hear of it. Each waker
    /// is used by itself, because two of them may panic.
    pub(crate) fn close(&self, now: Nanos) {
        self.closed.set(Some(now));
        let heap = self.heap.take();
        heap.timers.into_iter().for_each(|(_, timer)| panics::wake(timer.waker));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get().is_some()
    }

    /// Whether the runtime ended before this deadline.
    pub(crate) fn is_closed_before(&self, deadline: Nanos) -> bool {
        self.closed.get().is_some_and(|now| now < deadline)
    }
}

#[derive(Default)]
struct Heap {
    /// A 4-ary heap: the children of entry i are entries 4i+1 to 4i+4.
    entries: Vec<Entry>,
    timers: Slab<Timer>,
    /// Where in `entries` each timer stands; apart from the wakers, since every move in the heap writes here.
    places: Vec<u32>,
    serial: u32,
    /// The slots of timers that have moved, by serial. Entries of timers that are gone may be left.
    moved: HashMap<u32, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: Nanos,
    serial: u32,
    slot: u32,
}

struct Timer {
    waker: Waker,
    serial: u32,
}

const CHILDREN: usize = 4;
/// Tables for fewer timers are not made smaller.
const SHRINK_ABOVE: usize = 1024;

impl Entry {
    /// Serials wrap around, so the older of two is told by the sign of their difference.
    fn before(&self, other: &Entry) -> bool {
        self.deadline < other.deadline
            || self.deadline == other.deadline && (self.serial.wrapping_sub(other.serial) as i32) < 0
    }
}

impl Heap {
    fn insert(&mut self, deadline: Nanos, waker: Waker) -> Key {
        debug_assert!(deadline != NEVER);
        let serial = self.serial;
        self.serial = serial.wrapping_add(1);
        let place = self.entries.len();
        let slot = self.timers.insert(Timer { waker, serial }) as u32;
        self.entries.push(Entry { deadline, serial, slot });
        if slot as usize == self.places.len() {
            self.places.push(0);
        }
        self.places[slot as usize] = place as u32;
        if place > 0 {
            self.rise(place);
        }
        Key { slot, serial }
    }

    fn get(&self, key: Key) -> Option<&Timer> {
        match self.timers.get(key.slot as usize) {
            Some(timer) if timer.serial == key.serial => Some(timer),
            _ => self.get_moved(key),
        }
    }

    #[cold]
    fn get_moved(&self, key: Key) -> Option<&Timer> {
        let slot = *self.moved.get(&key.serial)?;
        self.timers.get(slot as usize).filter(|timer| timer.serial == key.serial)
    }

    /// The slot of a timer that is pending.
    #[inline]
    fn slot(&self, key: Key) -> Option<usize> {
        match self.timers.get(key.slot as usize) {
            Some(timer) if timer.serial == key.serial => Some(key.slot as usize),
            _ => self.get_moved(key).map(|_| self.moved[&key.serial] as usize),
        }
    }

    fn get_mut(&mut self, key: Key) -> Option<&mut Timer> {
        let slot = self.slot(key)?;
        self.timers.get_mut(slot)
    }

    fn remove(&mut self, key: Key) -> Option<Waker> {
        let slot = self.slot(key)?;
        Some(self.take(self.places[slot] as usize).1)
    }

    /// Moves the timers to tables that are just large enough. Their order does not change.
    #[cold]
    fn shrink(&mut self) {
        let Heap { entries, timers, moved, .. } = self;
        *moved = HashMap::new();
        let packed = entries.iter_mut().enumerate().map(|(place, entry)| {
            let timer = timers.remove(entry.slot as usize);
            entry.slot = place as u32;
            moved.insert(entry.serial, entry.slot);
            (place, timer)
        });
        // Collected, because a second call of `Slab::insert` would keep the first one from being inlined.
        self.timers = packed.collect();
        self.entries.shrink_to_fit();
        // The slots are in the order of the heap now.
        self.places = (0..self.entries.len() as u32).collect();
    }

    fn pop_due(&mut self, now: Nanos) -> Option<(Key, Waker)> {
        self.entries.first().filter(|entry| entry.deadline <= now)?;
        Some(self.take(0))
    }

    /// Takes out the entry at `place` and lets the last one fill the gap.
    fn take(&mut self, place: usize) -> (Key, Waker) {
        let entry = self.entries.swap_remove(place);
        if place < self.entries.len() {
            // The one that moved in came from the bottom, though maybe from under another branch.
            let place = self.rise(place);
            self.sink(place);
        }
        let timer = self.timers.remove(entry.slot as usize);
        (Key { slot: entry.slot, serial: entry.serial }, timer.waker)
    }

    /// Moves the entry at `place` up to where it belongs; returns where that is.
    fn rise(&mut self, mut place: usize) -> usize {
        let entry = self.entries[place];
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if !entry.before(&self.entries[parent]) {
                break;
            }
            self.put(place, self.entries[parent]);
            place = parent;
        }
        self.put(place, entry);
        place
    }

    /// Moves the entry at `place` down to where it belongs.
    fn sink(&mut self, mut place: usize) {
        let entry = self.entries[place];
        while let Some(child) = self.first_child(place) {
            if !self.entries[child].before(&entry) {
                break;
            }
            self.put(place, self.entries[child]);
            place = child;
        }
        self.put(place, entry);
    }

    /// The child that comes first among the (at most four) children of `place`.
    fn first_child(&self, place: usize) -> Option<usize> {
        let start = place * CHILDREN + 1;
        let end = (start + CHILDREN).min(self.entries.len());
        (start..end).reduce(|a, b| if self.entries[b].before(&self.entries[a]) { b } else { a })
    }

    fn put(&mut self, place: usize, entry: Entry) {
        self.entries[place] = entry;
        self.places[entry.slot as usize] = place as u32;
    }
}

#[cfg(test)]
impl Key {
    pub(crate) fn slot(self) -> u32 {
        self.slot
    }
}

#[cfg(test)]
impl Timers {
    /// How many there is room for.
    pub(crate) fn slots(&self) -> usize {
        self.heap.borrow().timers.capacity()
    }

    /// Begins to count in the middle, or shortly before the serials wrap around.
    pub(crate) fn starting_at(serial: u32, probe: Probe) -> Timers {
        let timers = Timers::new(Rc::new(probe));
        timers.heap.borrow_mut().serial = serial;
        timers
    }

    /// No child stands before its parent, and the places are the right ones.
    pub(crate) fn check(&self) {
        let heap = self.heap.borrow();
        assert_eq!(heap.entries.len(), heap.timers.len());
        for (place, entry) in heap.entries.iter().enumerate() {
            let parent = &heap.entries[place.saturating_sub(1) / CHILDREN];
            assert!(!entry.before(parent), "entry {place} stands below a later one");
            assert_eq!(heap.places[entry.slot as usize] as usize, place);
            assert_eq!(heap.timers[entry.slot as usize].serial, entry.serial);
        }
    }
}
