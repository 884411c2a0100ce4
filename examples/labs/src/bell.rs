//! Lab 3: a bell that loses no wake.
//!
//! Facts. Two threads mix in every possible way, but a test that simply runs them sees the same few ways again and again.
//!
//! What follows. The answer gets its inbox, flag and parker from the grader. Each operation on them is a step. Between two
//! steps, the grader decides which thread runs, and it goes through all decisions. Only one thread runs at a time: the
//! others wait for their turn at a gate.
//!
//! What it does not know: weaker orders of memory. Each step sees all steps before it, as with `SeqCst`.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::check::{Check, ensure_with, miss, miss_with};
use crate::diary::{act, new_case, open_diary};
use crate::hands::{Choices, every_choice};
use crate::judge::THREAD;
use crate::outcome::{Outcome, stop};

/// What the learner writes.
pub trait Bell: Send + Sync + Sized + 'static {
    /// A bell on these parts.
    fn new(parts: Parts) -> Self;
    /// Called by any thread: gives the loop a message, and rings if the loop needs it.
    fn send(&self, message: u32);
    /// Called by the loop's thread: takes the next message, and sleeps while there is none.
    fn recv(&self) -> u32;
}

/// What a bell is made of. The parts of one bell belong together.
#[derive(Debug)]
pub struct Parts {
    /// Messages, oldest first.
    pub inbox: Inbox,
    /// A flag that all threads see.
    pub flag: Flag,
    /// What the loop sleeps on.
    pub parker: Parker,
}

/// A queue that all threads can use.
#[derive(Clone, Debug)]
pub struct Inbox(Gate);

/// A flag that all threads can use, like an `AtomicBool`.
#[derive(Clone, Debug)]
pub struct Flag(Gate);

/// What the loop sleeps on, as in `epoll_wait`. To ring costs a system call.
#[derive(Clone, Debug)]
pub struct Parker(Gate);

impl Inbox {
    /// Puts a message at the end.
    pub fn push(&self, message: u32) {
        self.0.step(|world| {
            world.inbox.push_back(message);
            format!("push({message})")
        });
    }

    /// Takes the oldest message.
    #[must_use]
    pub fn pop(&self) -> Option<u32> {
        let mut found = None;
        self.0.step(|world| {
            found = world.inbox.pop_front();
            format!("pop() gives {found:?}")
        });
        found
    }
}

impl Flag {
    /// Sets the flag, and returns what it was.
    pub fn swap(&self, value: bool) -> bool {
        let mut was = false;
        self.0.step(|world| {
            was = world.mark(value);
            format!("swap({value}) gives {was}")
        });
        was
    }

    /// Sets the flag.
    pub fn set(&self, value: bool) {
        self.0.step(|world| {
            world.mark(value);
            format!("set({value})")
        });
    }

    /// What the flag is.
    #[must_use]
    pub fn get(&self) -> bool {
        let mut is = false;
        self.0.step(|world| {
            is = world.flag;
            format!("get() gives {is}")
        });
        is
    }
}

impl Parker {
    /// Sleeps until the bell rings. If it has rung since the last `park`, returns at once.
    pub fn park(&self) {
        self.0.step(|world| {
            world.parks += 1;
            world.parked = !world.rung;
            if world.parked {
                "park(): it sleeps".to_owned()
            } else {
                "park(): it has rung already".to_owned()
            }
        });
        // A thread that is parked gets no turn, so its next step comes after the bell.
        self.0.step(|world| {
            world.rung = false;
            "it is awake".to_owned()
        });
    }

    /// Rings the bell.
    pub fn ring(&self) {
        self.0.step(|world| {
            world.rings += 1;
            world.rung = true;
            world.parked = false;
            "ring()".to_owned()
        });
    }
}

/// The checks of lab 3.
#[must_use]
pub fn checks<A: Bell>() -> Vec<Check> {
    vec![
        Check::new("a message that was sent before is received", before::<A>, LOST),
        Check::new("one thread sends twice: every mix of the steps ends well", twice::<A>, LOST),
        Check::new("two threads send: every mix of the steps ends well", two::<A>, LOST),
    ]
}

const LOST: &str = "Before it sleeps, the loop has to say that it will, and then look once more. Which of the two comes first? \
    And what comes first in `send`: the message, or the question whether the loop sleeps?";
const BURNS: &str = "A loop that asks again and again burns a processor. When there is no message, it has to sleep on the parker.";
const TOO_OFTEN: &str = "Each ring is a system call. One ring is enough to wake the loop: which thread clears the flag, so that the \
    next one knows that there is nothing left to ring for?";
const ORDER: &str =
    "The inbox is a queue: what went in first comes out first, and each message comes out once.";

/// All that the threads share, and whose turn it is.
#[derive(Debug, Default)]
struct World {
    inbox: VecDeque<u32>,
    flag: bool,
    rung: bool,
    parked: bool,
    /// How often the flag was raised.
    marks: usize,
    rings: usize,
    parks: usize,
    steps: usize,
    /// The thread whose turn it is.
    turn: Option<usize>,
    /// The thread that took the last step.
    last: usize,
    /// How often a thread was interrupted.
    interrupted: usize,
    /// The threads that wait for a turn. Thread 0 is the loop.
    waiting: Vec<usize>,
    /// The threads that have not ended.
    running: usize,
    choices: Choices,
    end: Option<End>,
}

/// Why a run was given up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The loop sleeps, and all other threads have ended.
    Lost,
    /// There are too many steps.
    Endless,
    /// A thread has panicked.
    Panicked,
}

/// The panic that ends the threads of a run that was given up.
struct GivenUp;

/// More steps than this are not needed.
const MOST_STEPS: usize = 60;
/// In one run, threads are interrupted at most this often. More would make many more runs, and find nothing new.
const MOST_INTERRUPTED: usize = 4;

/// Lets one thread run at a time.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<(Mutex<World>, Condvar)>);

thread_local! {
    /// The number of this thread in its run.
    static ME: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Gate {
    /// A gate for this number of threads.
    fn new(running: usize, choices: Choices) -> Gate {
        let world = World { running, choices, ..World::default() };
        Gate(Arc::new((Mutex::new(world), Condvar::new())))
    }

    fn parts(&self) -> Parts {
        Parts { inbox: Inbox(self.clone()), flag: Flag(self.clone()), parker: Parker(self.clone()) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for this thread's turn, and takes a step.
    fn step(&self, step: impl FnOnce(&mut World) -> String) {
        let me = ME.get();
        let mut world = self.world();
        // The last thread that comes to wait chooses the one that goes on.
        world.waiting.push(me);
        world.pass_on();
        self.0.1.notify_all();
        while world.turn != Some(me) && world.end.is_none() {
            world = self.0.1.wait(world).unwrap_or_else(PoisonError::into_inner);
        }
        if world.end.is_some() {
            drop(world);
            // Not `panic_any`: nothing is wrong here, so the hook need not hear of it.
            resume_unwind(Box::new(GivenUp));
        }
        // It has the turn until it has taken the step; then it comes back to wait for the next.
        let told = step(&mut world);
        act(format_args!("{}: {told}", name(me)));
        world.turn = None;
    }

    /// This thread is over.
    fn leave(&self, panicked: bool) {
        let mut world = self.world();
        world.running -= 1;
        if panicked && world.end.is_none() {
            world.end = Some(End::Panicked);
        }
        world.pass_on();
        self.0.1.notify_all();
    }
}

impl World {
    /// Sets the flag, and returns what it was.
    fn mark(&mut self, value: bool) -> bool {
        self.marks += usize::from(value && !self.flag);
        std::mem::replace(&mut self.flag, value)
    }

    /// When all threads wait for a turn or are over, chooses the next.
    fn pass_on(&mut self) {
        if self.waiting.len() < self.running || self.running == 0 || self.end.is_some() {
            return;
        }
        self.steps += 1;
        let ready = self.ready();
        if ready.is_empty() {
            self.end = Some(End::Lost);
        } else if self.steps > MOST_STEPS {
            self.end = Some(End::Endless);
        } else {
            let next = self.next(&ready);
            self.waiting.retain(|thread| *thread != next);
            self.turn = Some(next);
        }
    }

    /// The threads that can take a step, the one that took the last step first.
    fn ready(&self) -> Vec<usize> {
        let can_run = |thread: &usize| *thread != 0 || !self.parked;
        let mut ready: Vec<usize> = self.waiting.iter().copied().filter(can_run).collect();
        // Threads come to the gate in an order that is not ours.
        ready.sort_unstable_by_key(|thread| (*thread != self.last, *thread));
        ready
    }

    fn next(&mut self, ready: &[usize]) -> usize {
        let can_go_on = ready[0] == self.last;
        if can_go_on && self.interrupted == MOST_INTERRUPTED {
            return self.last;
        }
        let next = ready[self.choices.choose(ready.len())];
        self.interrupted += usize::from(can_go_on && next != self.last);
        self.last = next;
        next
    }
}

fn name(thread: usize) -> String {
    if thread == 0 { "loop".to_owned() } else { format!("thread {thread}") }
}

/// Runs `f` as one of the threads of a run.
fn thread(gate: &Gate, me: usize, f: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    let (gate, diary) = (gate.clone(), open_diary());
    let thread = thread::Builder::new().name(THREAD.to_owned());
    let body = move || {
        diary.open();
        ME.set(me);
        let ended = catch_unwind(AssertUnwindSafe(f));
        let is_given_up = |payload: &Box<dyn std::any::Any + Send>| payload.is::<GivenUp>();
        let panicked = ended.as_ref().is_err_and(|payload| !is_given_up(payload));
        gate.leave(panicked);
        if let (true, Err(payload)) = (panicked, ended) {
            resume_unwind(payload);
        }
    };
    thread.spawn(body).expect("the system has three threads")
}

/// One run: the loop receives as many messages as these threads send. The first in the list is the loop itself.
fn run<A: Bell>(sends: &[&[u32]], choices: &mut Choices) -> Outcome {
    let gate = Gate::new(sends.len(), std::mem::take(choices));
    let bell = Arc::new(A::new(gate.parts()));
    let received = Arc::new(Mutex::new(Vec::new()));
    let count: usize = sends.iter().map(|messages| messages.len()).sum();
    // Each thread sends its messages. After that, the loop receives all.
    let body = |(me, messages): (usize, &&[u32])| {
        let (bell, theirs, messages) = (bell.clone(), received.clone(), messages.to_vec());
        thread(&gate, me, move || {
            messages.iter().for_each(|message| bell.send(*message));
            let receives = if me == 0 { count } else { 0 };
            for _ in 0..receives {
                let message = bell.recv();
                theirs.lock().unwrap_or_else(PoisonError::into_inner).push(message);
            }
        })
    };
    let threads: Vec<_> = sends.iter().enumerate().map(body).collect();
    // No thread begins its first step before all are there, because the gate knows how many there are.
    let ended: Vec<_> = threads.into_iter().map(thread::JoinHandle::join).collect();
    let mut world = gate.world();
    *choices = std::mem::take(&mut world.choices);
    // A panic of the answer is a panic of the check.
    if let Some(payload) = ended.into_iter().find_map(Result::err) {
        resume_unwind(payload);
    }
    let received = received.lock().unwrap_or_else(PoisonError::into_inner).clone();
    verdict(&world, sends, &received)
}

fn verdict(world: &World, sends: &[&[u32]], received: &[u32]) -> Outcome {
    match world.end {
        // Without an end: a loop that has never slept burns; another one may do anything.
        Some(End::Endless) if world.parks == 0 => {
            Err(miss_with(BURNS, "the loop sleeps while there is no message", "it asks again and again"))
        }
        Some(End::Endless) => stop(),
        // The loop sleeps, and all others have ended.
        Some(_) => {
            let seen = format!("the loop sleeps, {} in the inbox", amount(world.inbox.len()));
            Err(miss("each message is received", seen))
        }
        None => {
            // Those of one thread come in its order; those of several may mix.
            let in_order = |messages: &&[u32]| {
                let own: Vec<u32> = received.iter().filter(|it| messages.contains(it)).copied().collect();
                own == **messages
            };
            let expected = format!("{sends:?} are received, those of each thread in order");
            ensure_with(ORDER, sends.iter().all(in_order), expected, format!("{received:?}"))?;
            rings(world)
        }
    }
}

fn amount(messages: usize) -> String {
    if messages == 1 { "with one message".to_owned() } else { format!("with {messages} messages") }
}

/// Each ring needs a flag that was raised for it.
fn rings(world: &World) -> Outcome {
    let (rings, marks) = (world.rings, world.marks);
    let expected = format!("not more rings than the loop has raised the flag: {marks}");
    ensure_with(TOO_OFTEN, rings <= marks, expected, format!("{rings} rings"))
}

fn before<A: Bell>() -> Outcome {
    run::<A>(&[&[1, 2]], &mut Choices::default())
}

fn twice<A: Bell>() -> Outcome {
    every_choice(|choices| {
        new_case();
        run::<A>(&[&[], &[1, 2]], choices)
    })
}

fn two<A: Bell>() -> Outcome {
    every_choice(|choices| {
        new_case();
        run::<A>(&[&[], &[1], &[2]], choices)
    })
}
