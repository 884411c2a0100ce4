//! `Timers` against a sorted list.
//!
//! A program inserts, renews and cancels timers and lets time pass. It is performed twice: on `Timers`, and on
//! [`Sorted`], a `Vec` kept in order by `sort`. Everything that can be observed goes into a log: which wakers are woken
//! in which order, when each waker is dropped, what `renew` returns, and the nearest deadline after each step. Equal
//! logs mean that the order is that of the deadlines, then of the insertions; that a timer fires at most once, with its
//! latest waker; that a key whose timer is gone does nothing; and that no waker is kept longer than needed. After each
//! step the invariants of the segments are checked as well. In debug builds the segments are small, so that these programs
//! cut and join them.
//!
//! The wakers are foreign code: in the same programs they insert, renew and cancel other timers while they are woken
//! (hazard 26) or dropped (hazard 5). Their `clone` cannot do that here: a safe waker is an `Arc`, whose clone is std's
//! own, and this crate has its one `unsafe` elsewhere.
//!
//! Hazard 25, ten million timers of which none may be early, is too much for lists. There the reference is std's
//! `BTreeSet`, and the probe reports which timers fired.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};

use crate::core::clock::{NEVER, Nanos};
use crate::core::probe::{Event, Probe, Watcher};
use crate::core::timers::{Key, Timers};
use crate::tests::{Random, Word, property};

/// The interface that `Timers` and its model share.
trait Pending {
    type Key: Copy;
    fn insert(&self, deadline: Nanos, waker: Waker) -> Self::Key;
    fn renew(&self, key: Self::Key, waker: &Waker) -> bool;
    fn cancel(&self, key: Self::Key);
    fn next(&self) -> Option<Nanos>;
    fn take_due(&self, now: Nanos, due: &mut Vec<Waker>);
    fn check(&self) {}
}

impl Pending for Timers {
    type Key = Key;

    fn insert(&self, deadline: Nanos, waker: Waker) -> Key {
        Timers::insert(self, deadline, waker)
    }

    fn renew(&self, key: Key, waker: &Waker) -> bool {
        Timers::renew(self, key, waker)
    }

    fn cancel(&self, key: Key) {
        Timers::cancel(self, key);
    }

    fn next(&self) -> Option<Nanos> {
        Timers::next(self)
    }

    fn take_due(&self, now: Nanos, due: &mut Vec<Waker>) {
        Timers::take_due(self, now, due);
    }

    fn check(&self) {
        Timers::check(self);
    }
}

fn timers() -> Timers {
    Timers::new(Rc::default())
}

/// The model: deadlines in order, equal ones in the order of insertion.
#[derive(Default)]
struct Sorted {
    list: RefCell<Vec<(Nanos, u64, Waker)>>,
    inserted: Cell<u64>,
}

impl Sorted {
    fn find(&self, key: u64) -> Option<usize> {
        self.list.borrow().iter().position(|(_, other, _)| *other == key)
    }
}

impl Pending for Sorted {
    type Key = u64;

    fn insert(&self, deadline: Nanos, waker: Waker) -> u64 {
        let key = self.inserted.get();
        self.inserted.set(key + 1);
        self.list.borrow_mut().push((deadline, key, waker));
        self.list.borrow_mut().sort_by_key(|(deadline, key, _)| (*deadline, *key));
        key
    }

    fn renew(&self, key: u64, waker: &Waker) -> bool {
        let Some(place) = self.find(key) else { return false };
        let old = std::mem::replace(&mut self.list.borrow_mut()[place].2, waker.clone());
        drop(old);
        true
    }

    fn cancel(&self, key: u64) {
        let Some(place) = self.find(key) else { return };
        let cancelled = self.list.borrow_mut().remove(place);
        drop(cancelled);
    }

    fn next(&self) -> Option<Nanos> {
        self.list.borrow().first().map(|(deadline, ..)| *deadline)
    }

    fn take_due(&self, now: Nanos, due: &mut Vec<Waker>) {
        let late = self.list.borrow().partition_point(|(deadline, ..)| *deadline <= now);
        due.extend(self.list.borrow_mut().drain(..late).map(|(.., waker)| waker));
    }
}

/// An action on the timers. A timer is named by how many were inserted before it, modulo their number.
#[derive(Clone, Copy, Debug)]
enum Act {
    InsertAt(Nanos),
    InsertIn(Nanos),
    Cancel(usize),
    /// With the waker it has.
    RenewSame(usize),
    RenewOther(usize),
}
use Act::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Do(Act),
    Pass(Nanos),
}
use Step::*;

/// What a waker does when it is woken, and when it is dropped.
#[derive(Clone, Debug, Default)]
struct Habits {
    woken: Vec<Act>,
    dropped: Vec<Act>,
}

#[derive(Clone, Debug)]
struct Program {
    steps: Vec<Step>,
    /// The habits of the wakers, in turn; no waker has any if this is empty.
    habits: Vec<Habits>,
}

/// What can be observed. Wakers are numbered as they are made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    Woken(usize),
    Dropped(usize),
    Renewed(bool),
    Next(Option<Nanos>),
}
use Seen::*;

/// One performance of a program.
struct Performance<P: Pending> {
    timers: P,
    now: Cell<Nanos>,
    /// For each timer its key, and the waker that it has or had last.
    inserted: RefCell<Vec<(P::Key, Weak<Numbered>)>>,
    wakers: Cell<usize>,
    habits: Vec<Habits>,
    /// How many actions the wakers may still do. Without a limit, two that renew each other would never stop.
    patience: Cell<u32>,
    seen: RefCell<Vec<Seen>>,
}

/// The performance as its wakers see it.
trait Called {
    fn called(&self, seen: Seen);
}

thread_local!(static RUNNING: RefCell<Option<Rc<dyn Called>>> = const { RefCell::new(None) });

/// A waker whose only state is its number. The performance keeps its habits, because a waker has to be `Send`.
struct Numbered(usize);

fn call(seen: Seen) {
    let performance = RUNNING.with_borrow(Clone::clone);
    if let Some(performance) = performance {
        performance.called(seen);
    }
}

impl Wake for Numbered {
    fn wake(self: Arc<Self>) {
        call(Woken(self.0));
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        call(Dropped(self.0));
    }
}

impl<P: Pending> Called for Performance<P> {
    fn called(&self, seen: Seen) {
        self.record(seen);
        let acts = match seen {
            Woken(number) if !self.habits.is_empty() => &self.habits[number % self.habits.len()].woken,
            Dropped(number) if !self.habits.is_empty() => &self.habits[number % self.habits.len()].dropped,
            _ => return,
        };
        for act in acts {
            if self.patience.get() == 0 {
                return;
            }
            self.patience.set(self.patience.get() - 1);
            self.act(*act);
        }
    }
}

impl<P: Pending> Performance<P> {
    fn record(&self, seen: Seen) {
        self.seen.borrow_mut().push(seen);
    }

    fn act(&self, act: Act) {
        match act {
            InsertAt(deadline) => self.insert(deadline),
            InsertIn(nanos) => self.insert(self.now.get().saturating_add(nanos).min(NEVER - 1)),
            Cancel(which) => {
                if let Some((key, _)) = self.find(which) {
                    self.timers.cancel(key);
                }
            }
            RenewSame(which) => self.renew(which, true),
            RenewOther(which) => self.renew(which, false),
        }
    }

    fn insert(&self, deadline: Nanos) {
        let numbered = self.make_waker();
        let weak = Arc::downgrade(&numbered);
        let key = self.timers.insert(deadline, Waker::from(numbered));
        self.inserted.borrow_mut().push((key, weak));
    }

    fn renew(&self, which: usize, same: bool) {
        let Some((key, weak)) = self.find(which) else { return };
        let kept = if same { weak.upgrade() } else { None };
        let numbered = kept.unwrap_or_else(|| self.make_waker());
        let weak = Arc::downgrade(&numbered);
        let renewed = self.timers.renew(key, &Waker::from(numbered));
        self.record(Renewed(renewed));
        let mut inserted = self.inserted.borrow_mut();
        let place = which % inserted.len();
        if renewed {
            inserted[place].1 = weak;
        }
    }

    fn make_waker(&self) -> Arc<Numbered> {
        self.wakers.set(self.wakers.get() + 1);
        Arc::new(Numbered(self.wakers.get() - 1))
    }

    fn find(&self, which: usize) -> Option<(P::Key, Weak<Numbered>)> {
        let inserted = self.inserted.borrow();
        inserted.get(which % inserted.len().max(1)).cloned()
    }

    /// Lets time pass as the loop does: first it takes out all timers that are due, then it wakes them.
    fn pass(&self, nanos: Nanos) {
        self.now.set(self.now.get().saturating_add(nanos).min(NEVER - 1));
        let mut due = Vec::new();
        self.timers.take_due(self.now.get(), &mut due);
        due.into_iter().for_each(Waker::wake);
    }
}

/// Performs a program. Timers that are still pending at the end are dropped without being recorded.
fn perform<P: Pending + 'static>(program: &Program, timers: P) -> Vec<Seen> {
    let performance = Rc::new(Performance {
        timers,
        now: Cell::new(0),
        inserted: RefCell::default(),
        wakers: Cell::new(0),
        habits: program.habits.clone(),
        patience: Cell::new(100),
        seen: RefCell::default(),
    });
    RUNNING.set(Some(Rc::<Performance<P>>::clone(&performance)));
    // After each step, record the nearest deadline and check the segments.
    for step in &program.steps {
        match *step {
            Do(act) => performance.act(act),
            Pass(nanos) => performance.pass(nanos),
        }
        performance.record(Next(performance.timers.next()));
        performance.timers.check();
    }
    RUNNING.set(None);
    performance.seen.take()
}

fn assert_same(program: &Program) -> Vec<Seen> {
    let seen = perform(program, timers());
    assert_eq!(seen, perform(program, Sorted::default()), "the timers (left) against the list (right)");
    seen
}

fn act(word: &mut Word) -> Act {
    match word.take(9) {
        0..=2 => InsertIn(word.take(8)),
        3 => InsertIn(word.take(1000)),
        4 => InsertAt([0, 7, 50, NEVER / 2, NEVER - 1][word.take(5) as usize]),
        5 => RenewSame(word.which()),
        6 => RenewOther(word.which()),
        _ => Cancel(word.which()),
    }
}

fn step(word: &mut Word) -> Step {
    match word.take(24) {
        0..=2 => Pass(word.take(6)),
        3 => Pass(word.take(500)),
        4 => Pass(word.take(NEVER / 4)),
        _ => Do(act(word)),
    }
}

/// Programs whose wakers do at most this many actions when they are woken and when they are dropped.
fn programs(woken: u64, dropped: u64) -> impl Strategy<Value = Program> {
    let acts = |mut word: Word, most| (0..word.take(most + 1)).map(|_| act(&mut word)).collect();
    let habits =
        move |(a, b)| Habits { woken: acts(Word::new(a), woken), dropped: acts(Word::new(b), dropped) };
    let words = (vec(any::<u64>(), 0..200), vec(any::<(u64, u64)>(), 7));
    words.prop_map(move |(steps, wakers)| Program {
        steps: steps.into_iter().map(|word| step(&mut Word::new(word))).collect(),
        habits: wakers.into_iter().map(habits).collect(),
    })
}

#[test]
fn timers_are_a_sorted_list() {
    property(1000, programs(0, 0), |program| drop(assert_same(&program)));
}

#[test]
fn hazard_26_wakers_that_change_the_timers_when_woken() {
    property(1000, programs(3, 0), |program| drop(assert_same(&program)));
}

#[test]
fn hazard_05_wakers_that_change_the_timers_when_dropped() {
    property(1000, programs(0, 3), |program| drop(assert_same(&program)));
    property(1000, programs(2, 2), |program| drop(assert_same(&program)));
}

/// A program whose first waker has habits; the others have none.
fn with_habits(woken: &[Act], dropped: &[Act], steps: &[Step]) -> Program {
    let mut habits = vec![Habits::default(); 10];
    habits[0] = Habits { woken: woken.to_vec(), dropped: dropped.to_vec() };
    Program { steps: steps.to_vec(), habits }
}

#[test]
fn hazard_26_a_timer_that_is_due_is_woken_once_whatever_its_neighbour_does() {
    // Three at the same time. The first cancels the second, renews the third, and inserts a fourth that is due.
    let start = [Do(InsertAt(5)), Do(InsertAt(5)), Do(InsertAt(5)), Pass(5), Pass(0), Pass(9)];
    let seen = assert_same(&with_habits(&[Cancel(1), RenewOther(2), InsertIn(0)], &[], &start));
    // Waker 3 was offered to the third timer, too late.
    assert_eq!(seen[3..7], [Woken(0), Dropped(3), Renewed(false), Dropped(0)]);
    assert_eq!(seen[7..12], [Woken(1), Dropped(1), Woken(2), Dropped(2), Next(Some(5))]);
    // The fourth timer had to wait for the next look. Otherwise timers that insert timers could hold up the loop for
    // ever.
    assert_eq!(seen[12..], [Woken(4), Dropped(4), Next(None), Next(None)]);
}

#[test]
fn hazard_26_a_neighbour_that_is_not_due_can_be_taken_away() {
    let start = [Do(InsertAt(5)), Do(InsertAt(6)), Do(InsertAt(7)), Pass(5), Pass(9)];
    let seen = assert_same(&with_habits(&[Cancel(1), RenewOther(2)], &[], &start));
    let woken: Vec<_> = seen.iter().filter(|seen| matches!(seen, Woken(_))).collect();
    assert_eq!(woken, [&Woken(0), &Woken(3)], "the second was cancelled, the third has another waker");
}

#[test]
fn hazard_05_a_waker_that_cancels_when_it_is_cancelled() {
    // Timer 0 is cancelled, and its waker cancels the others; also timer 0 itself, which is gone by then.
    let start = [Do(InsertAt(5)), Do(InsertAt(1)), Do(InsertAt(2)), Do(Cancel(0)), Pass(9)];
    let seen = assert_same(&with_habits(&[], &[Cancel(0), Cancel(1), RenewOther(2), InsertAt(3)], &start));
    assert_eq!(seen[3..6], [Dropped(0), Dropped(1), Dropped(2)]);
    assert_eq!(
        seen[6..],
        [Renewed(true), Next(Some(2)), Woken(3), Dropped(3), Woken(4), Dropped(4), Next(None)]
    );
}

#[test]
fn hazard_05_a_waker_that_cancels_its_own_timer_when_it_is_replaced() {
    let start = [Do(InsertAt(5)), Do(RenewOther(0)), Pass(9)];
    let seen = assert_same(&with_habits(&[], &[Cancel(0)], &start));
    // `renew` had finished before the old waker was dropped, so it returns true.
    assert_eq!(seen[1..], [Dropped(0), Dropped(1), Renewed(true), Next(None), Next(None)]);
}

/// Uses the timers from the wake and the drop of a waker while all timers end.
#[test]
fn hazard_05_the_end_of_the_timers_is_not_borrowed() {
    struct Late(Rc<Timers>, Cell<u32>);
    impl Called for Late {
        fn called(&self, _: Seen) {
            self.1.set(self.1.get() + 1);
            assert!(self.0.is_closed_before(NEVER) && self.0.next().is_none());
            let key = self.0.insert(1, Waker::noop().clone());
            assert!(self.0.renew(key, Waker::noop()));
            self.0.cancel(key);
        }
    }
    // Ten timers, all of whose wakers use the timers when they are woken and dropped.
    let timers = Rc::new(timers());
    for number in 0..10 {
        timers.insert(number, Waker::from(Arc::new(Numbered(number as usize))));
    }
    let late = Rc::new(Late(Rc::clone(&timers), Cell::new(0)));
    RUNNING.set(Some(Rc::<Late>::clone(&late)));
    timers.close(0);
    RUNNING.set(None);
    assert_eq!(late.1.get(), 20, "each waker was woken and dropped, once");
}

#[test]
fn equal_deadlines_keep_their_order() {
    // So many that they fill several segments.
    let mut steps: Vec<_> = (0..40).map(|i| Do(InsertAt(1000 + i % 2))).collect();
    steps.extend([Do(Cancel(3)), Do(Cancel(30)), Pass(1000), Pass(1)]);
    let seen = assert_same(&Program { steps, habits: Vec::new() });
    let woken: Vec<_> = seen.iter().filter(|seen| matches!(seen, Woken(_))).collect();
    assert_eq!((woken.len(), woken[0], woken[37]), (38, &Woken(0), &Woken(39)));
}

#[test]
fn a_key_fits_only_its_own_timer() {
    let timers = timers();
    let mut stale = Vec::new();
    for _ in 0..20 {
        let key = timers.insert(7, Waker::noop().clone());
        stale.iter().for_each(|stale| timers.cancel(*stale));
        assert!(stale.iter().all(|stale| !timers.renew(*stale, Waker::noop())));
        assert_eq!(timers.next(), Some(7));
        timers.cancel(key);
        assert_eq!(timers.next(), None);
        stale.push(key);
    }
}

/// When few of many timers are left, they move to few segments. The keys still fit, even after several such rounds.
#[test]
fn few_timers_are_kept_in_few_segments() {
    let timers = timers();
    let mut keys = Vec::new();
    for round in 1..4_u64 {
        keys.extend((0..10_000).map(|n| timers.insert(n * 7919 % 10_007 * round, Waker::noop().clone())));
        let most = timers.check();
        let mut kept = Vec::new();
        for (index, key) in keys.drain(..).enumerate() {
            match index % 1_000 {
                0 => kept.push(key),
                _ => timers.cancel(key),
            }
        }
        // One in a thousand is left.
        let segments = timers.check();
        assert!(segments < most.min(20), "{segments} segments of {most} for {} timers", kept.len());
        assert!(kept.iter().all(|key| timers.renew(*key, Waker::noop())));
        keys = kept;
    }
    // Those that are left can be cancelled, and fire once.
    let mut due = Vec::new();
    timers.cancel(keys.remove(3));
    timers.take_due(u64::MAX - 1, &mut due);
    assert_eq!(due.len(), keys.len(), "each fires once");
    assert!(!keys.iter().any(|key| timers.renew(*key, Waker::noop())));
    assert_eq!(timers.check(), 1);
}

/// Most timers are dropped, and those that are left are spread over all segments.
#[test]
fn timers_that_outlive_many_others_do_not_keep_their_segments() {
    let timers = timers();
    for n in 0..20_000 {
        let key = timers.insert(n, Waker::noop().clone());
        if n % 100 != 0 {
            timers.cancel(key);
        }
    }
    let keys: Vec<_> = (0..20_000).map(|n| timers.insert(n, Waker::noop().clone())).collect();
    keys.into_iter().rev().for_each(|key| timers.cancel(key));
    let segments = timers.check();
    assert!(segments <= 200, "{segments} segments for 200 timers");
}

/// Timers and a set, with the same deadlines in both.
struct Both {
    timers: Timers,
    set: BTreeSet<(Nanos, u64, u64)>,
    keys: VecDeque<(Key, Nanos, u64)>,
    inserted: u64,
    now: Nanos,
    random: Random,
}

impl Both {
    fn insert(&mut self) {
        let range = [1, 50, 5_000, 1_000_000][self.random.below(4) as usize];
        let deadline = self.now + self.random.below(range);
        let key = self.timers.insert(deadline, Waker::noop().clone());
        self.set.insert((deadline, self.inserted, key.serial));
        self.keys.push_back((key, deadline, self.inserted));
        self.inserted += 1;
    }

    /// Cancels one of the older timers; it may have fired long ago.
    fn cancel(&mut self) {
        let place = self.random.below(self.keys.len() as u64) as usize;
        let Some((key, deadline, order)) = self.keys.swap_remove_front(place) else { return };
        self.timers.cancel(key);
        self.set.remove(&(deadline, order, key.serial));
    }

    /// The timers that must fire now, in this order, and no others.
    fn expect_due(&mut self) -> impl Iterator<Item = u64> {
        let later = self.set.split_off(&(self.now + 1, 0, 0));
        std::mem::replace(&mut self.set, later).into_iter().map(|(.., number)| number)
    }
}

#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn hazard_25_ten_million_timers_and_none_is_early() {
    let total = if cfg!(miri) {
        400
    } else if cfg!(debug_assertions) {
        200_000
    } else {
        10_000_000
    };
    let fired = Rc::new(RefCell::new(Vec::new()));
    let theirs = Rc::clone(&fired);
    let watcher: Watcher = Box::new(move |event, _| match *event {
        Event::TimerFired { timer } => {
            theirs.borrow_mut().push(timer);
            true
        }
        other => panic!("timers report only what has fired, not {other:?}"),
    });
    let probe = Rc::<Probe>::default();
    probe.change(Box::new(|_| watcher));
    let timers = Timers::new(probe);
    let (set, keys, random) = (BTreeSet::new(), VecDeque::new(), Random::new(25));
    let mut both = Both { timers, set, keys, inserted: 0, now: 0, random };
    let mut due = Vec::new();
    while both.inserted < total {
        (0..both.random.below(60)).for_each(|_| both.insert());
        (0..both.random.below(20)).for_each(|_| both.cancel());
        both.now += both.random.below(100);
        both.timers.take_due(both.now, &mut due);
        assert_eq!(due.len(), fired.borrow().len());
        assert!(both.expect_due().eq(fired.borrow_mut().drain(..)));
        assert_eq!(both.timers.next(), both.set.first().map(|(deadline, ..)| *deadline));
        due.clear();
        // Forget the oldest keys, so that a cancel still finds timers that are pending.
        both.keys.drain(..both.keys.len().saturating_sub(1000));
    }
    both.timers.check();
    assert!(both.set.len() > 100 || cfg!(miri), "many timers were pending: {}", both.set.len());
}
