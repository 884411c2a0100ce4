//! The list of the children that were woken.
//!
//! Facts. Several futures in one task share the task's waker, so when the task is polled, it does not know which of
//! them was woken. Polling all of them for each wake makes n wakes cost n² polls.
//!
//! What follows. Each child gets a waker of its own. The waker puts the child's number into a list, and wakes the
//! parent if the list was empty. A waker may be used on any thread, so this is the one place above the inbox with a
//! lock and a reference count: one allocation per child, made once and used again by the next child in the same place.
//!
//! Invariants. A number is in the list at most once. It is taken off *before* its child is polled, so that a wake
//! during the poll counts (invariants 1 and 2, on a small scale). The parent is woken with nothing locked.
//!
//! What it does not know: the children.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use crate::waiter::Waiter;

/// The wakers of all children of one parent.
#[derive(Debug)]
pub(crate) struct Wakes {
    list: Arc<WokenList>,
    /// The waker of each child, by its number. Made when the child is polled for the first time.
    wakers: Vec<Option<Waker>>,
}

#[derive(Debug, Default)]
struct WokenList {
    locked: Mutex<Locked>,
}

/// What is reached only under the lock.
#[derive(Debug, Default)]
struct Locked {
    /// The numbers of the children that were woken, in the order of their wakes.
    woken: Vec<usize>,
    /// For each child, whether it is in `woken`. Set by a wake, cleared when the parent takes the list.
    listed: Vec<bool>,
    /// The parent. Set when the parent is polled, taken by the first wake after that.
    parent: Option<Waiter>,
}

/// The waker of one child.
struct ChildWaker {
    number: usize,
    list: Arc<WokenList>,
}

impl Wakes {
    pub(crate) fn new() -> Wakes {
        Wakes { list: Arc::default(), wakers: Vec::new() }
    }

    /// The parent is being polled: `waker` is the one to wake from now on.
    pub(crate) fn set_parent(&self, waker: &Waker) {
        let parent = Waiter::new(waker);
        let old = self.list.lock().parent.replace(parent);
        drop(old);
    }

    /// Marks a new child as woken, so that it is polled for the first time.
    pub(crate) fn mark_woken(&self, number: usize) {
        self.list.lock().add(number);
    }

    /// Moves the list into `batch`, in the order of the wakes. The memory of `batch` is used for the next list.
    pub(crate) fn take(&self, batch: &mut Vec<usize>) {
        batch.clear();
        let mut locked = self.list.lock();
        std::mem::swap(batch, &mut locked.woken);
        for number in batch {
            locked.listed[*number] = false;
        }
    }

    /// Gives back the memory for the numbers from `places` on. A late wake for one of them allocates it again.
    pub(crate) fn shrink(&mut self, places: usize) {
        self.wakers.truncate(places);
        self.wakers.shrink_to_fit();
        let mut locked = self.list.lock();
        // Children that are in the list keep their flags.
        let farthest = locked.woken.iter().max().map_or(0, |number| number + 1);
        locked.listed.truncate(places.max(farthest));
        locked.listed.shrink_to_fit();
        locked.woken.shrink_to_fit();
    }

    /// The waker for a child.
    pub(crate) fn waker(&mut self, number: usize) -> &Waker {
        if self.wakers.len() <= number {
            self.wakers.resize(number + 1, None);
        }
        let Wakes { list, wakers } = self;
        wakers[number]
            .get_or_insert_with(|| Waker::from(Arc::new(ChildWaker { number, list: Arc::clone(list) })))
    }
}

impl WokenList {
    fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Locked {
    /// Adds a number to the list, unless it is there. True if the list was empty, so that the parent has to be woken.
    fn add(&mut self, number: usize) -> bool {
        if self.listed.len() <= number {
            self.listed.resize(number + 1, false);
        }
        if std::mem::replace(&mut self.listed[number], true) {
            return false;
        }
        self.woken.push(number);
        self.woken.len() == 1
    }
}

impl Wake for ChildWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut locked = self.list.lock();
        // Taken, not cloned: the next poll brings a new waker, and cloning would run foreign code under the lock.
        let parent = if locked.add(self.number) { locked.parent.take() } else { None };
        drop(locked);
        parent.into_iter().for_each(Waiter::wake);
    }
}
