//! Lab 5: timers that can be removed.
//!
//! Facts. Most timers never fire: a timeout is set for each request, and removed when the answer comes. What was removed
//! must not be kept until its deadline.
//!
//! What follows. The checks count: how often a [`Time`] is compared, and how many times and [`Task`]s still exist. So it makes
//! no difference how fast the machine is.

use std::cell::Cell;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use crate::check::{Check, ensure, same};
use crate::diary::{act, new_case, remark};
use crate::hands::Random;
use crate::outcome::Outcome;

/// What the learner writes.
pub trait Timers: Default {
    /// What `insert` returns, to name the timer.
    type Key;
    /// Sets a timer.
    fn insert(&mut self, deadline: Time, task: Task) -> Self::Key;
    /// Removes a timer. If it has fired, nothing happens.
    fn remove(&mut self, key: Self::Key);
    /// The earliest deadline.
    fn next(&mut self) -> Option<Time>;
    /// Takes out the earliest timer, if its deadline is `now` or before. Of equal deadlines, the one set first.
    fn fire(&mut self, now: Time) -> Option<Task>;
}

thread_local! {
    static COMPARED: Cell<u64> = const { Cell::new(0) };
    static EXIST: Cell<usize> = const { Cell::new(0) };
}

/// A point in time. It counts how often it is compared, and how many of its kind exist.
#[derive(Debug, Eq)]
pub struct Time(u64);

impl Time {
    fn new(at: u64) -> Time {
        EXIST.set(EXIST.get() + 1);
        Time(at)
    }
}

impl Clone for Time {
    fn clone(&self) -> Time {
        Time::new(self.0)
    }
}

impl Drop for Time {
    fn drop(&mut self) {
        EXIST.set(EXIST.get() - 1);
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Time) -> Ordering {
        COMPARED.set(COMPARED.get() + 1);
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Time) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Time {
    fn eq(&self, other: &Time) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

/// What a timer wakes.
#[derive(Debug)]
pub struct Task {
    number: u64,
    _alive: Rc<()>,
}

/// The checks of lab 5.
#[must_use]
pub fn checks<A: Timers>() -> Vec<Check> {
    vec![
        Check::new("without timers, nothing is next and nothing fires", empty::<A>, ORDER),
        Check::new("timers fire in the order of their deadlines", order::<A>, ORDER),
        Check::new("a timer fires at its deadline, and not before", edge::<A>, EDGE),
        Check::new(
            "timers with the same deadline fire in the order in which they were set",
            equal::<A>,
            EQUAL,
        ),
        Check::new("a timer that was removed does not fire, and is not next", removed::<A>, REMOVE),
        Check::new("removing a timer that has fired removes no other", stale::<A>, STALE),
        Check::new("nothing is left of a timer that was removed", leaves_nothing::<A>, REMOVE),
        Check::new("it does the same as a sorted list in 10,000 random steps", model::<A>, MODEL),
        Check::new("a timeout that comes and goes among 3,000 sleeps is cheap", cost::<A>, COST),
    ]
}

const ORDER: &str = "The timers are kept in the order of their deadlines. `next` looks at the first, and `fire` takes it \
    out if it is due.";
const EDGE: &str =
    "A deadline is the first moment at which a timer may fire. Is a timer due when `now` is its deadline?";
const EQUAL: &str = "A deadline cannot name a timer: many timers can have the same one. What else tells two timers \
    apart, and keeps their order?";
const REMOVE: &str = "A heap only gives up what stands at its top. What must the structure be able to find, so that a \
    timer in the middle can be taken out at once, together with its task?";
const STALE: &str =
    "A key outlives its timer. If a place or a name is used again, an old key points to a new timer.";
const MODEL: &str = "Follow the last steps by hand, beginning with the timer that was expected.";
const COST: &str = "Removing a timer should not look at all the others. Which structure finds a key among 3,000 with a \
    few dozen comparisons?";

/// Calls the learner's timers, and notes each call.
struct Tried<A> {
    timers: A,
    set: u64,
    nursery: Rc<()>,
}

impl<A: Timers> Tried<A> {
    fn new() -> Tried<A> {
        Tried { timers: A::default(), set: 0, nursery: Rc::new(()) }
    }

    fn insert(&mut self, deadline: u64) -> A::Key {
        self.set += 1;
        act(format_args!("set timer {} for {deadline}", self.set));
        let task = Task { number: self.set, _alive: self.nursery.clone() };
        self.timers.insert(Time::new(deadline), task)
    }

    fn remove(&mut self, number: u64, key: A::Key) {
        act(format_args!("remove timer {number}"));
        self.timers.remove(key);
    }

    fn fires(&mut self, now: u64, expected: Option<u64>) -> Outcome {
        act(format_args!("fire({now})"));
        let fired = self.timers.fire(Time::new(now)).map(|task| task.number);
        same("timer", &expected, &fired)
    }

    fn next(&mut self, expected: Option<u64>) -> Outcome {
        act("next()");
        let next = self.timers.next().map(|time| time.0);
        same("deadline", &expected, &next)
    }

    /// How many tasks exist.
    fn alive(&self) -> usize {
        Rc::strong_count(&self.nursery) - 1
    }
}

fn empty<A: Timers>() -> Outcome {
    let mut timers = Tried::<A>::new();
    timers.next(None)?;
    timers.fires(1_000, None)
}

fn order<A: Timers>() -> Outcome {
    let mut timers = Tried::<A>::new();
    [30, 10, 20, 5].into_iter().for_each(|deadline| drop(timers.insert(deadline)));
    timers.next(Some(5))?;
    for expected in [Some(4), Some(2), Some(3), Some(1), None] {
        timers.fires(100, expected)?;
    }
    timers.next(None)
}

fn edge<A: Timers>() -> Outcome {
    let mut timers = Tried::<A>::new();
    let _ = timers.insert(10);
    timers.fires(9, None)?;
    timers.next(Some(10))?;
    timers.fires(10, Some(1))
}

fn equal<A: Timers>() -> Outcome {
    let mut timers = Tried::<A>::new();
    [20, 10, 10, 10].into_iter().for_each(|deadline| drop(timers.insert(deadline)));
    for expected in [Some(2), Some(3), Some(4), None] {
        timers.fires(10, expected)?;
    }
    timers.fires(20, Some(1))
}

fn removed<A: Timers>() -> Outcome {
    let mut timers = Tried::<A>::new();
    let _ = timers.insert(30);
    let first = timers.insert(10);
    let middle = timers.insert(20);
    timers.remove(2, first);
    timers.next(Some(20))?;
    timers.remove(3, middle);
    timers.fires(25, None)?;
    timers.fires(30, Some(1))
}

fn stale<A: Timers>() -> Outcome {
    let mut timers = Tried::<A>::new();
    let old = timers.insert(10);
    timers.fires(10, Some(1))?;
    let _ = timers.insert(10);
    timers.remove(1, old);
    timers.fires(10, Some(2))
}

fn leaves_nothing<A: Timers>() -> Outcome {
    let mut timers = Tried::<A>::new();
    let _ = timers.insert(5);
    act("set and remove 1,000 timeouts for 1,000,000");
    for number in 0..1_000 {
        let task = Task { number, _alive: timers.nursery.clone() };
        let key = timers.timers.insert(Time::new(1_000_000), task);
        timers.timers.remove(key);
    }
    same("tasks that are kept", &1, &timers.alive())?;
    let kept = EXIST.get();
    ensure(kept <= MOST_KEPT, format!("at most {MOST_KEPT} deadlines are kept"), format!("{kept}"))
}

/// Deadlines that may be kept beside one timer. Some structures clean up only now and then.
const MOST_KEPT: usize = 50;

fn model<A: Timers>() -> Outcome {
    let (mut timers, mut random, mut now) = (Tried::<A>::new(), Random(0xC10C), 0);
    // The timers that are set, by deadline and number.
    let mut model: BTreeMap<(u64, u64), A::Key> = BTreeMap::new();
    for _ in 0..10_000 {
        // Two of five steps set a timer. The others remove one, look, and let time pass.
        match random.below(5) {
            0 | 1 => {
                let deadline = now + random.below(20);
                let key = timers.insert(deadline);
                model.insert((deadline, timers.set), key);
            }
            2 => {
                let nth = random.below(model.len().max(1) as u64) as usize;
                let Some(name) = model.keys().nth(nth).copied() else { continue };
                let key = model.remove(&name).expect("it was found");
                timers.remove(name.1, key);
            }
            3 => timers.next(model.keys().next().map(|(deadline, _)| *deadline))?,
            _ => {
                now += random.below(4);
                let due = model.keys().next().copied().filter(|(deadline, _)| *deadline <= now);
                due.and_then(|name| model.remove(&name));
                timers.fires(now, due.map(|(_, number)| number))?;
            }
        }
        same("tasks that are kept", &model.len(), &timers.alive())?;
    }
    Ok(())
}

/// Sleeps that are there all the time, and timeouts that come and go.
const SLEEPS: u64 = 3_000;
const TIMEOUTS: u64 = 1_000;
/// Comparisons for one timeout: what a balanced tree needs, with room for others.
const MOST: u64 = 400;

fn cost<A: Timers>() -> Outcome {
    let (mut timers, mut random) = (Tried::<A>::new(), Random(0xFA57));
    for _ in 0..SLEEPS {
        let _ = timers.insert(random.below(1_000_000));
    }
    // Only from here on it is counted.
    new_case();
    act(format_args!("set {SLEEPS} sleeps, then set and remove {TIMEOUTS} timeouts"));
    COMPARED.set(0);
    for number in 0..TIMEOUTS {
        let task = Task { number, _alive: timers.nursery.clone() };
        let key = timers.timers.insert(Time::new(random.below(1_000_000)), task);
        timers.timers.remove(key);
    }
    let (yours, heap) = (COMPARED.get() / TIMEOUTS, heap());
    let text = format!("{yours} comparisons for each timeout");
    ensure(
        yours <= MOST,
        format!("at most {MOST} comparisons for each timeout (a heap needs {heap})"),
        &text,
    )?;
    remark(format_args!("yours: {text}; a heap that keeps what was removed until it is due: {heap}"));
    Ok(())
}

/// What the same costs with a heap in which a removed timer stays until it is due.
fn heap() -> u64 {
    let (mut heap, mut random) = (BinaryHeap::new(), Random(0xFA57));
    heap.extend((0..SLEEPS).map(|_| Reverse(Time::new(random.below(1_000_000)))));
    COMPARED.set(0);
    for _ in 0..TIMEOUTS {
        heap.push(Reverse(Time::new(random.below(1_000_000))));
    }
    let pushed = COMPARED.get();
    // Each pop is counted for a timeout in the same way as for a sleep.
    COMPARED.set(0);
    let pops = std::iter::from_fn(|| heap.pop()).count() as u64;
    pushed / TIMEOUTS + COMPARED.get() / pops
}
