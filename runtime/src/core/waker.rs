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
//! What it does not know: what a task is. In tests a second, all-safe waker (`Arc<impl Wake>`) can take its
//! place; both have to lead to the same trace.

use std::ptr;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::core::context;
use crate::core::id::TaskId;
use crate::core::inbox::TABLE;

/// The waker of a task.
#[inline]
pub(crate) fn waker(id: TaskId) -> Waker {
    #[cfg(test)]
    if oracle::is_on() {
        return oracle::waker(id);
    }
    from_number(id)
}

#[allow(unsafe_code)]
#[inline]
fn from_number(id: TaskId) -> Waker {
    // SAFETY: the contract of `RawWaker` asks four things of the functions in `VTABLE`. They are thread-safe:
    // they share no memory but a thread-local and the table of inboxes, which has its lock. `clone` returns
    // a waker for the same task: it copies the number. `drop` releases what the waker owns: nothing. They
    // never dereference the word, which has no provenance and is not a pointer to anything.
    unsafe { Waker::from_raw(raw(id.word())) }
}

/// The task that a waker wakes, if the waker is one of ours: then its number can be kept instead of it.
#[inline]
pub(crate) fn number(waker: &Waker) -> Option<TaskId> {
    if ptr::eq(waker.vtable(), &VTABLE) { TaskId::from_word(waker.data().addr()) } else { None }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake_word, wake_word, nothing);

#[inline]
fn raw(word: usize) -> RawWaker {
    RawWaker::new(ptr::without_provenance(word), &VTABLE)
}

fn clone(word: *const ()) -> RawWaker {
    raw(word.addr())
}

fn wake_word(word: *const ()) {
    if let Some(id) = TaskId::from_word(word.addr()) {
        wake_task(id);
    }
}

fn nothing(_: *const ()) {}

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
    if !(context::is_watched() && context::wake_here_and_tell(id)) {
        TABLE.wake(id);
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
