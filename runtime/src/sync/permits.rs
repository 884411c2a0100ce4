//! A number of permits, and a line of waiters for them: what mutexes, semaphores and channels are made of.
//!
//! Facts. A permit that comes back may go to the first waiter in line, or to the next task that asks. If the next task
//! that asks could have it, a waiter might wait for ever.
//!
//! What follows. A permit goes to the first waiter in line *when it comes back*: by the time that waiter runs, it owns
//! the permit. No task overtakes, so a waiter that wants many permits is not starved by those that want one. A waiter
//! that is dropped after it was given permits gives them back (invariant 13). One that is dropped in line lets the
//! waiters after it move up, which it may have blocked by asking for many.
//!
//! [`Take`] and [`Held`] reach the permits through `P`. That is a reference, or [`Owned`], which keeps the lock alive. So
//! an owned guard has the same place in line, and the same rules, as a borrowed one.
//!
//! What it does not know: what the permits are for.

use std::cell::Cell;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::core::context::{self, budget};
use crate::waiting::{Left, WaitKey, WaitQueue};

#[derive(Debug)]
pub(crate) struct Permits {
    free: Cell<usize>,
    /// Set by `close`, never cleared. From then on a waiter gets only permits that are free at once.
    closed: Cell<bool>,
    /// The waiters. Each is called with true when it has been given what it wants, with false when the permits are
    /// closed.
    queue: WaitQueue<Wanted, bool>,
}

/// What a waiter in the line wants.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// This many permits; it owns them from the moment it is called.
    Permits(usize),
    /// Word that there is a permit. It gets none by being called, and has to take it then.
    Word,
}

impl Permits {
    #[track_caller]
    pub(crate) const fn new(free: usize, what: &'static &'static str) -> Permits {
        Permits { free: Cell::new(free), closed: Cell::new(false), queue: WaitQueue::new(what) }
    }

    /// Gives the line a name for people who watch the loop.
    pub(crate) fn set_name(&self, name: &'static str) {
        self.queue.resource.set_name(name);
    }

    pub(crate) fn free(&self) -> usize {
        self.free.get()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// How many waiters stand in line.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Takes `n` permits, if they are free and no waiter stands in line.
    #[inline]
    pub(crate) fn try_take(&self, n: usize) -> bool {
        let free = self.free.get();
        if free < n || !self.queue.is_empty() {
            return false;
        }
        self.free.set(free - n);
        if context::is_watched() {
            self.queue.resource.is_taken();
        }
        true
    }

    /// Takes up to `n` permits, as many as are free, even if waiters stand in line. For permits that have lost their
    /// meaning, such as one for a value that was taken back.
    pub(crate) fn write_off(&self, n: usize) {
        self.free.set(self.free.get().saturating_sub(n));
    }

    /// Gives `n` permits back, or adds new ones.
    #[inline]
    #[track_caller]
    pub(crate) fn give(&self, n: usize) {
        let Some(free) = self.free.get().checked_add(n) else {
            panic!("more permits were put in than a semaphore can count")
        };
        self.free.set(free);
        if !self.queue.is_empty() {
            self.hand_out();
        }
    }

    /// Adds the permit of a value or of a place in a channel. There are never more of them than a `usize` can count, so this
    /// does not look.
    #[inline]
    pub(crate) fn add_one(&self) {
        self.queue.resource.is_free();
        self.free.set(self.free.get() + 1);
        if !self.queue.is_empty() {
            self.hand_out();
        }
    }

    /// Calls waiters from the front of the line for as long as there is enough for them. Stops at the first that has to
    /// go on waiting.
    fn hand_out(&self) {
        while let Some(wanted) = self.queue.first() {
            let free = self.free.get();
            let taken = match wanted {
                Wanted::Permits(n) if n <= free => n,
                Wanted::Word if free > 0 => 0,
                _ => return,
            };
            self.free.set(free - taken);
            self.queue.call(true);
        }
    }

    /// Ends all waits, now and later: no waiter will be given a permit.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.queue.call_all(false);
    }

    /// Waits for `n` permits. False if the permits are closed and fewer than `n` are free.
    #[inline]
    #[track_caller]
    pub(crate) fn poll_take(&self, key: &mut WaitKey, n: usize, cx: &mut Context<'_>) -> Poll<bool> {
        if key.is_set() {
            return self.poll_in_line(key, n, cx);
        }
        if !budget::try_spend() {
            return self.poll_without_budget(key, n, cx);
        }
        if self.try_take(n) { Poll::Ready(true) } else { self.poll_in_line(key, n, cx) }
    }

    /// The same, without counting it as an operation of the task's budget.
    #[track_caller]
    pub(crate) fn poll_in_line(&self, key: &mut WaitKey, n: usize, cx: &mut Context<'_>) -> Poll<bool> {
        let poll = self.queue.poll_uncounted(key, Wanted::Permits(n), cx, || self.attempt(n));
        self.report_holder(poll)
    }

    /// The same for a task that has to give way: see [`WaitQueue::poll_without_budget`].
    #[cold]
    #[track_caller]
    pub(crate) fn poll_without_budget(
        &self,
        key: &mut WaitKey,
        n: usize,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        let poll = self.queue.poll_without_budget(key, Wanted::Permits(n), cx, || self.attempt(n));
        self.report_holder(poll)
    }

    /// Waits for word that a permit may be free; false if the permits are closed. For a waiter that may disappear
    /// without leaving the line: it is handed nothing that could be lost, and the waiters after it are called as well.
    #[track_caller]
    pub(crate) fn poll_word(&self, key: &mut WaitKey, cx: &mut Context<'_>) -> Poll<bool> {
        self.queue.poll_uncounted(key, Wanted::Word, cx, || {
            let open = !self.closed.get();
            (!open || (self.free.get() > 0 && self.queue.is_empty())).then_some(open)
        })
    }

    /// Stops waiting for word.
    pub(crate) fn leave_word(&self, key: &mut WaitKey) {
        self.leave(key, 0);
    }

    fn attempt(&self, n: usize) -> Option<bool> {
        if self.try_take(n) { Some(true) } else { self.closed.get().then_some(false) }
    }

    /// Tells the probe which task has the permits, if the poll has given them.
    fn report_holder(&self, poll: Poll<bool>) -> Poll<bool> {
        if poll.is_ready() && context::is_watched() {
            self.queue.resource.is_taken();
        }
        poll
    }

    /// Stops waiting: permits that had been given to this waiter go to the others.
    #[inline]
    pub(crate) fn leave(&self, key: &mut WaitKey, n: usize) {
        if key.is_set() {
            self.leave_line(key, n);
        }
    }

    fn leave_line(&self, key: &mut WaitKey, n: usize) {
        match self.queue.leave(key) {
            Left::NeverCame | Left::Called(false) => {}
            Left::Called(true) => self.give(n),
            Left::Waited => self.hand_out(),
        }
    }

    /// See [`poll_take`](Permits::poll_take).
    #[inline]
    pub(crate) fn take(&self, n: usize) -> Take<&Permits> {
        Take::new(self, n)
    }
}

/// A lock or a semaphore, as something that is made of permits.
pub(crate) trait HasPermits {
    fn permits(&self) -> &Permits;
}

/// The permits of a lock that is kept alive meanwhile.
pub(crate) struct Owned<L>(pub(crate) Rc<L>);

impl<L> Clone for Owned<L> {
    fn clone(&self) -> Owned<L> {
        Owned(Rc::clone(&self.0))
    }
}

impl<L: HasPermits> Deref for Owned<L> {
    type Target = Permits;

    fn deref(&self) -> &Permits {
        self.0.permits()
    }
}

/// See [`Permits::take`].
#[derive(Debug)]
pub(crate) struct Take<P: Deref<Target = Permits>> {
    pub(crate) permits: P,
    pub(crate) n: usize,
    key: WaitKey,
}

impl<P: Deref<Target = Permits>> Take<P> {
    #[inline]
    pub(crate) fn new(permits: P, n: usize) -> Take<P> {
        Take { permits, n, key: WaitKey::default() }
    }

    pub(crate) fn is_in_line(&self) -> bool {
        self.key.is_set()
    }
}

// The place in line is in a slab; nothing here is pinned.
impl<P: Deref<Target = Permits>> Unpin for Take<P> {}

impl<P: Deref<Target = Permits>> Future for Take<P> {
    type Output = bool;

    #[inline]
    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let Take { permits, n, key } = &mut *self;
        permits.poll_take(key, *n, cx)
    }
}

impl<P: Deref<Target = Permits>> Drop for Take<P> {
    #[inline]
    fn drop(&mut self) {
        self.permits.leave(&mut self.key, self.n);
    }
}

/// Permits that are held. They go back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held<P: Deref<Target = Permits>> {
    pub(crate) permits: P,
    pub(crate) n: usize,
}

impl<P: Deref<Target = Permits>> Drop for Held<P> {
    #[inline]
    fn drop(&mut self) {
        self.permits.queue.resource.is_free();
        // Saturates, because a destructor must not panic. `give` is where adding too many permits panics.
        self.permits.free.set(self.permits.free.get().saturating_add(self.n));
        if !self.permits.queue.is_empty() {
            self.permits.hand_out();
        }
    }
}
