//! Who of many children was woken.
//!
//! Facts. Several futures in one task share the task's waker, so when it is polled, it does not know for whom. To poll
//! all of them for each wake makes n wakes cost n² polls.
//!
//! What follows. Each child gets a waker of its own, which notes its number in a list and wakes the parent if the list
//! was empty. A waker may be used on any thread, so this is the one place above the inbox with a lock and a count:
//! one allocation per child, made once and used again by the next child in the same place.
//!
//! Invariants. A number is in the list at most once, and is taken off *before* its child is polled, so that a wake
//! during the poll counts (invariants 1 and 2, in small). The parent is woken with nothing locked.
//!
//! What it does not know: the children.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use crate::waiter::Waiter;

/// The wakers of all children of one parent.
#[derive(Debug)]
pub(crate) struct Wakes {
    shared: Arc<Shared>,
    /// Made when a child is polled for the first time.
    wakers: Vec<Option<Waker>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    woken: Vec<usize>,
    /// For each child, whether it is in the list.
    noted: Vec<bool>,
    /// Gone once it was woken, until the next poll.
    parent: Option<Waiter>,
}

/// Wakes one child.
struct Child {
    number: usize,
    shared: Arc<Shared>,
}

impl Wakes {
    pub(crate) fn new() -> Wakes {
        Wakes { shared: Arc::default(), wakers: Vec::new() }
    }

    /// The parent is polled: whom to wake from now on.
    pub(crate) fn set_parent(&self, waker: &Waker) {
        let parent = Waiter::new(waker);
        let old = self.shared.lock().parent.replace(parent);
        drop(old);
    }

    /// Notes a child as woken: it is new, or its turn has to come again.
    pub(crate) fn note(&self, number: usize) {
        self.shared.lock().note(number);
    }

    /// Takes the list of those who were woken, in the order of their wakes. `batch` gives its memory.
    pub(crate) fn take(&self, batch: &mut Vec<usize>) {
        batch.clear();
        let mut state = self.shared.lock();
        std::mem::swap(batch, &mut state.woken);
        for number in batch {
            state.noted[*number] = false;
        }
    }

    /// Gives back the memory of children at this place and beyond. A late wake for one of them makes room for itself.
    pub(crate) fn shrink(&mut self, places: usize) {
        self.wakers.truncate(places);
        self.wakers.shrink_to_fit();
        let mut state = self.shared.lock();
        let farthest = state.woken.iter().max().map_or(0, |number| number + 1);
        state.noted.truncate(places.max(farthest));
        state.noted.shrink_to_fit();
        state.woken.shrink_to_fit();
    }

    /// The waker for a child.
    pub(crate) fn waker(&mut self, number: usize) -> &Waker {
        if self.wakers.len() <= number {
            self.wakers.resize(number + 1, None);
        }
        let Wakes { shared, wakers } = self;
        wakers[number]
            .get_or_insert_with(|| Waker::from(Arc::new(Child { number, shared: Arc::clone(shared) })))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// True if the list was empty.
    fn note(&mut self, number: usize) -> bool {
        if self.noted.len() <= number {
            self.noted.resize(number + 1, false);
        }
        if std::mem::replace(&mut self.noted[number], true) {
            return false;
        }
        self.woken.push(number);
        self.woken.len() == 1
    }
}

impl Wake for Child {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.shared.lock();
        // Taken, not cloned: the next poll brings a new one, and to clone it here would be foreign code.
        let parent = if state.note(self.number) { state.parent.take() } else { None };
        drop(state);
        parent.into_iter().for_each(Waiter::wake);
    }
}
