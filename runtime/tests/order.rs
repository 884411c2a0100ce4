//! Which task runs when, as the probe reports it. Each expected event comes with its reason.
//!
//! A trace is a list of short lines. The test gives names to the tasks, so that a trace reads as a story. [`line`]
//! defines what each line stands for.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Write;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use roundel::probe::{End, Event, Resource};
use roundel::{Builder, Runtime, TaskId, spawn, time, yield_now};

/// A runtime that writes down what it does.
struct Recorder {
    runtime: Runtime,
    events: Rc<RefCell<Vec<Event>>>,
}

impl Recorder {
    fn new(builder: Builder) -> Recorder {
        let events: Rc<RefCell<Vec<Event>>> = Rc::default();
        let sink = Rc::clone(&events);
        let runtime = builder.probe(move |event| sink.borrow_mut().push(event)).build().unwrap();
        Recorder { runtime, events }
    }

    /// Runs `main`, and writes down what happened.
    fn story<F: Future>(&self, main: F) -> Vec<String> {
        self.runtime.block_on(main);
        let mut names = HashMap::new();
        self.events.take().into_iter().map(|event| line(event, &mut names)).collect()
    }

    /// Runs `main`, and compares what happened with `expected`: pairs of an event and its reason.
    fn expect<F: Future>(&self, main: F, expected: &[(&str, &str)]) {
        compare(&self.story(main), expected);
    }
}

fn compare(lines: &[String], expected: &[(&str, &str)]) {
    let mut story = String::new();
    for (i, (event, reason)) in expected.iter().enumerate() {
        let got = lines.get(i).map_or("nothing", String::as_str);
        writeln!(story, "  {got:24} {event:24} {reason}").unwrap();
        assert_eq!(got, *event, "because {reason}; so far (got, expected, why):\n{story}");
    }
    assert_eq!(lines.len(), expected.len(), "and then came {:?}", &lines[expected.len()..]);
}

/// Tasks are named in the order in which they were spawned: main, a, b, c…
fn line(event: Event, names: &mut HashMap<TaskId, String>) -> String {
    if let Event::Spawn { task, .. } = event {
        let name = match names.len() {
            0 => "main".to_owned(),
            n => char::from(b'a' + n as u8 - 1).to_string(),
        };
        names.insert(task, name);
    }
    let name = |task: Option<TaskId>| task.map_or("no task", |task| &names[&task]);
    match event {
        Event::Spawn { task, by } => format!("{} spawns {}", name(by), name(Some(task))),
        Event::Wake { task, by } => format!("{} wakes {}", name(by), name(Some(task))),
        Event::PollBegin { task } => format!("{} runs", name(Some(task))),
        Event::PollEnd { task, ready: false } => format!("{} waits", name(Some(task))),
        Event::PollEnd { task, ready: true } => format!("{} is ready", name(Some(task))),
        Event::Done { task, end: End::Returned } => format!("{} returned", name(Some(task))),
        Event::Done { task, end: End::Cancelled } => format!("{} cancelled", name(Some(task))),
        Event::Done { task, end: End::Panicked } => format!("{} panicked", name(Some(task))),
        Event::Turn => "turn".into(),
        Event::Park => "park".into(),
        Event::Unpark => "unpark".into(),
        Event::TimerSet { .. } => "a timer is set".into(),
        Event::TimerFired { .. } => "timer".into(),
        Event::WaitOn { task, on: Resource::Task(on), .. } => {
            format!("{} awaits {}", name(task), name(Some(on)))
        }
        Event::WaitOn { task, .. } => format!("{} awaits a timer", name(task)),
        Event::WaitDone { task, on: Resource::Task(on) } => format!("{} has {}", name(task), name(Some(on))),
        Event::WaitDone { task, .. } => format!("{} has its timer", name(task)),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_whole_story_of_one_spawn() {
    Recorder::new(Runtime::builder()).expect(
        async { spawn(async {}).await.unwrap() },
        &[
            ("no task spawns main", "block_on's future is a task like any other"),
            ("turn", "step 1 of the first turn: poll what is ready"),
            ("main runs", "it was queued when it was made"),
            ("main spawns a", "spawn returns at once"),
            ("main awaits a", "a has not run yet, so its handle leaves word"),
            ("main waits", "there is nothing else for it to do"),
            ("a runs", "it is next in the queue"),
            ("a is ready", "it had nothing to wait for"),
            ("a returned", "its future is dropped, its output kept"),
            ("a wakes main", "main had left word"),
            ("main runs", "a second and last time"),
            ("main has a", "its outcome, that is"),
            ("main is ready", "the output was there"),
            ("main returned", "and the loop ends with it, without a look at the OS"),
        ],
    );
}

#[test]
fn the_whole_story_of_one_sleep() {
    Recorder::new(Runtime::builder().virtual_time(true)).expect(
        time_sleep(),
        &[
            ("no task spawns main", "as above"),
            ("turn", "as above"),
            ("main runs", "it was queued when it was made"),
            ("a timer is set", "the loop has a deadline from now on"),
            ("main awaits a timer", "the first poll registers the deadline"),
            ("main waits", "nothing else to do"),
            ("timer", "nothing was ready, so the virtual clock jumped to the deadline"),
            ("no task wakes main", "the loop itself woke it: no task was running"),
            ("turn", "what was woken runs in the next turn"),
            ("main runs", "because it was woken"),
            ("main has its timer", "the timer is gone, so it has fired"),
            ("main is ready", "the sleep is over"),
            ("main returned", "the end"),
        ],
    );
}

async fn time_sleep() {
    time::sleep(Duration::from_secs(3600)).await;
}

#[test]
fn the_loop_parks_only_when_nothing_is_ready() {
    let main = async |millis| {
        yield_now().await;
        time::sleep(Duration::from_millis(millis)).await;
    };
    // Under Miri, or when another program has the processor, a millisecond may pass before the loop can park.
    let mut lines = Vec::new();
    for millis in [1, 10, 100, 1_000, 20_000] {
        lines = Recorder::new(Runtime::builder()).story(main(millis));
        if lines.iter().any(|line| line == "park") {
            break;
        }
    }
    compare(
        &lines,
        &[
            ("no task spawns main", "as above"),
            ("turn", "as above"),
            ("main runs", "first poll"),
            ("main wakes main", "yield_now: to the back of the queue"),
            ("main waits", "until its turn comes again"),
            ("main runs", "no park between the two: something was ready"),
            ("a timer is set", "a real clock this time"),
            ("main awaits a timer", "its first poll"),
            ("main waits", "nothing else to do"),
            ("park", "nothing is ready, no mail: into the kernel until the deadline"),
            ("unpark", "the kernel's timer rang"),
            ("timer", "the deadline has passed"),
            ("no task wakes main", "the loop did"),
            ("turn", "what was woken runs in the next turn"),
            ("main runs", "because it was woken"),
            ("main has its timer", "it has fired"),
            ("main is ready", "the sleep is over"),
            ("main returned", "the end"),
        ],
    );
}

#[test]
fn a_wait_that_is_given_up_is_over() {
    let main = async {
        let handle = spawn(std::future::pending::<()>());
        let _ = time::timeout(Duration::ZERO, handle).await;
    };
    Recorder::new(Runtime::builder().virtual_time(true)).expect(
        main,
        &[
            ("no task spawns main", "as above"),
            ("turn", "as above"),
            ("main runs", "first poll"),
            ("main spawns a", "a will never be done"),
            ("main awaits a", "the timeout polls what it guards, once"),
            ("main has a", "the time is up: the handle is dropped, and the wait is over"),
            ("main is ready", "main does not care"),
            ("main returned", "the end"),
        ],
    );
}

/// Three tasks that yield three times.
fn abc(runtime: &Runtime) -> String {
    let order: Rc<RefCell<String>> = Rc::default();
    runtime.block_on(async {
        let tasks = ["a", "b", "c"].map(|name| {
            let order = Rc::clone(&order);
            spawn(async move {
                for _ in 0..3 {
                    order.borrow_mut().push_str(name);
                    yield_now().await;
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    });
    order.take()
}

#[test]
fn first_in_first_out() {
    assert_eq!(abc(&Runtime::new().unwrap()), "abcabcabc");
}

#[test]
fn a_seed_shuffles_and_repeats() {
    let run = |seed| abc(&Runtime::builder().shuffle(seed).build().unwrap());
    let seeds = if cfg!(miri) { 5 } else { 50 };
    let orders: std::collections::HashSet<String> = (0..seeds).map(run).collect();
    assert!(orders.len() > seeds as usize / 2, "{seeds} seeds gave only {orders:?}");
    for seed in 0..seeds {
        assert_eq!(run(seed), run(seed));
    }
}

#[test]
fn awaiting_what_is_ready_does_not_give_way() {
    let order: Rc<RefCell<String>> = Rc::default();
    roundel::run(async {
        let tasks = ["a", "b"].map(|name| {
            let order = Rc::clone(&order);
            spawn(async move {
                for _ in 0..3 {
                    order.borrow_mut().push_str(name);
                    std::future::ready(()).await;
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(*order.borrow(), "aaabbb");
}

#[test]
fn no_task_runs_twice_in_a_row_while_another_is_ready() {
    let runtime = {
        let last: Cell<Option<TaskId>> = Cell::new(None);
        let sink = move |event| {
            if let Event::PollBegin { task } = event {
                assert_ne!(last.replace(Some(task)), Some(task), "twice in a row");
            }
        };
        Runtime::builder().probe(sink).build().unwrap()
    };
    runtime.block_on(async {
        let hot = |times: usize| async move {
            let mut left = times;
            poll_fn(|cx| {
                left -= 1;
                if left == 0 {
                    return Poll::Ready(());
                }
                // Many wakes count as one.
                (0..3).for_each(|_| cx.waker().wake_by_ref());
                Poll::Pending
            })
            .await;
        };
        let tasks = [spawn(hot(100)), spawn(hot(100)), spawn(hot(100))];
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_probe_sees_the_loop_and_not_itself() {
    let seen: Rc<Cell<u32>> = Rc::default();
    let count = Rc::clone(&seen);
    // The sink spawns. If that were an event for the sink, it would go on for ever.
    let sink = move |event| {
        count.set(count.get() + 1);
        if let Event::PollBegin { .. } = event {
            spawn(async {}).detach();
        }
    };
    let runtime = Runtime::builder().probe(sink).build().unwrap();
    runtime.block_on(async {});
    assert_eq!(seen.get(), 5, "spawn, turn, poll, end of poll, done: and nothing about what the sink did");
}
