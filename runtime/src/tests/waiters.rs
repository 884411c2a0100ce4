//! `Waiters` against a list of waiters.
//!
//! The model has no first waiter and no box. It only knows which waiter waits at which place, or at none if it has only
//! left word. Places are also tried long after their round is over, when another waiter may be in the same place. At
//! the end no waker may be kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Wake, Waker};

use proptest::collection::vec;
use proptest::prelude::any;

use super::{Word, property};
use crate::core::reactor::{Place, Waiters};

struct Unwoken;

impl Wake for Unwoken {
    fn wake(self: Arc<Self>) {}
}

/// Both, side by side.
struct Both {
    waiters: Waiters,
    wakers: Vec<Waker>,
    /// The waiters, by the number of the waker, and the place of each; `None` if it has only left word.
    waiting: Vec<(usize, Option<usize>)>,
    /// All places that were ever given, and in which round.
    places: Vec<(Place, u32)>,
    round: u32,
}

impl Both {
    fn who(&self, waker: &Waker) -> usize {
        self.wakers.iter().position(|known| known.will_wake(waker)).expect("one of ours")
    }

    fn step(&mut self, mut word: Word) {
        // Add a waiter, leave word, remove a waiter, or end the round; in both, then compare.
        let who = word.take(4) as usize;
        let waker = self.wakers[who].clone();
        match word.take(8) {
            0..=2 => {
                let place = self.waiters.add(waker);
                self.waiting.push((who, Some(self.places.len())));
                self.places.push((place, self.round));
            }
            3 => {
                assert_eq!(self.waiters.has_word(&waker), self.waiting.contains(&(who, None)));
                if !self.waiters.has_word(&waker) {
                    self.waiters.leave_word(waker, |_| false);
                    self.waiting.push((who, None));
                }
            }
            4 | 5 if !self.places.is_empty() => self.remove(word.which() % self.places.len()),
            6 => self.end_round(),
            _ => {}
        }
        self.check();
    }

    fn remove(&mut self, which: usize) {
        let given_up = !self.waiting.iter().any(|(_, place)| *place == Some(which));
        if given_up && self.places[which].1 == self.round {
            // The place may belong to another waiter now; no waiter asks with it any more.
            return;
        }
        let removed = self.waiters.remove(self.places[which].0).map(|waker| self.who(&waker));
        let found = self.waiting.iter().position(|(_, place)| *place == Some(which));
        assert_eq!(removed, found.map(|found| self.waiting.remove(found).0));
    }

    fn end_round(&mut self) {
        let mut woken = Vec::new();
        self.waiters.hand_out(&mut |waker| woken.push(waker));
        let mut woken: Vec<usize> = woken.iter().map(|waker| self.who(waker)).collect();
        let mut expected: Vec<usize> = self.waiting.drain(..).map(|(who, _)| who).collect();
        woken.sort_unstable();
        expected.sort_unstable();
        assert_eq!(woken, expected, "all, each as often as it waits");
        self.round += 1;
    }

    fn check(&self) {
        for (place, round) in &self.places {
            let is_over = *round != self.round;
            assert_eq!(self.waiters.has_woken(*place), is_over);
            assert!(!is_over || !self.wakers.iter().any(|waker| self.waiters.holds(*place, waker)));
        }
        for (who, place) in &self.waiting {
            let Some((place, _)) = place.map(|place| self.places[place]) else { continue };
            let holds = |waker| self.waiters.holds(place, waker);
            assert_eq!(self.wakers.iter().position(holds), Some(*who));
        }
    }
}

#[test]
fn a_waiter_is_woken_once_and_one_that_gave_up_is_not() {
    property(300, vec(any::<u64>(), 0..60), |words| {
        let counted: Vec<Arc<Unwoken>> = (0..4).map(|_| Arc::new(Unwoken)).collect();
        // Only clones of a waker are sure to compare as equal: under Miri, the first one does not.
        let wakers: Vec<Waker> = counted.iter().map(|one| Waker::from(Arc::clone(one)).clone()).collect();
        let (waiters, waiting, places) = (Waiters::default(), Vec::new(), Vec::new());
        let mut both = Both { waiters, wakers, waiting, places, round: 0 };
        words.into_iter().for_each(|word| both.step(Word::new(word)));
        for (who, one) in counted.iter().enumerate() {
            let waits = both.waiting.iter().filter(|(other, _)| *other == who).count();
            assert_eq!(Arc::strong_count(one), 2 + waits, "only the wakers of waiters are kept");
        }
        drop(both);
        assert!(counted.iter().all(|one| Arc::strong_count(one) == 1));
    });
}

/// Ten thousand tasks leave word and end. Only the words of the last few stay.
#[test]
fn words_of_ended_tasks_do_not_pile_up() {
    let mut waiters = Waiters::default();
    let many = if cfg!(miri) { 500 } else { 10_000 };
    let wakers: Vec<Waker> = (0..many).map(|_| Waker::from(Arc::new(Unwoken))).collect();
    let index_of: HashMap<*const (), usize> = wakers.iter().map(Waker::data).zip(0..).collect();
    let mut most = 0;
    for (index, waker) in wakers.iter().enumerate() {
        // Only the last ten live.
        waiters.leave_word(waker.clone(), |word| index_of[&word.data()] + 10 < index);
        most = most.max(waiters.words());
    }
    assert!(most <= 128, "{most} words, although only ten tasks wait");
    let mut woken = Vec::new();
    waiters.hand_out(&mut |waker| woken.push(waker));
    assert!(woken.last().is_some_and(|last| last.data() == wakers[many - 1].data()));
    assert_eq!(waiters.words(), 0);
}

/// The words of all live tasks stay, and are woken in order.
#[test]
fn words_of_live_tasks_all_stay() {
    let mut waiters = Waiters::default();
    let many = if cfg!(miri) { 200 } else { 1_000 };
    let wakers: Vec<Waker> = (0..many).map(|_| Waker::from(Arc::new(Unwoken)).clone()).collect();
    let asked = std::cell::Cell::new(0);
    for waker in &wakers {
        assert!(!waiters.has_word(waker));
        waiters.leave_word(waker.clone(), |_| {
            asked.set(asked.get() + 1);
            false
        });
    }
    // All words are kept, and keeping them is cheap.
    assert!(wakers.iter().all(|waker| waiters.has_word(waker)));
    assert!(asked.get() <= 2 * wakers.len(), "{} looks at {many} words", asked.get());
    let mut woken = Vec::new();
    waiters.hand_out(&mut |waker| woken.push(waker));
    assert_eq!(woken.len(), wakers.len());
    assert!(woken.iter().zip(&wakers).all(|(woken, waker)| woken.will_wake(waker)));
}
