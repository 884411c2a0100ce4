//! Those who wait for one source, in one direction.
//!
//! Facts. Nearly always that is one task or none. When the kernel reports the source, all of them are woken, for only
//! they know who can make use of it.
//!
//! What follows. The first has a place in the registration itself: to wait and to be woken takes no list and no
//! allocation. Who comes while that is taken finds room in a box, which few sources ever have.
//!
//! Some wait at a *place* of their own, which they give up when their future is dropped. Others, who implement
//! `poll` and have no future to drop, have only left *word*: they are woken once, whatever becomes of them.
//!
//! Invariant. A place is good for one round: who has been woken gives up nothing, even if another one waits there now.
//!
//! What it does not know: the kernel, and who they are.

use std::task::Waker;

use slab::Slab;

#[derive(Debug, Default)]
pub(crate) struct Waiters {
    first: Option<Waker>,
    /// Whether the first has only left word.
    is_word: bool,
    /// How often all have been woken.
    round: u32,
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    wakers: Slab<Waker>,
    words: Vec<Waker>,
}

/// Where a waiter stands among the [`Waiters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Zero is the first; from one on, those in the box.
    index: u32,
    round: u32,
}

impl Waiters {
    /// Whether this waker waits at `place`.
    #[inline]
    pub(crate) fn holds(&self, place: Place, waker: &Waker) -> bool {
        self.at(place).is_some_and(|found| found.will_wake(waker))
    }

    fn at(&self, place: Place) -> Option<&Waker> {
        match (place.round == self.round, place.index) {
            (false, _) => None,
            (true, 0) => self.first.as_ref(),
            (true, index) => self.more.as_ref()?.wakers.get(index as usize - 1),
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, waker: Waker) -> Place {
        if self.first.is_some() {
            return self.add_to_box(waker);
        }
        self.put_first(waker, false);
        Place { index: 0, round: self.round }
    }

    #[inline]
    fn put_first(&mut self, waker: Waker, is_word: bool) {
        self.is_word = is_word;
        let none = self.first.replace(waker);
        debug_assert!(none.is_none());
        // What is known to be nothing need not be asked for its destructor.
        std::mem::forget(none);
    }

    #[cold]
    fn add_to_box(&mut self, waker: Waker) -> Place {
        let index = self.more.get_or_insert_default().wakers.insert(waker) as u32 + 1;
        Place { index, round: self.round }
    }

    /// Whether word was left for this waker.
    pub(crate) fn has_word(&self, waker: &Waker) -> bool {
        let first = self.first.as_ref().filter(|_| self.is_word);
        let words = self.more.iter().flat_map(|more| &more.words);
        first.into_iter().chain(words).any(|found| found.will_wake(waker))
    }

    #[inline]
    pub(crate) fn leave_word(&mut self, waker: Waker) {
        match self.first {
            None => self.put_first(waker, true),
            Some(_) => self.more.get_or_insert_default().words.push(waker),
        }
    }

    /// Takes one out, if it was not woken meanwhile.
    #[inline]
    pub(crate) fn remove(&mut self, place: Place) -> Option<Waker> {
        match (place.round == self.round, place.index) {
            (false, _) => None,
            (true, 0) => self.first.take(),
            (true, index) => self.more.as_mut()?.wakers.try_remove(index as usize - 1),
        }
    }

    /// Whether a round has ended since this place was given.
    #[inline]
    pub(crate) fn has_woken(&self, place: Place) -> bool {
        place.round != self.round
    }

    /// A round is over: all of them are to be woken.
    #[inline(always)]
    pub(crate) fn take_into(&mut self, woken: &mut Vec<Waker>) {
        self.round = self.round.wrapping_add(1);
        if let Some(first) = self.first.take() {
            woken.push(first);
        }
        if self.more.is_some() {
            self.empty_box_into(woken);
        }
    }

    #[cold]
    #[inline(never)]
    fn empty_box_into(&mut self, woken: &mut Vec<Waker>) {
        if let Some(more) = &mut self.more {
            woken.extend(more.wakers.drain());
            woken.append(&mut more.words);
        }
    }
}
