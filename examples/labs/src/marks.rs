//! Lab 4: a ready queue in which a task stands at most once.
//!
//! Facts. A task may be woken many times before it is polled, while it is polled, and after it is over.

use std::collections::{BTreeMap, VecDeque};

use crate::check::{Check, same};
use crate::diary::act;
use crate::hands::Random;
use crate::outcome::Outcome;

/// What the learner writes.
pub trait ReadyQueue: Default {
    /// A new task, which is ready. Returns its number, which no task before had.
    fn spawn(&mut self) -> usize;
    /// The task should be polled.
    fn wake(&mut self, task: usize);
    /// The task that is polled next: of those that are ready, the one that has been ready longest.
    fn next(&mut self) -> Option<usize>;
    /// The poll of the task that `next` has returned is over. If the task is done, it is never polled again.
    fn polled(&mut self, task: usize, done: bool);
}

/// The checks of lab 4.
#[must_use]
pub fn checks<A: ReadyQueue>() -> Vec<Check> {
    vec![
        Check::new("new tasks are polled in the order in which they came", order::<A>, ORDER),
        Check::new("a task that was not woken is not polled again", idle::<A>, ORDER),
        Check::new("three wakes are one poll", thrice::<A>, MARK),
        Check::new("a wake during the poll brings another poll", during::<A>, DURING),
        Check::new("a task that is done is not polled again", done::<A>, DONE),
        Check::new("it does the same as a simple model in 20,000 random steps", model::<A>, MODEL),
    ]
}

const ORDER: &str = "The queue has the tasks that are ready, oldest first. `spawn` and `wake` put a task at its end, and \
    `next` takes one from its front.";
const MARK: &str = "A task that is in the queue will be polled, whatever else happens. A second entry adds nothing. How can \
    `wake` know, without a search, that the task is in the queue?";
const DURING: &str = "When does a task leave the queue: when its poll begins, or when its poll ends? A wake during the poll \
    may tell of something that the task has already looked for in vain.";
const DONE: &str = "Wakers live longer than tasks. A wake for a task that is over is not a mistake of the caller. It \
    must change nothing.";
const MODEL: &str =
    "Follow the last steps by hand. For each task, ask: is it in the queue, is it being polled, is it over?";

/// Calls the learner's queue, and notes each call.
struct Tried<A>(A);

impl<A: ReadyQueue> Tried<A> {
    fn new() -> Tried<A> {
        Tried(A::default())
    }

    fn spawn(&mut self) -> usize {
        let task = self.0.spawn();
        act(format_args!("spawn() gave {task}"));
        task
    }

    fn wake(&mut self, task: usize) {
        act(format_args!("wake({task})"));
        self.0.wake(task);
    }

    fn polled(&mut self, task: usize, done: bool) {
        act(format_args!("polled({task}, done: {done})"));
        self.0.polled(task, done);
    }

    fn next(&mut self, expected: Option<usize>) -> Outcome {
        act("next()");
        same("next", &expected, &self.0.next())
    }

    /// A poll from its begin to its end.
    fn poll(&mut self, task: usize, done: bool) -> Outcome {
        self.next(Some(task))?;
        self.polled(task, done);
        Ok(())
    }
}

fn order<A: ReadyQueue>() -> Outcome {
    let mut queue = Tried::<A>::new();
    let tasks = [queue.spawn(), queue.spawn(), queue.spawn()];
    for task in tasks {
        queue.poll(task, false)?;
    }
    queue.next(None)
}

fn idle<A: ReadyQueue>() -> Outcome {
    let mut queue = Tried::<A>::new();
    let (first, second) = (queue.spawn(), queue.spawn());
    queue.poll(first, false)?;
    queue.poll(second, false)?;
    queue.wake(second);
    queue.poll(second, false)?;
    queue.next(None)
}

fn thrice<A: ReadyQueue>() -> Outcome {
    let mut queue = Tried::<A>::new();
    let (first, second) = (queue.spawn(), queue.spawn());
    queue.poll(first, false)?;
    queue.poll(second, false)?;
    [first, second, first, first].into_iter().for_each(|task| queue.wake(task));
    queue.poll(first, false)?;
    queue.poll(second, false)?;
    queue.next(None)
}

fn during<A: ReadyQueue>() -> Outcome {
    let mut queue = Tried::<A>::new();
    let (first, second) = (queue.spawn(), queue.spawn());
    queue.next(Some(first))?;
    act("(the poll runs)");
    queue.wake(first);
    queue.wake(first);
    queue.polled(first, false);
    queue.poll(second, false)?;
    queue.poll(first, false)?;
    queue.next(None)
}

fn done<A: ReadyQueue>() -> Outcome {
    let mut queue = Tried::<A>::new();
    let task = queue.spawn();
    queue.poll(task, true)?;
    queue.wake(task);
    queue.next(None)?;
    // Woken during its last poll.
    let task = queue.spawn();
    queue.next(Some(task))?;
    queue.wake(task);
    queue.polled(task, true);
    queue.next(None)
}

/// What a task is doing, in the model.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Idle,
    Queued,
    Over,
}

#[derive(Default)]
struct Model {
    marks: BTreeMap<usize, Mark>,
    queue: VecDeque<usize>,
}

impl Model {
    fn wake(&mut self, task: usize) {
        if self.marks.get(&task) == Some(&Mark::Idle) {
            self.marks.insert(task, Mark::Queued);
            self.queue.push_back(task);
        }
    }

    fn spawn(&mut self, task: usize) {
        self.marks.insert(task, Mark::Idle);
        self.wake(task);
    }

    fn next(&mut self) -> Option<usize> {
        let task = self.queue.pop_front()?;
        self.marks.insert(task, Mark::Idle);
        Some(task)
    }

    fn end(&mut self, task: usize) {
        self.marks.insert(task, Mark::Over);
        self.queue.retain(|queued| *queued != task);
    }
}

fn model<A: ReadyQueue>() -> Outcome {
    let (mut queue, mut model, mut random) = (Tried::<A>::new(), Model::default(), Random(0x5EED));
    let mut running = None;
    for _ in 0..20_000 {
        let known = model.marks.len().max(1) as u64;
        let any = model.marks.keys().nth(random.below(known) as usize).copied();
        // Of eight steps, three begin or end a poll, and most others wake.
        match (random.below(8), running, any) {
            (0, ..) if known < 200 => model.spawn(queue.spawn()),
            (1..=3, Some(task), _) => {
                let done = random.below(6) == 0;
                queue.polled(task, done);
                if done {
                    model.end(task);
                }
                running = None;
            }
            (1..=3, None, _) => {
                running = model.next();
                queue.next(running)?;
            }
            (_, _, Some(task)) => {
                queue.wake(task);
                model.wake(task);
            }
            _ => {}
        }
    }
    Ok(())
}
