//! Lab 9: a bounded channel on a line of waiters.
//!
//! Facts. Senders wait for room and receivers for a value. A waiter that was woken is not alone: before it runs, another
//! may take what it was woken for.
//!
//! What follows. [`Line`] is given: waiters in order, and a woken waiter that is dropped passes its wake on. The grader
//! tries every schedule of a few steps, beside a simple queue.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::check::{Check, ensure, miss, miss_with};
use crate::diary::{act, new_case, spend};
use crate::hands::{Choices, Hand, calls, every_schedule};
use crate::outcome::Outcome;

/// What the learner writes. A channel for one thread, with any number of senders and receivers.
pub trait Channel: Sized + 'static {
    /// A channel with room for this number of values.
    fn new(capacity: usize) -> Self;
    /// Waits for room, and puts the value into the channel. If the channel is closed, returns the value.
    fn send(&self, value: u32) -> impl Future<Output = Result<(), u32>>;
    /// Waits for a value, and takes the oldest. `None` if the channel is closed and empty.
    fn recv(&self) -> impl Future<Output = Option<u32>>;
    /// Closes the channel: no value comes in any more.
    fn close(&self);
}

/// Waiters in order. It is given; use it for senders and for receivers.
#[derive(Debug, Default)]
pub struct Line(RefCell<VecDeque<Rc<Place>>>);

#[derive(Debug, Default)]
struct Place {
    woken: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Line {
    /// A future that joins the line when it is first polled, and is ready when it was woken.
    pub fn wait(&self) -> Wait<'_> {
        Wait { line: self, place: None }
    }

    /// Wakes the first in line, and takes it out.
    pub fn wake_one(&self) {
        let first = self.0.borrow_mut().pop_front();
        first.into_iter().for_each(|place| wake(&place));
    }

    /// Wakes all that are in line now.
    pub fn wake_all(&self) {
        let all = self.0.take();
        all.iter().for_each(|place| wake(place));
    }
}

fn wake(place: &Place) {
    place.woken.set(true);
    let waker = place.waker.take();
    waker.into_iter().for_each(Waker::wake);
}

/// Waits in a [`Line`]. If it is dropped after it was woken and before it was polled, it wakes the next.
#[derive(Debug)]
pub struct Wait<'a> {
    line: &'a Line,
    place: Option<Rc<Place>>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // A loop that waits and never finds what it waits for is stopped here.
        spend(10_000);
        if self.place.take_if(|place| place.woken.get()).is_some() {
            return Poll::Ready(());
        }
        let line = self.line;
        let place = self.place.get_or_insert_with(|| {
            let place = Rc::<Place>::default();
            line.0.borrow_mut().push_back(place.clone());
            place
        });
        drop(place.waker.replace(Some(cx.waker().clone())));
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        if place.woken.get() {
            return self.line.wake_one();
        }
        self.line.0.borrow_mut().retain(|other| !Rc::ptr_eq(other, &place));
    }
}

/// The checks of lab 9.
#[must_use]
pub fn checks<A: Channel>() -> Vec<Check> {
    vec![
        Check::new("values come out in the order in which they went in", order::<A>, ORDER),
        Check::new(
            "a sender waits while the channel is full, and goes on when there is room",
            full::<A>,
            ROOM,
        ),
        Check::new("a receiver waits while the channel is empty, and is woken by a value", empty::<A>, ROOM),
        Check::new("every schedule of seven steps ends well, with room for one value", one::<A>, AGAIN),
        Check::new("every schedule of seven steps ends well, with room for two values", two::<A>, AGAIN),
        Check::new("a waker may use the channel that wakes it", reentrant::<A>, BORROWED),
    ]
}

const ORDER: &str = "A channel is a queue between two lines of waiters. Try it first without the lines.";
const ROOM: &str = "Two lines wait here: senders for room, receivers for values. Which operation brings what the other line \
    waits for, and does it tell that line?";
const AGAIN: &str = "A wake means that it is worth looking. Between the wake and the next poll, another task may have \
    taken what was there. What does yours do if it looks, and finds nothing?";
const CLOSED: &str = "When a channel is closed, everything that waits in it has its answer. A single wake reaches a single waiter.";
const LEFT: &str =
    "Closing ends what goes in, not what comes out: values that were sent before are still delivered.";
const LATE: &str = "A closed channel takes no more values, not even from a sender that has waited for long. What does a sender \
    have to ask after it was woken?";
const BORROWED: &str = "A waker is foreign code: it may come back to the channel before it returns. Let go of what is \
    borrowed before you wake.";

/// A future of the learner's channel.
enum Guest {
    Sender(u32, Hand<Result<(), u32>>),
    Receiver(Hand<Option<u32>>),
}

impl Guest {
    fn is_pending(&self) -> bool {
        match self {
            Guest::Sender(_, hand) => hand.is_pending(),
            Guest::Receiver(hand) => hand.is_pending(),
        }
    }

    fn is_woken(&self) -> bool {
        match self {
            Guest::Sender(_, hand) => hand.is_woken(),
            Guest::Receiver(hand) => hand.is_woken(),
        }
    }

    fn poll(&mut self) {
        match self {
            Guest::Sender(_, hand) => drop(hand.poll()),
            Guest::Receiver(hand) => drop(hand.poll()),
        }
    }

    fn drop_future(&mut self) {
        match self {
            Guest::Sender(_, hand) => hand.drop_future(),
            Guest::Receiver(hand) => hand.drop_future(),
        }
    }
}

/// A channel, the futures that use it, and what has to be in it.
struct Case<A> {
    channel: Rc<A>,
    capacity: usize,
    guests: Vec<Guest>,
    inside: VecDeque<u32>,
    closed: bool,
    sent: u32,
}

#[derive(Clone, Copy)]
enum Step {
    Send,
    Receive,
    Close,
    Poll(usize),
    Drop(usize),
}

/// At most this number of futures in a schedule.
const GUESTS: usize = 4;

fn receiver<A: Channel>(channel: &Rc<A>) -> Hand<Option<u32>> {
    let channel = channel.clone();
    Hand::new(async move { channel.recv().await })
}

fn sender<A: Channel>(channel: &Rc<A>, value: u32) -> Hand<Result<(), u32>> {
    let channel = channel.clone();
    Hand::new(async move { channel.send(value).await })
}

impl<A: Channel> Case<A> {
    fn new(capacity: usize) -> Case<A> {
        act(format_args!("a channel with room for {capacity}"));
        let (channel, inside) = (Rc::new(A::new(capacity)), VecDeque::new());
        Case { channel, capacity, guests: Vec::new(), inside, closed: false, sent: 0 }
    }

    fn name(&self, guest: usize) -> String {
        match &self.guests[guest] {
            Guest::Sender(value, _) => format!("send({value})"),
            Guest::Receiver(_) => format!("receiver {}", char::from(b'A' + guest as u8)),
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        // A future more, as long as there are few; a poll only for one that was woken; a drop for any that waits.
        if self.guests.len() < GUESTS {
            steps.extend([Step::Send, Step::Receive]);
        }
        for guest in 0..self.guests.len() {
            if self.guests[guest].is_woken() {
                steps.push(Step::Poll(guest));
            }
            if self.guests[guest].is_pending() {
                steps.push(Step::Drop(guest));
            }
        }
        if !self.closed {
            steps.push(Step::Close);
        }
        steps
    }

    fn take(&mut self, step: Step) -> Outcome {
        match step {
            Step::Send => {
                self.sent += 1;
                self.guests.push(Guest::Sender(self.sent, sender(&self.channel, self.sent)));
                self.poll(self.guests.len() - 1)
            }
            Step::Receive => {
                self.guests.push(Guest::Receiver(receiver(&self.channel)));
                self.poll(self.guests.len() - 1)
            }
            Step::Poll(guest) => self.poll(guest),
            Step::Drop(guest) => {
                act(format_args!("{} is dropped", self.name(guest)));
                self.guests[guest].drop_future();
                Ok(())
            }
            Step::Close => {
                act("the channel is closed");
                self.closed = true;
                self.channel.close();
                Ok(())
            }
        }
    }

    /// Polls a future, and compares what it returns with the model.
    fn poll(&mut self, guest: usize) -> Outcome {
        let name = self.name(guest);
        act(format_args!("{name} is polled"));
        self.guests[guest].poll();
        match &mut self.guests[guest] {
            Guest::Sender(value, hand) => {
                let (value, output) = (*value, hand.output.take());
                self.sent(&name, value, output)
            }
            Guest::Receiver(hand) => {
                let output = hand.output.take();
                self.received(&name, output)
            }
        }
    }

    fn sent(&mut self, name: &str, value: u32, output: Option<Result<(), u32>>) -> Outcome {
        match output {
            None => Ok(()),
            Some(Err(_)) => ensure(self.closed, format!("{name} waits, or is done"), "it says: closed"),
            Some(Ok(())) if self.closed => Err(miss_with(LATE, format!("{name} says: closed"), "it is done")),
            Some(Ok(())) => {
                self.inside.push_back(value);
                let seen = format!("{} values are in it", self.inside.len());
                ensure(self.inside.len() <= self.capacity, format!("at most {} in it", self.capacity), seen)
            }
        }
    }

    fn received(&mut self, name: &str, output: Option<Option<u32>>) -> Outcome {
        let Some(output) = output else { return Ok(()) };
        let expected = self.inside.pop_front();
        match (expected, output) {
            (None, None) if !self.closed => {
                Err(miss(format!("{name} waits: the channel is empty, and open"), "it returned None"))
            }
            (Some(value), None) => Err(miss_with(LEFT, format!("{name} gets {value}"), "it returned None")),
            _ => {
                ensure(expected == output, format!("{name} gets {expected:?}"), format!("it got {output:?}"))
            }
        }
    }

    /// Polls all that were woken. Then nothing may wait for what is there.
    fn settle(&mut self) -> Outcome {
        while let Some(guest) = (0..self.guests.len()).find(|guest| self.guests[*guest].is_woken()) {
            self.poll(guest)?;
        }
        // What still waits needs a reason.
        for guest in (0..self.guests.len()).filter(|guest| self.guests[*guest].is_pending()) {
            let name = self.name(guest);
            let seen = "it waits, and nothing will wake it";
            if self.closed {
                return Err(miss_with(CLOSED, format!("{name} ends, because the channel is closed"), seen));
            }
            let (has_room, is_sender) =
                (self.inside.len() < self.capacity, matches!(self.guests[guest], Guest::Sender(..)));
            if is_sender && has_room {
                return Err(miss_with(ROOM, format!("{name} goes on, because there is room"), seen));
            }
            if !is_sender && !self.inside.is_empty() {
                return Err(miss_with(ROOM, format!("{name} gets {}", self.inside[0]), seen));
            }
        }
        Ok(())
    }
}

fn order<A: Channel>() -> Outcome {
    let mut case = Case::<A>::new(3);
    [Step::Send, Step::Send, Step::Receive].map(|step| case.take(step)).into_iter().collect::<Outcome>()?;
    let waits = (0..3).find(|guest| case.guests[*guest].is_pending());
    ensure(waits.is_none(), "none of them has to wait", "one waits")?;
    case.take(Step::Send)?;
    case.take(Step::Receive)?;
    case.settle()
}

fn full<A: Channel>() -> Outcome {
    let mut case = Case::<A>::new(1);
    case.take(Step::Send)?;
    case.take(Step::Send)?;
    ensure(case.guests[1].is_pending(), "send(2) waits", "it does not")?;
    case.take(Step::Receive)?;
    case.settle()
}

fn empty<A: Channel>() -> Outcome {
    let mut case = Case::<A>::new(1);
    case.take(Step::Receive)?;
    ensure(case.guests[0].is_pending(), "receiver A waits", "it does not")?;
    case.take(Step::Send)?;
    case.settle()
}

fn one<A: Channel>() -> Outcome {
    every_schedule(7, |length, choices| schedule::<A>(1, length, choices))
}

fn two<A: Channel>() -> Outcome {
    every_schedule(7, |length, choices| schedule::<A>(2, length, choices))
}

fn schedule<A: Channel>(capacity: usize, length: usize, choices: &mut Choices) -> Outcome {
    let mut case = Case::<A>::new(capacity);
    for _ in 0..length {
        let steps = case.steps();
        let Some(step) = steps.get(choices.choose(steps.len().max(1))) else { break };
        case.take(*step)?;
    }
    act("(then all that were woken are polled)");
    case.settle()?;
    if !case.closed {
        case.take(Step::Close)?;
        case.settle()?;
    }
    Ok(())
}

/// A waker that sends, receives and closes.
fn meddles<A: Channel>(channel: &Rc<A>) -> Waker {
    let channel = channel.clone();
    calls(move || {
        act("its waker sends, receives and closes");
        sender(&channel, 99).poll();
        receiver(&channel).poll();
        channel.close();
    })
}

fn reentrant<A: Channel>() -> Outcome {
    act("a channel with room for 1, and a receiver that waits");
    let channel = Rc::new(A::new(1));
    let mut waits = receiver(&channel);
    waits.poll_with(&meddles(&channel));
    act("send(1)");
    sender(&channel, 1).poll();
    ensure(waits.poll(), "the receiver is done", "it waits")?;
    new_case();
    act("a full channel, and a sender that waits");
    let channel = Rc::new(A::new(1));
    sender(&channel, 1).poll();
    let mut waits = sender(&channel, 2);
    waits.poll_with(&meddles(&channel));
    act("a value is received");
    receiver(&channel).poll();
    ensure(waits.poll(), "the sender is done", "it waits")
}
