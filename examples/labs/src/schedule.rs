//! Lab 13: predict the schedule.
//!
//! Facts. In which order a loop polls its tasks follows from four rules: a spawned task goes to the end of the queue, a woken
//! task does, a task that gives way does, and a sleep ends at its deadline.
//!
//! What follows. The answer is an order of names. The grader runs the program on virtual time, records it, and compares. At
//! the first poll that differs, the trace tells why another task came next. That cause is the hint.

use std::time::Duration;

use roundel::record::{Event, Recorder, Trace, What};
use roundel::time::sleep;
use roundel::{Runtime, channel, spawn_named, yield_now};

use crate::check::{Check, ensure_with, miss_with};
use crate::diary::act;
use crate::outcome::Outcome;

/// What the learner writes.
pub trait Predicts {
    /// The name of each task that is polled, in order, as often as it is polled. The first is `main`.
    fn polls() -> Vec<&'static str>;
}

/// The program of this lab. The task that runs it is called `main`.
pub async fn program() {
    let (sender, receiver) = channel::unbounded();
    let a = spawn_named("a", async move {
        yield_now().await;
        sender.try_send(1).expect("b is still there");
    });
    let b = spawn_named("b", async move { receiver.recv().await });
    let c = spawn_named("c", sleep(Duration::from_millis(5)));
    let d = spawn_named("d", sleep(Duration::from_millis(3)));
    b.await.expect("b returns").expect("a has sent");
    c.await.expect("c returns");
    d.await.expect("d returns");
    a.await.expect("a returns");
}

/// The checks of lab 13.
#[must_use]
pub fn checks<A: Predicts>() -> Vec<Check> {
    vec![
        Check::new("the first polls are right", begin::<A>, RULES),
        Check::new("all polls are right", all::<A>, RULES),
    ]
}

const RULES: &str =
    "Keep a list of the tasks that are ready. The loop takes the first, and each wake puts one at the end.";
const SPAWNED: &str = "`spawn` runs nothing. It puts a task at the end of the queue, and the task that spawns goes on until it waits.";
const YIELDED: &str =
    "A task that gives way goes to the end of the queue. Everything that is queued already runs first.";
const WOKEN: &str = "A wake puts a task at the end of the queue; the task that wakes goes on. What has just happened that another task \
    was waiting for? A value that was sent is one thing, a task that has ended is another.";
const FIRED: &str = "When no task can run, the loop sleeps until the next deadline. Deadlines come in the order of time, not in \
    the order in which they were set.";
const OVER: &str =
    "The loop is over when `main` has returned. And a task that is complete is not polled again.";

/// How many polls the first check looks at: until each task has been polled once.
const BEGIN: usize = 5;

fn begin<A: Predicts>() -> Outcome {
    compare(&A::polls(), &recorded(), BEGIN)
}

fn all<A: Predicts>() -> Outcome {
    compare(&A::polls(), &recorded(), usize::MAX)
}

/// The program's trace.
fn recorded() -> Trace {
    let recorder = Recorder::in_memory();
    let runtime = Runtime::builder().virtual_time(true).record(recorder.clone()).build();
    runtime.expect("a runtime can be built").block_on(program());
    recorder.trace().expect("the trace can be read")
}

/// The name of a task of the trace.
fn name(trace: &Trace, task: u32) -> &str {
    trace.text(trace.tasks()[task as usize].name).unwrap_or("main")
}

fn compare(predicted: &[&'static str], trace: &Trace, most: usize) -> Outcome {
    let polls = trace.events().iter().enumerate().filter_map(|(at, event)| match event.what {
        What::Poll { task } => Some((at, task)),
        _ => None,
    });
    let polls: Vec<(usize, u32)> = polls.take(most).collect();
    for (index, (at, task)) in polls.iter().enumerate() {
        let number = index + 1;
        let seen = predicted.get(index);
        if seen == Some(&name(trace, *task)) {
            act(format_args!("poll {number}: {}", name(trace, *task)));
            continue;
        }
        // The first poll that differs: its cause is the hint.
        let (cause, idea) = cause(trace, *at, *task);
        act(format_args!("poll {number}: ?"));
        let seen = seen.map_or("nothing more".to_owned(), |seen| format!("`{seen}`"));
        return Err(miss_with(idea, format!("poll {number} is of a task that {cause}"), seen));
    }
    let more = predicted.len().saturating_sub(polls.len());
    ensure_with(OVER, most < usize::MAX || more == 0, "that is all", format!("{more} more polls"))
}

/// Why a task was in the queue when it was polled, in words that do not name it.
fn cause(trace: &Trace, at: usize, polled: u32) -> (String, &'static str) {
    let queued = trace.events()[..at].iter().rev().find(|event| queues(event, polled));
    match queued.map(|event| event.what) {
        Some(What::Wake { by: Some(by), .. }) if by == polled => ("gave way before".to_owned(), YIELDED),
        Some(What::Wake { by: Some(by), .. }) => (format!("`{}` has woken", name(trace, by)), WOKEN),
        Some(What::Wake { cause: Some(_), .. }) => ("has slept until now".to_owned(), FIRED),
        _ => ("has not been polled yet".to_owned(), SPAWNED),
    }
}

fn queues(event: &Event, polled: u32) -> bool {
    match event.what {
        What::Spawn { task } | What::Wake { task, .. } => task == polled,
        _ => false,
    }
}
