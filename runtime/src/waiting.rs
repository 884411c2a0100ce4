//! A line of waiters: the one queue under every lock, semaphore, event, barrier and channel.
//!
//! Facts. A waiter may be dropped at any time: before it is called, or after it was called and before it is polled
//! again. The caller cannot know. Most waiters are called in the order in which they came.
//!
//! What follows. The line is a doubly linked list inside a slab. To join at its end, to be called from its front and to
//! leave from the middle each take the same few steps, however long the line is. A waiter that is called leaves the
//! line at once, but it keeps its *entry*, which now holds what it was called with (the grant, `G`). Its next poll
//! collects that. If it is dropped instead, [`leave`](WaitQueue::leave) returns the grant to the primitive, which
//! passes it on: nothing that was meant for a dropped waiter is lost (invariant 13).
//!
//! ```text
//!              poll: join                call                 poll: collect
//!     key  ───────────────► waiting ─────────────► called(G) ───────────────► Ready(G)
//!                              │                      │
//!                              └──── leave: Waited ───┴──── leave: Called(G) ───► pass it on
//! ```
//!
//! A task whose budget is used up has to give way, even if what it asks for is there. So that it does not lose its
//! position, it is called at once, and its next poll collects the grant. The order stays first come, first served.
//!
//! Invariants. 3: calling a waiter only enqueues its task. 4: a waker is cloned, woken and dropped with nothing
//! borrowed. Cloning a waker may run foreign code, which may change what is waited for. So the attempt is made again
//! after the clone and before joining: no wake-up can be missed in between.
//!
//! What it does not know: what is waited for. `R` is what a waiter asks for (a number of permits, say), `G` is what it
//! is given. It works under any executor; the probe hears of a wait only inside a loop of ours.

mod watched;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::core::context::budget;
use crate::core::panics::swallow;
use crate::waiter::Waiter;
pub(crate) use watched::{Watched, announce};

pub(crate) struct WaitQueue<R = (), G = ()> {
    line: RefCell<Line<R, G>>,
    /// How many waiters stand in line. Kept apart from `line` so that asking, which is frequent, needs no borrow.
    waiting: Cell<usize>,
    /// The queue as the probe knows it.
    pub(crate) resource: Watched,
}

struct Line<R, G> {
    /// The waiters in line and those that have been called. An entry's index is its place.
    entries: Slab<Entry<R, G>>,
    /// The places of the first and the last waiter in line; `NONE` if the line is empty.
    first: usize,
    last: usize,
    /// Always empty between calls: its memory is used again by the next `call_all`.
    spare: Vec<Waiter>,
}

enum Entry<R, G> {
    /// In line, between the waiters at `before` and `after` (`NONE` at the ends). From `join` until it is called or
    /// leaves.
    Waiting { request: R, waiter: Waiter, before: usize, after: usize },
    /// No longer in line. The grant lies here until the waiter collects it or leaves.
    Called(G),
}

/// A table with room for more than `SHRINK_ABOVE` entries is made smaller when it holds fewer than `FEW`.
const SHRINK_ABOVE: usize = 1024;
const FEW: usize = 64;

/// No place: the neighbour of the first and of the last waiter, and the value of a key that is not set.
const NONE: usize = usize::MAX;

/// What a waiter keeps to find its entry. It is set when the waiter gets an entry: when it joins the line, or is called
/// at once because its budget is used up. It is cleared when the waiter collects its grant or leaves.
#[derive(Debug)]
pub(crate) struct WaitKey(usize);

impl Default for WaitKey {
    fn default() -> WaitKey {
        WaitKey(NONE)
    }
}

impl WaitKey {
    pub(crate) fn is_set(&self) -> bool {
        self.0 != NONE
    }
}

/// The state of a waiter when it left.
pub(crate) enum Left<G> {
    /// It had no entry: it never waited, or it has collected its grant.
    NeverCame,
    /// It stood in line and had not been called.
    Waited,
    /// It had been called and had not collected the grant, which has to be passed on.
    Called(G),
}

impl<R: Copy, G> WaitQueue<R, G> {
    #[track_caller]
    pub(crate) const fn new(what: &'static &'static str) -> WaitQueue<R, G> {
        let line = Line { entries: Slab::new(), first: NONE, last: NONE, spare: Vec::new() };
        WaitQueue { line: RefCell::new(line), waiting: Cell::new(0), resource: Watched::new(what) }
    }

    /// How many waiters stand in line; those that have been called do not count.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.waiting.get()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.get() == 0
    }

    /// What the first waiter in line asks for.
    #[inline]
    pub(crate) fn first(&self) -> Option<R> {
        if self.is_empty() { None } else { self.line.borrow().first() }
    }

    /// Asks for a grant. If `attempt` does not give one at once, the waiter joins the line; later polls collect the
    /// grant. The first poll counts as one operation of the task's budget.
    #[inline]
    #[track_caller]
    pub(crate) fn poll(
        &self,
        key: &mut WaitKey,
        request: R,
        cx: &mut Context<'_>,
        attempt: impl FnMut() -> Option<G>,
    ) -> Poll<G> {
        if key.is_set() || budget::try_spend() {
            return self.poll_uncounted(key, request, cx, attempt);
        }
        self.poll_without_budget(key, request, cx, attempt)
    }

    /// The same for an operation that has been counted already.
    #[inline]
    #[track_caller]
    pub(crate) fn poll_uncounted(
        &self,
        key: &mut WaitKey,
        request: R,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> Option<G>,
    ) -> Poll<G> {
        // A waiter with an entry only has to look whether it was called.
        if key.is_set() {
            return self.poll_entry(key, cx);
        }
        // First without a waiter: nearly always this is enough.
        if let Some(grant) = attempt() {
            return Poll::Ready(grant);
        }
        // Cloning a waker of another executor ran foreign code, so try again before joining.
        let waiter = Waiter::new(cx.waker());
        if let Waiter::Other(_) = waiter
            && let Some(grant) = attempt()
        {
            return Poll::Ready(grant);
        }
        self.join(key, request, waiter);
        Poll::Pending
    }

    /// The same for a task that has to give way, but must not lose its position by that. What it could have now is kept
    /// in an entry, as if the task had been called; if there is nothing, it joins the line.
    #[cold]
    #[track_caller]
    pub(crate) fn poll_without_budget(
        &self,
        key: &mut WaitKey,
        request: R,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> Option<G>,
    ) -> Poll<G> {
        // Both of these may run foreign code, so they come before anything is taken.
        let may_go_on = budget::spend(cx.waker()).is_ready();
        let waiter = Waiter::new(cx.waker());
        match attempt() {
            Some(grant) if may_go_on => return Poll::Ready(grant),
            Some(grant) => self.keep(key, grant),
            None => self.join(key, request, waiter),
        }
        Poll::Pending
    }

    /// Keeps a grant for a waiter that is not in line.
    #[track_caller]
    fn keep(&self, key: &mut WaitKey, grant: G) {
        key.0 = self.line.borrow_mut().entries.insert(Entry::Called(grant));
        self.resource.announce(key.0, true);
    }

    #[track_caller]
    fn join(&self, key: &mut WaitKey, request: R, waiter: Waiter) {
        key.0 = self.line.borrow_mut().join(request, waiter);
        self.waiting.set(self.waiting.get() + 1);
        self.resource.announce(key.0, true);
    }

    /// Collects the grant, if the waiter was called. Otherwise sees to it that the right waker will be woken.
    #[track_caller]
    fn poll_entry(&self, key: &mut WaitKey, cx: &mut Context<'_>) -> Poll<G> {
        let place = key.0;
        let mut called = self.line.borrow_mut().collect(key);
        if called.is_none() && self.line.borrow().is_stale(place, cx.waker()) {
            // Polled with another waker than the last time: replace it.
            let waiter = Waiter::new(cx.waker());
            let old = self.line.borrow_mut().renew(place, waiter);
            drop(old);
            self.resource.announce(place, true);
            // Cloning and dropping wakers ran foreign code, which may have called us.
            called = self.line.borrow_mut().collect(key);
        }
        let Some(grant) = called else { return Poll::Pending };
        self.resource.announce(place, false);
        Poll::Ready(grant)
    }

    /// Stops waiting, and gives up the entry.
    #[inline]
    pub(crate) fn leave(&self, key: &mut WaitKey) -> Left<G> {
        if key.is_set() { self.leave_entry(key) } else { Left::NeverCame }
    }

    fn leave_entry(&self, key: &mut WaitKey) -> Left<G> {
        let place = std::mem::take(key).0;
        let left = self.line.borrow_mut().remove(place);
        self.resource.announce(place, false);
        match left {
            Entry::Called(grant) => Left::Called(grant),
            Entry::Waiting { waiter, .. } => {
                self.waiting.set(self.waiting.get() - 1);
                // If dropping the waker panics, the caller still has to let the others move up.
                swallow(|| drop(waiter));
                Left::Waited
            }
        }
    }

    /// Calls the first waiter in line. False if the line is empty.
    #[inline]
    pub(crate) fn call(&self, grant: G) -> bool {
        if self.is_empty() {
            return false;
        }
        let waiter = self.line.borrow_mut().call_first(grant);
        self.waiting.set(self.waiting.get() - 1);
        waiter.wake();
        true
    }

    /// Calls all waiters in line. Waiters that join while these are woken are not called.
    pub(crate) fn call_all(&self, grant: G)
    where
        G: Copy,
    {
        if self.is_empty() {
            return;
        }
        // Empty the line first: to wake is foreign code, and may join it again.
        let mut called = self.line.borrow_mut().call_all(grant);
        self.waiting.set(0);
        called.drain(..).for_each(Waiter::wake);
        // Keep the list's memory for the next call, unless it is very large.
        called.shrink_to(SHRINK_ABOVE);
        self.line.borrow_mut().spare = called;
    }

    /// Waits in line. If the future is dropped while it waits, `missed` is called: with the grant if it had been
    /// called, with `None` if it stood in line.
    #[inline]
    pub(crate) fn wait<A, M>(&self, request: R, attempt: A, missed: M) -> Wait<'_, R, G, A, M>
    where
        A: FnMut() -> Option<G>,
        M: FnMut(Option<G>),
    {
        Wait { queue: self, key: WaitKey::default(), request, attempt, missed }
    }
}

/// See [`WaitQueue::wait`].
pub(crate) struct Wait<'a, R: Copy, G, A: FnMut() -> Option<G>, M: FnMut(Option<G>)> {
    queue: &'a WaitQueue<R, G>,
    key: WaitKey,
    request: R,
    attempt: A,
    missed: M,
}

// No field is ever pinned.
impl<R: Copy, G, A: FnMut() -> Option<G>, M: FnMut(Option<G>)> Unpin for Wait<'_, R, G, A, M> {}

impl<R: Copy, G, A: FnMut() -> Option<G>, M: FnMut(Option<G>)> Future for Wait<'_, R, G, A, M> {
    type Output = G;

    #[inline]
    #[track_caller]
    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<G> {
        let this = &mut *self;
        this.queue.poll(&mut this.key, this.request, cx, &mut this.attempt)
    }
}

impl<R: Copy, G, A: FnMut() -> Option<G>, M: FnMut(Option<G>)> Drop for Wait<'_, R, G, A, M> {
    #[inline]
    fn drop(&mut self) {
        match self.queue.leave(&mut self.key) {
            Left::NeverCame => {}
            Left::Waited => (self.missed)(None),
            Left::Called(grant) => (self.missed)(Some(grant)),
        }
    }
}

impl<R, G> fmt::Debug for WaitQueue<R, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitQueue").field("waiting", &self.waiting.get()).finish_non_exhaustive()
    }
}

impl<R: Copy, G> Line<R, G> {
    fn first(&self) -> Option<R> {
        match self.entries.get(self.first)? {
            Entry::Waiting { request, .. } => Some(*request),
            Entry::Called(_) => None,
        }
    }

    fn join(&mut self, request: R, waiter: Waiter) -> usize {
        let place = self.entries.insert(Entry::Waiting { request, waiter, before: self.last, after: NONE });
        *self.after(self.last) = place;
        self.last = place;
        place
    }

    /// The link from the waiter at `place` to the next one; for `NONE`, the link to the first one.
    fn after(&mut self, place: usize) -> &mut usize {
        match self.entries.get_mut(place) {
            Some(Entry::Waiting { after, .. }) => after,
            _ => &mut self.first,
        }
    }

    /// The link from the waiter at `place` to the previous one; for `NONE`, the link to the last one.
    fn before(&mut self, place: usize) -> &mut usize {
        match self.entries.get_mut(place) {
            Some(Entry::Waiting { before, .. }) => before,
            _ => &mut self.last,
        }
    }

    /// Joins two neighbours; the waiter that stood between them is out of the line.
    fn unlink(&mut self, before: usize, after: usize) {
        *self.after(before) = after;
        *self.before(after) = before;
    }

    /// Takes the first waiter out of line and leaves `grant` in its entry. The caller wakes it.
    fn call_first(&mut self, grant: G) -> Waiter {
        let called = std::mem::replace(&mut self.entries[self.first], Entry::Called(grant));
        let Entry::Waiting { waiter, before, after, .. } = called else {
            unreachable!("a waiter in line has not been called")
        };
        self.unlink(before, after);
        waiter
    }

    /// Takes all waiters out of line and leaves `grant` in each entry. The caller wakes them.
    fn call_all(&mut self, grant: G) -> Vec<Waiter>
    where
        G: Copy,
    {
        let mut waiters = std::mem::take(&mut self.spare);
        let mut next = std::mem::replace(&mut self.first, NONE);
        self.last = NONE;
        while next != NONE {
            let called = std::mem::replace(&mut self.entries[next], Entry::Called(grant));
            let Entry::Waiting { waiter, after, .. } = called else {
                unreachable!("a waiter in line has not been called")
            };
            waiters.push(waiter);
            next = after;
        }
        waiters
    }

    /// The grant, if the waiter was called. Its entry is gone then, and its key cleared.
    fn collect(&mut self, key: &mut WaitKey) -> Option<G> {
        if matches!(self.entries[key.0], Entry::Waiting { .. }) {
            return None;
        }
        match self.take(std::mem::take(key).0) {
            Entry::Called(grant) => Some(grant),
            Entry::Waiting { .. } => None,
        }
    }

    /// Removes an entry, and gives back the memory of a table that has become nearly empty.
    #[inline]
    fn take(&mut self, place: usize) -> Entry<R, G> {
        let taken = self.entries.remove(place);
        if self.entries.capacity() > SHRINK_ABOVE && self.entries.len() < FEW {
            self.entries.shrink_to_fit();
        }
        taken
    }

    /// Removes an entry, and takes its waiter out of line if it stands there.
    fn remove(&mut self, place: usize) -> Entry<R, G> {
        let entry = self.take(place);
        if let Entry::Waiting { before, after, .. } = entry {
            self.unlink(before, after);
        }
        entry
    }

    /// Whether the waiter at this place is in line with another waker than `fresh`.
    fn is_stale(&self, place: usize, fresh: &Waker) -> bool {
        matches!(&self.entries[place], Entry::Waiting { waiter, .. } if !waiter.is(fresh))
    }

    /// Replaces the waker of a waiter in line. Returns the one that is not needed: the old one, or `fresh` if the
    /// waiter has been called.
    fn renew(&mut self, place: usize, fresh: Waiter) -> Waiter {
        match &mut self.entries[place] {
            Entry::Waiting { waiter, .. } => std::mem::replace(waiter, fresh),
            Entry::Called(_) => fresh,
        }
    }
}
