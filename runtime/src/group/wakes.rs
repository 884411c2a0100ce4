//! The list of the children that were woken.
//!
//! Facts. Several futures in one task share the task's waker, so when the task is polled, it does not know which of
//! them was woken. Polling all of them for each wake makes n wakes cost n² polls.
//!
//! What follows. Each child gets a waker of its own. The waker puts the child's number into a list, and wakes the
//! parent if the list was empty. A waker may be used on any thread, so this is the one place above the inbox with a
//! lock and a reference count: one allocation per child, made once and used again by the next child in the same place.
//!
//! In a loop that is watched, each child's waker has a *twin*: another allocation that wakes the same child. Our own code
//! keeps the twin (`runtime/src/waiter.rs`). So if there are clones of the waker itself after a poll, other code keeps
//! them, and may wake the child at any time. As long as that is so, a clone of the parent's waker is kept here, which
//! counts as kept by that code.
//!
//! Invariants. A number is in the list at most once. It is taken off *before* its child is polled, so that a wake
//! during the poll counts (invariants 1 and 2, on a small scale). The parent is woken with nothing locked.
//!
//! What it does not know: the children.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Wake, Waker};

use crate::core::context;
use crate::waiter::Waiter;

/// The wakers of all children of one parent.
#[derive(Debug)]
pub(crate) struct Wakes {
    list: Arc<WokenList>,
    /// The waker of each child, by its number. Made when the child is polled for the first time.
    wakers: Vec<Option<Waker>>,
    /// Made when a child is polled in a loop that is watched.
    watch: Option<Box<Watch>>,
}

/// What is known of the wakers in a loop that is watched.
#[derive(Debug, Default)]
struct Watch {
    /// For each child, the allocation of its waker, and the twin.
    twins: Vec<Option<(Weak<ChildWaker>, Waker)>>,
    /// The children whose wakers other code has kept after their last poll.
    kept: BTreeSet<usize>,
    /// A clone of the parent's waker, as long as there are such children.
    parent: Option<Waker>,
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
#[derive(Debug)]
struct ChildWaker {
    number: usize,
    list: Arc<WokenList>,
}

impl Wakes {
    pub(crate) fn new() -> Wakes {
        Wakes { list: Arc::default(), wakers: Vec::new(), watch: None }
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
        if let Some(watch) = &mut self.watch {
            watch.twins.truncate(places);
        }
        let mut locked = self.list.lock();
        // Children that are in the list keep their flags.
        let farthest = locked.woken.iter().max().map_or(0, |number| number + 1);
        locked.listed.truncate(places.max(farthest));
        locked.listed.shrink_to_fit();
        locked.woken.shrink_to_fit();
    }

    /// Polls a child with a waker of its own. `parent` is the waker of the poll under way. `poll` returns something if the
    /// child is done.
    #[inline]
    pub(crate) fn poll<R>(
        &mut self,
        number: usize,
        parent: &Waker,
        poll: impl FnOnce(&mut Context<'_>) -> Option<R>,
    ) -> Option<R> {
        if context::is_watched() {
            return self.poll_watched(number, parent, poll);
        }
        poll(&mut Context::from_waker(self.waker(number)))
    }

    /// The waker for a child.
    fn waker(&mut self, number: usize) -> &Waker {
        let Wakes { list, wakers, .. } = self;
        if wakers.len() <= number {
            wakers.resize(number + 1, None);
        }
        wakers[number].get_or_insert_with(|| Waker::from(child_waker(number, list)))
    }

    /// The same as [`poll`](Wakes::poll) in a loop that is watched: our own code finds the twin, and afterwards it is
    /// known whether other code has kept the waker.
    #[cold]
    fn poll_watched<R>(
        &mut self,
        number: usize,
        parent: &Waker,
        poll: impl FnOnce(&mut Context<'_>) -> Option<R>,
    ) -> Option<R> {
        let twin = self.twin(number);
        let waker = self.waker(number).clone();
        let shown = Shown::new(waker.clone(), twin);
        let result = poll(&mut Context::from_waker(&waker));
        drop((shown, waker));
        self.look_for_clones(number, parent, result.is_some());
        result
    }

    /// The twin of a child's waker. Both are made here, so that the allocation of the waker is known.
    fn twin(&mut self, number: usize) -> Waker {
        let Wakes { list, wakers, watch } = self;
        let twins = &mut watch.get_or_insert_default().twins;
        if twins.len() <= number {
            twins.resize_with(number + 1, || None);
        }
        if wakers.len() <= number {
            wakers.resize(number + 1, None);
        }
        let (_, twin) = twins[number].get_or_insert_with(|| {
            let own = child_waker(number, list);
            let allocation = Arc::downgrade(&own);
            wakers[number] = Some(Waker::from(own));
            (allocation, Waker::from(child_waker(number, list)))
        });
        twin.clone()
    }

    /// A child was polled: sees whether other code keeps its waker, besides the one that is kept here. A wake of a child
    /// that is done changes nothing.
    fn look_for_clones(&mut self, number: usize, parent: &Waker, is_done: bool) {
        let Some(watch) = &mut self.watch else { return };
        let own = watch.twins[number].as_ref().map(|(own, _)| own.strong_count());
        if !is_done && own.is_some_and(|count| count > 1) {
            watch.kept.insert(number);
        } else {
            watch.kept.remove(&number);
        }
        let clone = (!watch.kept.is_empty()).then(|| parent.clone());
        let before = std::mem::replace(&mut watch.parent, clone);
        drop(before);
    }
}

fn child_waker(number: usize, list: &Arc<WokenList>) -> Arc<ChildWaker> {
    Arc::new(ChildWaker { number, list: Arc::clone(list) })
}

/// While a child is polled, our own code finds its waker's twin in the loop.
struct Shown {
    context: Option<Rc<context::Context>>,
    before: Option<(Waker, Waker)>,
}

impl Shown {
    fn new(own: Waker, twin: Waker) -> Shown {
        let context = context::current();
        let before = context.as_ref().and_then(|context| context.twin.replace(Some((own, twin))));
        Shown { context, before }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let before = self.before.take();
        self.context.iter().for_each(|context| drop(context.twin.replace(before.clone())));
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
