//! Lab 1: a waker that puts a task's number into a queue.
//!
//! Facts. A waker is woken by value and by reference, cloned, dropped, and sent to other threads. A future may keep it for
//! later polls, and wake it again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;

use crate::check::{Check, ensure, same};
use crate::diary::act;
use crate::outcome::Outcome;

/// The numbers of the tasks that are ready, oldest first.
pub type Ready = Arc<Mutex<VecDeque<usize>>>;

/// What the learner writes.
pub trait Wakes {
    /// A waker for the task of this number: each wake puts the number at the end of the queue.
    fn waker(task: usize, ready: Ready) -> Waker;
}

/// The checks of lab 1.
#[must_use]
pub fn checks<A: Wakes>() -> Vec<Check> {
    vec![
        Check::new("a new waker has woken nothing", new::<A>, READY),
        Check::new("a wake puts the number into the queue, once", once::<A>, ONCE),
        Check::new("a waker that is woken again queues its task again", again::<A>, AGAIN),
        Check::new("a clone wakes the same task", clone::<A>, CLONE),
        Check::new("each waker wakes its own task, in the order of the wakes", two::<A>, CLONE),
        Check::new("a waker can be woken on another thread", thread::<A>, CLONE),
        Check::new("the last waker gives back what it holds", leak::<A>, LEAK),
    ]
}

const READY: &str = "Making a waker is not a wake. The loop polls a new task without being asked; after that, only a call \
    of `wake` says that it is worth another poll.";
const ONCE: &str = "A wake is a message to the loop: poll this task. What does the loop need to know to find the task, and \
    where does it look? `std::task::Wake` turns an `Arc` of any type into a waker.";
const AGAIN: &str = "A future is polled many times, and it waits for something each time. The waker does not know whether \
    the task has been polled in between, so it cannot decide that one wake is enough. (A queue can do that: see lab 4.)";
const CLONE: &str =
    "All clones of a waker stand for one task. What they share is the task's number and the queue.";
const LEAK: &str =
    "The queue belongs to the loop. A waker that nothing can reach any more must not keep it alive.";

fn ready(numbers: &[usize]) -> Ready {
    Arc::new(Mutex::new(numbers.iter().copied().collect()))
}

fn queued(ready: &Ready) -> Vec<usize> {
    ready.lock().expect("the queue is not poisoned").iter().copied().collect()
}

fn make<A: Wakes>(task: usize, queue: &Ready) -> Waker {
    act(format_args!("make a waker for task {task}"));
    A::waker(task, queue.clone())
}

fn holds(queue: &Ready, numbers: &[usize]) -> Outcome {
    same("the queue has", &numbers.to_vec(), &queued(queue))
}

fn new<A: Wakes>() -> Outcome {
    let queue = ready(&[]);
    let waker = make::<A>(7, &queue);
    holds(&queue, &[])?;
    act("drop it");
    drop(waker);
    holds(&queue, &[])
}

fn once<A: Wakes>() -> Outcome {
    let queue = ready(&[]);
    let waker = make::<A>(7, &queue);
    act("wake it by reference");
    waker.wake_by_ref();
    holds(&queue, &[7])?;
    let queue = ready(&[1]);
    let waker = make::<A>(7, &queue);
    act("put 1 into the queue, then wake the waker by value");
    waker.wake();
    holds(&queue, &[1, 7])
}

fn again<A: Wakes>() -> Outcome {
    let queue = ready(&[]);
    let waker = make::<A>(3, &queue);
    act("wake it, and take 3 out of the queue");
    waker.wake_by_ref();
    queue.lock().expect("the queue is not poisoned").clear();
    act("wake it again");
    waker.wake_by_ref();
    holds(&queue, &[3])?;
    act("and again, while 3 is in the queue");
    waker.wake_by_ref();
    holds(&queue, &[3, 3])
}

fn clone<A: Wakes>() -> Outcome {
    let queue = ready(&[]);
    let waker = make::<A>(5, &queue);
    act("clone it, and drop the first");
    let clone = waker.clone();
    ensure(clone.will_wake(&waker), "a clone that says it wakes the same task", "it says it does not")?;
    drop(waker);
    act("wake the clone");
    clone.wake();
    holds(&queue, &[5])
}

fn two<A: Wakes>() -> Outcome {
    let queue = ready(&[]);
    let (one, two) = (make::<A>(1, &queue), make::<A>(2, &queue));
    act("wake 2, then 1, then a clone of 2");
    two.wake_by_ref();
    one.wake();
    let clone = two.clone();
    drop(two);
    clone.wake();
    holds(&queue, &[2, 1, 2])
}

fn thread<A: Wakes>() -> Outcome {
    let queue = ready(&[]);
    let waker = make::<A>(4, &queue);
    act("wake it on another thread");
    let woken = thread::spawn(move || waker.wake()).join();
    ensure(woken.is_ok(), "no panic", "a panic on that thread")?;
    holds(&queue, &[4])
}

fn leak<A: Wakes>() -> Outcome {
    let queue = ready(&[]);
    let waker = make::<A>(6, &queue);
    act("clone it, wake the clone, drop both");
    let clone = waker.clone();
    clone.wake();
    drop(waker);
    same("owners of the queue", &1, &Arc::strong_count(&queue))
}
