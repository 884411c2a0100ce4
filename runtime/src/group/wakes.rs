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
//! them, and may wake the child at any time. Then the group lets go of it, and puts a clone of the parent's waker into it,
//! which counts as kept by that code. The last clone of the child's waker drops the parent's.
//!
//! A group may move to another task. What its children wait for is noted for the task that has polled them, so the task
//! that polls the group then is in [`Doubt`].
//!
//! Invariants. A number is in the list at most once. It is taken off *before* its child is polled, so that a wake
//! during the poll counts (invariants 1 and 2, on a small scale). The parent is woken with nothing locked.
//!
//! What it does not know: the children.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Wake, Waker};

use crate::core::context;
use crate::core::id::TaskId;
use crate::waiter::Waiter;
use crate::waits::Doubt;

/// The wakers of all children of one parent.
#[derive(Debug)]
pub(crate) struct Wakes {
    list: Arc<WokenList>,
    /// The waker of each child, by its number. Made when the child is polled for the first time.
    wakers: Vec<Option<Waker>>,
    /// Made when a child is polled in a loop that is watched, and used instead of `wakers`.
    watch: Option<Box<Watch>>,
}

/// What is known of the wakers in a loop that is watched.
#[derive(Debug, Default)]
struct Watch {
    /// For each child, its waker and the twin.
    twins: Vec<Option<(Own, Waker)>>,
    /// The task that has polled the group last.
    task: Option<TaskId>,
    /// Set when the group has moved to this task.
    doubt: Option<Doubt>,
}

/// The waker of a child in a loop that is watched.
#[derive(Debug)]
enum Own {
    /// No other code keeps it.
    Ours(Arc<WatchedWaker>),
    /// Other code has kept it after the child's last poll.
    Kept(Weak<WatchedWaker>),
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

/// The same in a loop that is watched.
#[derive(Debug)]
struct WatchedWaker {
    twin: Waker,
    /// A clone of the parent's waker, while other code keeps this one and the child is not done.
    parent: Mutex<Option<Waker>>,
}

impl Wakes {
    pub(crate) fn new() -> Wakes {
        Wakes { list: Arc::default(), wakers: Vec::new(), watch: None }
    }

    /// The parent is being polled: `waker` is the one to wake from now on.
    pub(crate) fn set_parent(&mut self, waker: &Waker) {
        let parent = Waiter::new(waker);
        let old = self.list.lock().parent.replace(parent);
        drop(old);
        if let Some(watch) = &mut self.watch {
            watch.set_parent(waker);
        }
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
        let (own, twin) = self.own_and_twin(number);
        let waker = Waker::from(Arc::clone(&own));
        let shown = Shown::new(waker.clone(), twin);
        let result = poll(&mut Context::from_waker(&waker));
        drop((shown, waker));
        self.look_for_clones(number, own, parent, result.is_some());
        result
    }

    /// A child's waker and its twin. If other code has kept the waker until now, it is that one, so that the code recognises
    /// it.
    fn own_and_twin(&mut self, number: usize) -> (Arc<WatchedWaker>, Waker) {
        let Wakes { list, watch, .. } = self;
        let watch = watch.get_or_insert_with(Watch::new);
        if watch.twins.len() <= number {
            watch.twins.resize_with(number + 1, || None);
        }
        let new = |twin: &Waker| Arc::new(WatchedWaker { twin: twin.clone(), parent: Mutex::default() });
        let (own, twin) = watch.twins[number].get_or_insert_with(|| {
            let twin = Waker::from(child_waker(number, list));
            (Own::Ours(new(&twin)), twin)
        });
        let own = match own {
            Own::Ours(own) => Arc::clone(own),
            Own::Kept(own) => own.upgrade().unwrap_or_else(|| new(twin)),
        };
        (own, twin.clone())
    }

    /// A child was polled: sees whether other code keeps its waker. A wake of a child that is done changes nothing.
    fn look_for_clones(&mut self, number: usize, own: Arc<WatchedWaker>, parent: &Waker, is_done: bool) {
        let Some((place, _)) = self.watch.as_mut().and_then(|watch| watch.twins[number].as_mut()) else {
            return;
        };
        // Now `own` and the clones of other code are left.
        *place = Own::Kept(Arc::downgrade(&own));
        let is_kept = Arc::strong_count(&own) > 1;
        own.set_parent((is_kept && !is_done).then(|| parent.clone()));
        if !is_kept {
            *place = Own::Ours(own);
        }
    }
}

impl Drop for Own {
    /// The child is gone, so its waker does not count any more.
    fn drop(&mut self) {
        if let Own::Kept(own) = self {
            own.upgrade().into_iter().for_each(|own| own.set_parent(None));
        }
    }
}

impl Watch {
    fn new() -> Box<Watch> {
        Box::new(Watch { task: running(), ..Watch::default() })
    }

    /// The group is being polled. If it has moved to this task, the wakers that are kept count for this one from now on.
    #[cold]
    fn set_parent(&mut self, parent: &Waker) {
        let task = running();
        if self.task == task {
            return;
        }
        (self.task, self.doubt) = (task, task.map(Doubt::new));
        for (own, _) in self.twins.iter().flatten() {
            if let Own::Kept(own) = own
                && let Some(own) = own.upgrade().filter(|own| own.has_parent())
            {
                own.set_parent(Some(parent.clone()));
            }
        }
    }
}

/// The task that polls the group.
fn running() -> Option<TaskId> {
    context::current()?.executor.running()
}

impl WatchedWaker {
    fn has_parent(&self) -> bool {
        self.parent.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn set_parent(&self, parent: Option<Waker>) {
        let mut place = self.parent.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, parent);
        // To drop a waker is foreign code.
        drop(place);
        drop(before);
    }
}

impl Wake for WatchedWaker {
    fn wake(self: Arc<Self>) {
        self.twin.wake_by_ref();
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
