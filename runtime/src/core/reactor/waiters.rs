//! The wakers that wait for one source, in one direction.
//!
//! Facts. Nearly always that is one task or none. When the kernel reports the source, all of them are woken, because only
//! they know which of them can use it.
//!
//! What follows. The first waker has a place in the registration itself, so to wait and to be woken takes no list and no
//! allocation. Wakers that come while that place is taken go into a box, which few sources ever have.
//!
//! A future waits at a *place* of its own, and gives it up when it is dropped. Code that implements `poll` has no future
//! to drop: its task only leaves *word*, and is woken once, whether or not it still waits. A task
//! that polls again is recognised in one step, by its waker. When the number of words has doubled, the words of tasks that
//! have ended are removed. So there are at most about twice as many words as live tasks that wait.
//!
//! Invariant. A place is good for one round. A future that has been woken gives up nothing, even if another one waits at
//! the same place now.
//!
//! What it does not know: the kernel, and the tasks.

use std::collections::HashSet;
use std::ptr;
use std::task::Waker;

use slab::Slab;

#[derive(Default)]
pub(crate) struct Waiters {
    first: Option<Waker>,
    /// Set if the first one has only left word; without meaning while there is no first one.
    is_word: bool,
    /// How often all have been woken.
    round: u32,
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    wakers: Slab<Waker>,
    /// In the order in which they were left.
    words: Vec<Waker>,
    known: HashSet<Identity>,
    /// How many words were left when those of ended tasks were last removed.
    lively: usize,
}

/// What `Waker::will_wake` compares.
type Identity = (usize, usize);

fn identity(waker: &Waker) -> Identity {
    (waker.data().addr(), ptr::from_ref(waker.vtable()).addr())
}

/// Tables for more waiters than this are not kept, and with fewer words ended tasks are not looked for.
const FEW: usize = 64;

/// Where a waiter stands among the [`Waiters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Zero is the first; from one on, those in the box.
    index: u32,
    round: u32,
}

impl Place {
    /// A number that no other place in the same direction has at the same time.
    #[inline]
    pub(crate) fn number(self) -> u64 {
        u64::from(self.round << 3 >> 3) << 32 | u64::from(self.index)
    }
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
        // It is known to be nothing, so its destructor need not be called.
        std::mem::forget(none);
    }

    #[cold]
    fn add_to_box(&mut self, waker: Waker) -> Place {
        let index = self.more.get_or_insert_default().wakers.insert(waker) as u32 + 1;
        Place { index, round: self.round }
    }

    /// Puts another waker at the same place, and returns the one that is not needed.
    pub(crate) fn renew(&mut self, place: Place, waker: Waker) -> Waker {
        let found = match place.index {
            _ if self.has_woken(place) => None,
            0 => self.first.as_mut(),
            index => self.more.as_mut().and_then(|more| more.wakers.get_mut(index as usize - 1)),
        };
        match found {
            Some(found) => std::mem::replace(found, waker),
            None => waker,
        }
    }

    /// Whether word was left for this waker.
    pub(crate) fn has_word(&self, waker: &Waker) -> bool {
        self.is_word && self.first.as_ref().is_some_and(|found| found.will_wake(waker))
            || self.more.as_ref().is_some_and(|more| more.known.contains(&identity(waker)))
    }

    /// `is_gone` tells whether a waker belongs to a task of ours that has ended. Dropping such a waker runs no code.
    #[inline]
    pub(crate) fn leave_word(&mut self, waker: Waker, is_gone: impl Fn(&Waker) -> bool) {
        match self.first {
            None => self.put_first(waker, true),
            Some(_) => self.more.get_or_insert_default().leave_word(waker, is_gone),
        }
    }

    /// Takes a waker out, if it was not woken meanwhile.
    #[inline]
    pub(crate) fn remove(&mut self, place: Place) -> Option<Waker> {
        match (place.round == self.round, place.index) {
            (false, _) => None,
            (true, 0) => self.first.take(),
            (true, index) => self.more.as_mut()?.wakers.try_remove(index as usize - 1),
        }
    }

    /// All that wait. A waiter that has only left word has no place.
    #[cfg(feature = "diagnostics")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Option<Place>, &Waker)> {
        let place = |index| Some(Place { index, round: self.round });
        let first = self.first.iter().map(move |waker| (place(0).filter(|_| !self.is_word), waker));
        let more = self.more.iter().flat_map(move |more| {
            let wakers = more.wakers.iter().map(move |(index, waker)| (place(index as u32 + 1), waker));
            wakers.chain(more.words.iter().map(|waker| (None, waker)))
        });
        first.chain(more)
    }

    /// Whether a round has ended since this place was given.
    #[inline]
    pub(crate) fn has_woken(&self, place: Place) -> bool {
        place.round != self.round
    }

    /// A round is over: hands out all wakers, to be woken.
    #[inline(always)]
    pub(crate) fn hand_out(&mut self, wake: &mut impl FnMut(Waker)) {
        self.round = self.round.wrapping_add(1);
        if let Some(first) = self.first.take() {
            wake(first);
        }
        if self.more.is_some() {
            self.empty_box(wake);
        }
    }

    #[cold]
    #[inline(never)]
    fn empty_box(&mut self, wake: &mut dyn FnMut(Waker)) {
        let Some(more) = &mut self.more else { return };
        more.wakers.drain().chain(more.words.drain(..)).for_each(wake);
        more.known.clear();
        more.lively = 0;
        // Many have waited here: give their tables back.
        if more.wakers.capacity().max(more.known.capacity()) > FEW {
            self.more = None;
        }
    }

    /// How many words there are.
    #[cfg(test)]
    pub(crate) fn words(&self) -> usize {
        usize::from(self.is_word && self.first.is_some())
            + self.more.as_ref().map_or(0, |more| more.words.len())
    }
}

impl More {
    fn leave_word(&mut self, waker: Waker, is_gone: impl Fn(&Waker) -> bool) {
        if self.words.len() >= FEW.max(self.lively * 2) {
            self.words.retain(|word| !is_gone(word));
            self.known = self.words.iter().map(identity).collect();
            self.lively = self.words.len();
        }
        self.known.insert(identity(&waker));
        self.words.push(waker);
    }
}
