//! A waker is a number: the only `unsafe` of the workspace.
//!
//! Facts. `std` builds a `Waker` from one pointer-sized word and four functions. Wakers are cloned and
//! dropped all the time, on any thread, and may outlive everything.
//!
//! What follows. The word is the task's number itself. To clone it is to copy it, to drop it is nothing;
//! there is no memory behind it that could be freed too early or kept too long, so nothing to count.
//! Waking looks where the number belongs: to the loop that runs on this thread (push it on the ready
//! queue), or to any other (put it into that loop's inbox).
//!
//! A loop that looks for deadlocks has to know whether code that is not ours keeps a waker, because that code may wake the
//! task at any time. So its wakers have a second table of functions, which counts the clones of each task. Our own code
//! keeps numbers, and is not counted.
//!
//! What it does not know: what a task is. In tests a second, all-safe waker (`Arc<impl Wake>`) can take its
//! place; both have to lead to the same trace.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::core::context;
use crate::core::id::TaskId;
use crate::core::inbox::TABLE;

/// The waker of a task. If it is `counted`, its clones are. This one itself never is.
#[inline]
pub(crate) fn waker(id: TaskId, counted: bool) -> Waker {
    #[cfg(test)]
    if oracle::is_on() {
        return oracle::waker(id);
    }
    from_number(id, if counted { &COUNTED } else { &VTABLE })
}

#[allow(unsafe_code)]
#[inline]
fn from_number(id: TaskId, table: &'static RawWakerVTable) -> Waker {
    // SAFETY: the contract of `RawWaker` asks four things of the functions in both tables. They are thread-safe:
    // they share no memory but a thread-local, the table of inboxes and the counts, which have their locks. `clone`
    // returns a waker for the same task: it copies the number. `drop` releases what the waker owns: nothing, or a
    // count. They never dereference the word, which has no provenance and is not a pointer to anything.
    unsafe { Waker::from_raw(RawWaker::new(ptr::without_provenance(id.as_u64() as usize), table)) }
}

/// The task that a waker wakes, if the waker is one of ours: then its number can be kept instead of it.
#[inline]
pub(crate) fn number(waker: &Waker) -> Option<TaskId> {
    let ours = ptr::eq(waker.vtable(), &VTABLE) || is_counted(waker);
    if ours { TaskId::from_word(waker.data().addr()) } else { None }
}

#[cold]
fn is_counted(waker: &Waker) -> bool {
    cfg!(feature = "diagnostics") && ptr::eq(waker.vtable(), &COUNTED)
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake_word, wake_word, nothing);

fn clone(word: *const ()) -> RawWaker {
    RawWaker::new(word, &VTABLE)
}

fn wake_word(word: *const ()) {
    if let Some(id) = TaskId::from_word(word.addr()) {
        wake_task(id);
    }
}

fn nothing(_: *const ()) {}

/// The wakers of a loop that looks for deadlocks.
static COUNTED: RawWakerVTable = RawWakerVTable::new(clone_counted, wake_counted, wake_word, uncount);

/// How many counted clones each task has, by its number as a word.
static CLONES: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

/// Changes how many counted clones of its waker a task has. Returns how many it has then.
pub(crate) fn count_clones(word: usize, change: isize) -> usize {
    let mut clones = CLONES.lock().unwrap_or_else(PoisonError::into_inner);
    let count = clones.remove(&word).unwrap_or_default().saturating_add_signed(change);
    if count > 0 {
        clones.insert(word, count);
    }
    count
}

fn clone_counted(word: *const ()) -> RawWaker {
    count_clones(word.addr(), 1);
    RawWaker::new(word, &COUNTED)
}

/// The wake first: as long as it is on its way, the clone counts.
fn wake_counted(word: *const ()) {
    wake_word(word);
    uncount(word);
}

/// A loop that sleeps until this clone is used sleeps for ever if the clone goes unused. So the last one of another thread
/// wakes the loop, which then looks again whether anything can still wake it.
fn uncount(word: *const ()) {
    if count_clones(word.addr(), -1) == 0
        && let Some(id) = TaskId::from_word(word.addr())
        && context::current().is_none_or(|here| here.runtime != id.runtime())
    {
        TABLE.nudge(id.runtime());
    }
}

/// Here if the task's loop runs on this thread, through its inbox otherwise.
#[inline]
pub(crate) fn wake_task(id: TaskId) {
    if !context::wake_here(id) {
        wake_elsewhere(id);
    }
}

#[cold]
#[inline(never)]
fn wake_elsewhere(id: TaskId) {
    match context::current().filter(|here| context::is_watched() && here.runtime == id.runtime()) {
        Some(here) => here.wake_task(id),
        None => TABLE.wake(id),
    }
}

/// The textbook's waker: an allocation, a reference count, no `unsafe`.
#[cfg(test)]
pub(crate) mod oracle {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::task::{Wake, Waker};

    use crate::core::id::TaskId;

    thread_local!(static ON: Cell<bool> = const { Cell::new(false) });

    /// Runs `f` with wakers of this kind.
    pub(crate) fn with<R>(f: impl FnOnce() -> R) -> R {
        ON.set(true);
        let result = f();
        ON.set(false);
        result
    }

    pub(super) fn is_on() -> bool {
        ON.get()
    }

    pub(super) fn waker(id: TaskId) -> Waker {
        Waker::from(Arc::new(ArcWaker(id)))
    }

    struct ArcWaker(TaskId);

    impl Wake for ArcWaker {
        fn wake(self: Arc<Self>) {
            super::wake_task(self.0);
        }
    }
}
