//! Lab 2: find the lost wake-up.
//!
//! Facts. Two threads, three steps each. A step cannot be divided, but between any two steps of one thread, the other thread
//! may take some. Each order of the six steps, in which each thread keeps its own order, may happen.
//!
//! What follows. The answer is an order, and the grader runs it. The second answer is a repair: an order of the loop's own
//! steps. For that, the grader runs all orders that may happen.

use crate::check::{Check, ensure, miss};
use crate::diary::{act, new_case};
use crate::hands::{Choices, every_choice};
use crate::outcome::{Miss, Outcome};

/// A step of the loop, or of a thread that wakes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The loop looks into the inbox. If it finds a message, it takes it.
    Look,
    /// The loop writes "I am parked" where all threads can see it.
    Mark,
    /// If it has found no message, the loop sleeps until the bell rings. A bell that has rung before lets it go on at once.
    Park,
    /// The other thread puts a message into the inbox.
    Push,
    /// The other thread looks whether the loop is parked.
    Ask,
    /// The other thread rings the bell, if it has seen that the loop is parked.
    Ring,
}

use Step::{Ask, Look, Mark, Park, Push, Ring};

/// What the learner writes.
pub trait Orders {
    /// The six steps in an order in which the wake-up is lost. The loop's own order is `Look`, `Mark`, `Park`; that of the
    /// other thread is `Push`, `Ask`, `Ring`.
    fn lost() -> Vec<Step>;
    /// The loop's three steps in an order in which no wake-up can be lost.
    fn repaired() -> [Step; 3];
}

const BROKEN: [Step; 3] = [Look, Mark, Park];
const WAKER: [Step; 3] = [Push, Ask, Ring];

/// The checks of lab 2.
#[must_use]
pub fn checks<A: Orders>() -> Vec<Check> {
    vec![
        Check::new("`lost` is an order in which the six steps may happen", possible::<A>, POSSIBLE),
        Check::new("in that order, the loop sleeps although a message is there", lost::<A>, LOST),
        Check::new("`repaired` has each of the loop's three steps once", complete::<A>, COMPLETE),
        Check::new("with the repair, no order loses a wake-up", repaired::<A>, REPAIRED),
    ]
}

const POSSIBLE: &str = "The steps of two threads mix, but each thread keeps its own order: its first step comes before its second.";
const LOST: &str = "The wake-up is lost if both threads look too early. What does the loop know when it decides to sleep, and \
    what does the other thread know when it decides not to ring?";
const COMPLETE: &str = "The repair adds nothing and leaves nothing out. Only the order changes.";
const REPAIRED: &str = "Each thread writes something, and reads what the other one writes. If both read before they write, both \
    can miss. Which order lets at least one of them see the other?";

/// What the two threads see and know.
#[derive(Default)]
struct Run {
    inbox: bool,
    parked: bool,
    rung: bool,
    /// The loop has a message.
    taken: bool,
    /// The other thread has seen that the loop is parked.
    seen_parked: bool,
    sleeps: bool,
}

impl Run {
    fn take(&mut self, step: Step) {
        if self.sleeps && !WAKER.contains(&step) {
            return act("loop: it sleeps, so its next step does not come");
        }
        match step {
            Look => self.taken |= std::mem::take(&mut self.inbox),
            Mark => self.parked = true,
            Park => self.sleeps = !self.taken && !self.rung,
            Push => self.inbox = true,
            Ask => self.seen_parked = self.parked,
            Ring if self.seen_parked => {
                self.rung = true;
                self.sleeps = false;
            }
            Ring => {}
        }
        act(format_args!("{}: {}", thread(step), self.tells(step)));
    }

    /// What comes of a step.
    fn tells(&self, step: Step) -> &'static str {
        match step {
            Look if self.taken => "Look: there is a message",
            Look => "Look: the inbox is empty",
            Mark => "Mark: parked",
            Park if self.sleeps => "Park: it sleeps",
            Park if self.taken => "Park: it has a message, so it does not sleep",
            Park => "Park: the bell has rung, so it does not sleep",
            Push => "Push: a message is in the inbox",
            Ask if self.seen_parked => "Ask: the loop is parked",
            Ask => "Ask: the loop is not parked",
            Ring if self.rung => "Ring: the bell rings",
            Ring => "Ring: it has seen no need to",
        }
    }

    /// The loop sleeps, and nothing will tell it of the message.
    fn is_lost(&self) -> bool {
        self.sleeps && self.inbox
    }
}

fn thread(step: Step) -> &'static str {
    if WAKER.contains(&step) { "thread" } else { "loop" }
}

fn run(steps: &[Step]) -> Run {
    let mut run = Run::default();
    steps.iter().for_each(|step| run.take(*step));
    run
}

fn of_thread(order: &[Step], thread: &[Step]) -> Vec<Step> {
    order.iter().filter(|step| thread.contains(step)).copied().collect()
}

fn possible<A: Orders>() -> Outcome {
    let order = A::lost();
    act(format_args!("{order:?}"));
    for (name, steps) in [("the loop", BROKEN), ("the thread", WAKER)] {
        let own = of_thread(&order, &steps);
        ensure(own == steps, format!("{name} takes {steps:?}"), format!("{name} takes {own:?}"))?;
    }
    Ok(())
}

fn lost<A: Orders>() -> Outcome {
    let run = run(&A::lost());
    let seen = match run {
        Run { taken: true, .. } => "the loop has the message",
        Run { rung: true, .. } => "the bell has rung, so the loop looks again",
        _ => "the loop does not sleep",
    };
    ensure(run.is_lost(), "the loop sleeps, the inbox has a message, and the bell does not ring", seen)
}

fn complete<A: Orders>() -> Outcome {
    let repaired = A::repaired();
    act(format_args!("{repaired:?}"));
    let has = |step: &Step| repaired.contains(step);
    ensure(BROKEN.iter().all(has), format!("{BROKEN:?}, in some order"), format!("{repaired:?}"))
}

fn repaired<A: Orders>() -> Outcome {
    let own = A::repaired();
    every_choice(|choices| {
        new_case();
        let run = run(&mixed(&own, choices));
        if run.is_lost() { Err(is_lost()) } else { Ok(()) }
    })
}

fn is_lost() -> Miss {
    miss("the loop has the message, or the bell rings", "the loop sleeps, and the message stays in the inbox")
}

/// One of the orders in which the steps of both threads may happen.
fn mixed(own: &[Step; 3], choices: &mut Choices) -> Vec<Step> {
    let (mut own, mut others) = (own.iter().copied().peekable(), WAKER.into_iter().peekable());
    let mut order = Vec::new();
    while own.peek().is_some() || others.peek().is_some() {
        let both = own.peek().is_some() && others.peek().is_some();
        let first = if both { choices.choose(2) == 0 } else { own.peek().is_some() };
        order.extend(if first { own.next() } else { others.next() });
    }
    order
}
