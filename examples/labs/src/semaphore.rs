//! Lab 8: a fair semaphore that survives dropped waiters.
//!
//! Facts. A future that waits can be dropped at any moment: before it was woken, or after it was handed a permit and
//! before it could take it.
//!
//! What follows. The grader tries every schedule of a few steps. In each step, a new waiter asks, a waiter is polled, one is
//! dropped, or a permit is given back. After each schedule, three things must hold: there are not more holders than
//! permits, none was overtaken, and no permit is free while a waiter waits for ever.

use std::rc::Rc;

use crate::check::{Check, ensure, ensure_with, miss_with};
use crate::diary::{act, new_case};
use crate::hands::{Choices, Hand, calls, every_schedule};
use crate::outcome::{Miss, Outcome};

/// What the learner writes.
pub trait Semaphore: Sized + 'static {
    /// A semaphore with this number of permits.
    fn new(permits: usize) -> Self;
    /// Waits for a permit. The first that waits is the first that gets one.
    fn acquire(&self) -> impl Future<Output = ()>;
    /// Gives a permit back.
    fn release(&self);
}

/// The checks of lab 8.
#[must_use]
pub fn checks<A: Semaphore>() -> Vec<Check> {
    vec![
        Check::new("a permit that is free is given at the first poll", free::<A>, FREE),
        Check::new("a waiter is woken when a permit comes back", woken::<A>, FREE),
        Check::new("the newest waker of a waiter is woken", newest::<A>, NEWEST),
        Check::new("with one permit, every schedule of eight steps ends well", one::<A>, LOST),
        Check::new("with two permits, every schedule of eight steps ends well", two::<A>, LOST),
        Check::new("a waker may use the semaphore that wakes it", reentrant::<A>, BORROWED),
    ]
}

const FREE: &str = "A semaphore is a number of free permits and a line of waiters. What does each of `acquire` and `release` \
    do to the two?";
const NEWEST: &str =
    "A future may move to another task between two polls. Only the waker of the last poll counts.";
const MANY: &str = "Count the permits: free ones, those handed to a waiter that has not been polled since, and those held. \
    The sum must never change. Which step added one?";
const UNFAIR: &str = "Between the wake of a waiter and its next poll, others run. What can a newcomer take in that time? A \
    permit that is handed over at `release` cannot be taken by another.";
const LOST: &str = "A waiter that is dropped must not keep what was meant for the others: neither its place in the line, nor \
    a permit that it was handed. What does your future do when it is dropped, in each of the two cases?";
const BORROWED: &str = "A waker is foreign code: it may come back to the semaphore before `wake` returns. Take the waker out, \
    let go of what is borrowed, then call it.";

/// Waiters are called A, B, C.
fn name(waiter: usize) -> char {
    char::from(b'A' + waiter as u8)
}

/// A semaphore, and those that have asked.
struct Case<A> {
    semaphore: Rc<A>,
    permits: usize,
    held: usize,
    waiters: Vec<Hand<()>>,
}

/// A step of a schedule.
#[derive(Clone, Copy)]
enum Step {
    Ask,
    Poll(usize),
    Drop(usize),
    Release,
}

fn ask<A: Semaphore>(semaphore: &Rc<A>) -> Hand<()> {
    let semaphore = semaphore.clone();
    Hand::new(async move { semaphore.acquire().await })
}

impl<A: Semaphore> Case<A> {
    fn new(permits: usize) -> Case<A> {
        act(format_args!("a semaphore with {permits} permit{}", if permits == 1 { "" } else { "s" }));
        Case { semaphore: Rc::new(A::new(permits)), permits, held: 0, waiters: Vec::new() }
    }

    fn pending(&self) -> Vec<usize> {
        (0..self.waiters.len()).filter(|waiter| self.waiters[*waiter].is_pending()).collect()
    }

    fn steps(&self, most: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.waiters.len() < most {
            steps.push(Step::Ask);
        }
        if self.held > 0 {
            steps.push(Step::Release);
        }
        for waiter in self.pending() {
            steps.extend([Step::Poll(waiter), Step::Drop(waiter)]);
        }
        steps
    }

    fn take(&mut self, step: Step) -> Outcome {
        match step {
            Step::Ask => {
                self.waiters.push(ask(&self.semaphore));
                self.poll(self.waiters.len() - 1)
            }
            Step::Poll(waiter) => self.poll(waiter),
            Step::Drop(waiter) => {
                act(format_args!("{} is dropped", name(waiter)));
                self.waiters[waiter].drop_future();
                Ok(())
            }
            Step::Release => {
                act("a permit is given back");
                self.held -= 1;
                self.semaphore.release();
                Ok(())
            }
        }
    }

    /// Polls a waiter. If it gets a permit, it must not be one too many, and none must have been overtaken.
    fn poll(&mut self, waiter: usize) -> Outcome {
        let before = self.pending().iter().filter(|other| **other < waiter).count();
        let got = self.waiters[waiter].poll();
        let name = name(waiter);
        act(format_args!("{name} is polled: {}", if got { "it has a permit" } else { "it waits" }));
        if !got {
            return Ok(());
        }
        let free = self.permits - self.held;
        self.held += 1;
        let seen = format!("{} have one", self.held);
        ensure_with(MANY, free > 0, format!("at most {} have a permit", self.permits), seen)?;
        let expected = format!("those that wait longer than {name} get theirs first");
        ensure_with(UNFAIR, before < free, expected, format!("{name} has overtaken {before}"))
    }

    /// Polls all that were woken, until none is left.
    fn settle(&mut self) -> Outcome {
        while let Some(waiter) = (0..self.waiters.len()).find(|waiter| self.waiters[*waiter].is_woken()) {
            self.poll(waiter)?;
        }
        let pending = self.pending();
        match pending.first() {
            Some(first) if self.held < self.permits => Err(self.lost(name(*first))),
            _ => Ok(()),
        }
    }

    fn lost(&self, first: char) -> Miss {
        let free = self.permits - self.held;
        miss_with(
            LOST,
            format!("{first} gets a permit, because {free} of {} are free", self.permits),
            format!("{first} waits, and nothing will wake it"),
        )
    }
}

fn free<A: Semaphore>() -> Outcome {
    let mut case = Case::<A>::new(2);
    for waiter in 0..3 {
        case.take(Step::Ask)?;
        let got = !case.waiters[waiter].is_pending();
        let word = |got| format!("{} {}", name(waiter), if got { "has a permit" } else { "waits" });
        ensure(got == (waiter < 2), word(waiter < 2), word(got))?;
    }
    Ok(())
}

fn woken<A: Semaphore>() -> Outcome {
    let mut case = Case::<A>::new(1);
    case.take(Step::Ask)?;
    case.take(Step::Ask)?;
    case.take(Step::Release)?;
    ensure(case.waiters[1].is_woken(), "B is woken", "it is not")?;
    case.settle()
}

fn newest<A: Semaphore>() -> Outcome {
    let mut case = Case::<A>::new(1);
    case.take(Step::Ask)?;
    let mut waiter = ask(&case.semaphore);
    act("B is polled, with a waker that nothing listens to");
    waiter.poll_with(std::task::Waker::noop());
    act("B is polled again, with a waker of its own");
    waiter.poll();
    act("the permit is given back");
    case.semaphore.release();
    ensure(waiter.is_woken(), "B is woken by its newest waker", "it is not")
}

fn one<A: Semaphore>() -> Outcome {
    every_schedule(8, |length, choices| schedule::<A>(1, length, choices))
}

fn two<A: Semaphore>() -> Outcome {
    every_schedule(8, |length, choices| schedule::<A>(2, length, choices))
}

fn schedule<A: Semaphore>(permits: usize, length: usize, choices: &mut Choices) -> Outcome {
    let mut case = Case::<A>::new(permits);
    for _ in 0..length {
        let steps = case.steps(permits + 2);
        // All may be over before the schedule is.
        let Some(step) = steps.get(choices.choose(steps.len().max(1))) else { break };
        case.take(*step)?;
    }
    act("(then all that were woken are polled)");
    case.settle()?;
    // All that still wait get a permit in the end.
    while case.held > 0 {
        case.take(Step::Release)?;
        case.settle()?;
    }
    Ok(())
}

/// A waiter whose waker gives back another permit.
fn releases_when_woken<A: Semaphore>(semaphore: &Rc<A>) -> Hand<()> {
    let theirs = semaphore.clone();
    let waker = calls(move || {
        act("the waker of C gives back another permit");
        theirs.release();
    });
    act("C is polled, with a waker that gives back a permit when it is woken");
    let mut waiter = ask(semaphore);
    waiter.poll_with(&waker);
    waiter
}

fn reentrant<A: Semaphore>() -> Outcome {
    let mut case = Case::<A>::new(2);
    case.take(Step::Ask)?;
    case.take(Step::Ask)?;
    let mut waiter = releases_when_woken(&case.semaphore);
    case.take(Step::Release)?;
    ensure(waiter.poll(), "C has a permit", "it has none")?;
    // The same, when a waiter that was handed a permit is dropped.
    new_case();
    let mut case = Case::<A>::new(2);
    case.take(Step::Ask)?;
    case.take(Step::Ask)?;
    let mut first = ask(&case.semaphore);
    first.poll();
    let mut waiter = releases_when_woken(&case.semaphore);
    case.take(Step::Release)?;
    act("the waiter before C is dropped");
    first.drop_future();
    ensure(waiter.poll(), "C has a permit", "it has none")
}
