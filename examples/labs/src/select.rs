//! Lab 10: `select` without a macro.
//!
//! Facts. Two futures share one task, so they share one waker. The one that loses is dropped, with all that it has begun.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::check::{Check, ensure, same};
use crate::diary::{act, new_case};
use crate::hands::Hand;
use crate::outcome::Outcome;

/// The result of one of two futures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first was ready.
    First(A),
    /// The second was, and the first was not.
    Second(B),
}

/// What the learner writes.
pub trait Select: 'static {
    /// Polls both futures until one is ready. If both are, the first wins. The other one is dropped.
    fn select<A: Future, B: Future>(a: A, b: B) -> impl Future<Output = Either<A::Output, B::Output>>;
}

/// The checks of lab 10.
#[must_use]
pub fn checks<S: Select>() -> Vec<Check> {
    vec![
        Check::new("nothing is polled before the result is awaited", lazy::<S>, LAZY),
        Check::new("a future that is ready wins, the first or the second", either::<S>, BOTH),
        Check::new("both futures are polled before it waits", both::<S>, BOTH),
        Check::new("each of the two can wake the task", wakes::<S>, WAKER),
        Check::new("if both are ready, the first wins, and the second loses nothing", biased::<S>, BIASED),
        Check::new("the future that loses is dropped before the result is returned", loser::<S>, LOSER),
        Check::new("dropping it drops both", dropped::<S>, LOSER),
    ]
}

const LAZY: &str = "A future does nothing until it is polled, and that holds for yours as well.";
const BOTH: &str = "Awaiting one future and then the other is a sequence, not a race. Each poll of yours has to give both of \
    them a chance before it says `Pending`.";
const WAKER: &str =
    "Whatever the two futures wait for has to wake the task that awaits yours. Which waker do they get?";
const BIASED: &str = "A poll can take something that cannot be put back, such as a message. If you know that you will not \
    use a result, do not ask for it.";
const LOSER: &str = "A future that is kept goes on to hold its locks and its place in each line. What owns the two futures, \
    and when does that end?";

type Log = Rc<RefCell<Vec<&'static str>>>;

/// A future that is watched: its polls and its end are noted.
struct Watched {
    name: &'static str,
    log: Log,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.log.borrow_mut().push(if self.name == "a" { "a dropped" } else { "b dropped" });
    }
}

/// Waits until the switch is on, and returns the number. It notes each poll.
async fn waits(name: &'static str, switch: Rc<Switch>, log: Log, number: u32) -> u32 {
    let watched = Watched { name, log };
    poll_fn(|cx| {
        watched.log.borrow_mut().push(watched.name);
        drop(switch.waker.replace(Some(cx.waker().clone())));
        if switch.on.get() { Poll::Ready(number) } else { Poll::Pending }
    })
    .await
}

/// Something that a future waits for.
#[derive(Default)]
struct Switch {
    on: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Switch {
    fn turn_on(&self) {
        self.on.set(true);
        let waker = self.waker.take();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// Two futures, what they wait for, and the race between them.
struct Case {
    a: Rc<Switch>,
    b: Rc<Switch>,
    log: Log,
    race: Hand<Either<u32, u32>>,
}

impl Case {
    fn new<S: Select>() -> Case {
        act("select(a, b); a returns 1 when its switch is on, b returns 2 when its own is");
        let (a, b, log) = (Rc::<Switch>::default(), Rc::<Switch>::default(), Log::default());
        let first = waits("a", a.clone(), log.clone(), 1);
        let second = waits("b", b.clone(), log.clone(), 2);
        let race = Hand::new(S::select(first, second));
        Case { a, b, log, race }
    }

    fn turn_on(&self, name: &str, switch: &Rc<Switch>) {
        act(format_args!("the switch of {name} is turned on"));
        switch.turn_on();
    }

    fn poll(&mut self, expected: Option<Either<u32, u32>>) -> Outcome {
        act("the race is polled");
        self.race.poll();
        same("result", &expected, &self.race.output)
    }

    /// Whether each of the two was polled this number of times.
    fn polls(&self, each: usize) -> Outcome {
        let of = |name| self.log.borrow().iter().filter(|entry| **entry == name).count();
        let text = |a, b| format!("a was polled {a} times, b {b} times");
        ensure((of("a"), of("b")) == (each, each), text(each, each), text(of("a"), of("b")))
    }
}

fn lazy<S: Select>() -> Outcome {
    let mut case = Case::new::<S>();
    case.polls(0)?;
    case.a.turn_on();
    case.poll(Some(Either::First(1)))
}

fn either<S: Select>() -> Outcome {
    let mut case = Case::new::<S>();
    case.turn_on("a", &case.a);
    case.poll(Some(Either::First(1)))?;
    new_case();
    let mut case = Case::new::<S>();
    case.turn_on("b", &case.b);
    case.poll(Some(Either::Second(2)))
}

fn both<S: Select>() -> Outcome {
    let mut case = Case::new::<S>();
    case.poll(None)?;
    case.polls(1)?;
    case.poll(None)?;
    case.polls(2)
}

fn wakes<S: Select>() -> Outcome {
    for (name, expected) in [("a", Either::First(1)), ("b", Either::Second(2))] {
        new_case();
        let mut case = Case::new::<S>();
        case.poll(None)?;
        case.turn_on(name, if name == "a" { &case.a } else { &case.b });
        ensure(case.race.is_woken(), "the task is woken", "it is not")?;
        case.poll(Some(expected))?;
    }
    Ok(())
}

fn biased<S: Select>() -> Outcome {
    act("select(ready, take): `take` takes a message out of a queue when it is polled");
    let queue = Rc::new(RefCell::new(VecDeque::from([8])));
    let theirs = queue.clone();
    let take = poll_fn(move |_| theirs.borrow_mut().pop_front().map_or(Poll::Pending, Poll::Ready));
    let mut race = Hand::new(S::select(std::future::ready(1), take));
    act("the race is polled");
    race.poll();
    same("result", &Some(Either::First(1)), &race.output)?;
    same("messages that are left", &1, &queue.borrow().len())
}

fn loser<S: Select>() -> Outcome {
    let mut case = Case::new::<S>();
    case.poll(None)?;
    case.turn_on("b", &case.b);
    case.poll(Some(Either::Second(2)))?;
    let a_is_gone = case.log.borrow().contains(&"a dropped");
    ensure(a_is_gone, "a is dropped", "it still exists")
}

fn dropped<S: Select>() -> Outcome {
    let mut case = Case::new::<S>();
    case.poll(None)?;
    act("the race is dropped");
    case.race.drop_future();
    let gone = case.log.borrow().iter().filter(|entry| entry.ends_with("dropped")).count();
    ensure(gone == 2, "a and b are dropped", format!("{gone} of them are"))
}
