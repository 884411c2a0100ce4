//! The state that the page computes, compared with the one of `record::State` after each event of random programs. (Tests of
//! the crate compare `record::State` with the loop itself.)
//!
//! A state is written as one line by both: step, turn, running task, both lanes, timers in order, waiters.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

use examples::see::json::json;
use roundel::record::{Recorder, State, Step, Trace, What};
use roundel::sync::Mutex;
use roundel::{Runtime, channel, time};
use testkit::Random;
use testkit::browser::Theme;

use crate::{DESK, visit};

/// What the tasks of one program share.
struct Shared {
    lock: Mutex<u32>,
    random: RefCell<Random>,
}

impl Shared {
    fn below(&self, end: usize) -> usize {
        self.random.borrow_mut().below(end)
    }

    fn millis(&self) -> Duration {
        Duration::from_millis(self.below(4) as u64)
    }
}

/// A few steps by chance: it waits, gives way, takes the lock, talks to a child, or cancels one.
async fn act(shared: Rc<Shared>, depth: usize) {
    for _ in 0..shared.below(6) + 1 {
        match shared.below(7) {
            0 => time::sleep(shared.millis()).await,
            1 => roundel::yield_now().await,
            2 => {
                let mut held = shared.lock.lock().await;
                *held += 1;
                time::sleep(shared.millis()).await;
            }
            3 => _ = time::timeout(shared.millis(), time::sleep(shared.millis())).await,
            4 if depth < 3 => drop(roundel::spawn(Box::pin(act(Rc::clone(&shared), depth + 1)))),
            5 if depth < 3 => {
                let child = roundel::spawn(Box::pin(act(Rc::clone(&shared), depth + 1)));
                roundel::yield_now().await;
                child.cancel();
                _ = child.await;
            }
            _ => talk(&shared).await,
        }
    }
}

/// Sends a few numbers to a task through a small channel.
async fn talk(shared: &Rc<Shared>) {
    let (sender, receiver) = channel::bounded(1);
    let listener = roundel::spawn(async move { while receiver.recv().await.is_ok() {} });
    for number in 0..shared.below(4) {
        _ = sender.send(number).await;
    }
    drop(sender);
    _ = listener.await;
}

fn recorded(seed: u64, shuffled: bool, recorder: Recorder) -> Trace {
    let mut builder = Runtime::builder().virtual_time(true).record(recorder.clone());
    if shuffled {
        builder = builder.shuffle(seed);
    }
    let runtime = builder.build().unwrap();
    let shared = Rc::new(Shared { lock: Mutex::new(0), random: RefCell::new(Random::new(seed)) });
    runtime.block_on(async {
        for _ in 0..4 {
            drop(roundel::spawn(act(Rc::clone(&shared), 0)));
        }
        act(Rc::clone(&shared), 0).await;
    });
    drop(runtime);
    recorder.trace().unwrap()
}

/// The states after each event, a line each.
fn states(trace: &Trace) -> Vec<String> {
    let mut state = State::new(trace);
    let line = |state: &State| {
        // The end of the root may count as part of its last turn, or not.
        let mut text = match state.step() {
            Step::Outside => "–|–|".to_owned(),
            step => format!("{}|{}|", step.number(), state.turn()),
        };
        let tasks = |tasks: &mut dyn Iterator<Item = u32>| {
            tasks.map(|task| task.to_string()).collect::<Vec<_>>().join(",")
        };
        let _ = write!(text, "{}|", tasks(&mut state.running().into_iter()));
        let _ = write!(text, "{}|{}|", tasks(&mut state.tasks_lane()), tasks(&mut state.outside_lane()));
        let _ = write!(text, "{}|", tasks(&mut state.timers().map(|timer| timer.timer)));
        // By resource, and there in the order in which they began.
        let mut waits: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for waiter in state.waiters() {
            let task = waiter.task.map_or("-1".to_owned(), |task| task.to_string());
            waits.entry(waiter.on).or_default().push(task);
        }
        let waits: Vec<String> =
            waits.iter().map(|(on, tasks)| format!("{on}:{}", tasks.join(","))).collect();
        text + &waits.join(";")
    };
    let events = trace.events().iter();
    events
        .map(|event| {
            state.apply(&event.what);
            line(&state)
        })
        .collect()
}

const COMPARE: &str = r"
    const isOutside = (event) => expected[event].startsWith('–');
    const line = (event) => {
        const state = loop.state(event);
        const waits = state.waits.toSorted((x, y) => x.resource - y.resource)
            .map(({ resource, tasks }) => `${resource}:${tasks}`).join(';');
        const running = state.running < 0 ? '' : state.running;
        const place = isOutside(event) ? '–|–' : `${state.step}|${state.turn}`;
        return [place, running, state.tasks, state.outside, state.timers.map(({ timer }) => timer), waits].join('|');
    };
    same(loop.events, expected.length, 'all events are there');
    expected.forEach((state, event) => {
        const seen = line(event);
        if (seen !== state) wrong.push(`after event ${event} the page has ${seen}, the trace ${state}`);
    });
    // Backwards, and by jumps, it is the same.
    for (let event = expected.length - 1; event >= 0; event -= 7) {
        if (line(event) !== expected[event]) wrong.push(`event ${event} is another one from behind`);
    }
";

/// Two tasks that take two locks in opposite order. When they wait for each other, `on_deadlock` spawns two more, and so does
/// the program between two `block_on`s.
fn recorded_with_a_handler(recorder: Recorder) -> Trace {
    let spawn_two = || (0..2).for_each(|_| roundel::spawn(roundel::yield_now()).detach());
    let builder = Runtime::builder().virtual_time(true).record(recorder.clone());
    let runtime = builder.on_deadlock(move |_| spawn_two()).build().unwrap();
    runtime.block_on(async {
        let [a, b] = [(); 2].map(|()| Rc::new(Mutex::new(())));
        for (first, second) in [(Rc::clone(&a), Rc::clone(&b)), (b, a)] {
            let both = async move {
                let _first = first.lock().await;
                roundel::yield_now().await;
                drop(second.lock().await);
            };
            roundel::spawn(both).detach();
        }
        roundel::yield_now().await;
    });
    for _ in 0..4 {
        runtime.block_on(roundel::yield_now());
    }
    recorder.trace().unwrap()
}

/// The page of this trace says the same as `record::State`. Returns how many states there are.
fn compare(test: &str, trace: &Trace) -> usize {
    let expected = states(trace);
    let list = expected.iter().map(|state| format!("'{state}'")).collect::<Vec<_>>().join(",");
    let script = format!("const expected = [{list}];\n{COMPARE}");
    visit(test, &json(trace), "", DESK, Theme::Light, &script);
    expected.len()
}

#[test]
fn the_page_knows_where_a_handler_queues_tasks() {
    let whole = recorded_with_a_handler(Recorder::in_memory());
    let spawns = |trace: &Trace| {
        let is_spawn = |event: &&roundel::record::Event| matches!(event.what, What::Spawn { .. });
        trace.events().iter().filter(is_spawn).count()
    };
    assert_eq!(spawns(&whole), 2 + 5 + 2, "two tasks, five `block_on`s, and two of the handler");
    compare("truth_handler", &whole);
    // These begin at each event before the handler is called, so that the first `block_on` is not in them.
    let is_spawn_of_handler = |event: &roundel::record::Event| {
        matches!(event.what, What::Spawn { task } if {
            let task = &whole.tasks()[task as usize];
            task.by.is_none() && task.at.is_some()
        })
    };
    let called = whole.events().iter().position(is_spawn_of_handler).unwrap();
    for kept in [1, 3, 6] {
        let ring = recorded_with_a_handler(Recorder::ring(whole.events().len() - called + kept));
        assert!(ring.begin().is_some());
        compare(&format!("truth_handler_{kept}"), &ring);
    }
}

/// The loop cannot go on, and `on_deadlock` wakes `main`.
const LOOKS: &str = r"
    const all = [...Array(loop.events).keys()];
    const park = all.find((event) => loop.event(event).kind === 'park');
    const wake = all.find((event) => event > park && loop.event(event).kind === 'wake');
    loop.go(park);
    check(sentence().includes('it only looks at the kernel, and does not wait'), sentence());
    const steps = page.getElementById('steps').textContent;
    check(steps.includes('only looks') && !steps.includes('waits until'), steps);
    loop.go(wake);
    check(sentence().startsWith('Turn 1, step 4'), sentence());
    check(sentence().includes('by code outside of the loop'), sentence());
";

#[test]
fn a_loop_that_has_a_handler_to_call_is_not_said_to_wait() {
    let recorder = Recorder::in_memory();
    let event = Rc::new(roundel::sync::Event::new());
    let theirs = Rc::clone(&event);
    let builder = Runtime::builder().virtual_time(true).record(recorder.clone());
    let runtime = builder.on_deadlock(move |_| theirs.set()).build().unwrap();
    runtime.block_on(event.wait());
    let trace = recorder.trace().unwrap();
    visit("looks", &json(&trace), "", DESK, Theme::Light, LOOKS);
}

#[test]
fn the_page_has_the_state_of_the_loop_after_each_event() {
    let mut most = 0;
    // The last one begins in the middle, with what stood where.
    for (seed, shuffled, ring) in [(1, false, 0), (2, false, 0), (3, true, 0), (4, false, 60)] {
        let recorder = if ring > 0 { Recorder::ring(ring) } else { Recorder::in_memory() };
        let trace = recorded(seed, shuffled, recorder);
        assert_eq!(trace.begin().is_some(), ring > 0);
        most = most.max(compare(&format!("truth_{seed}"), &trace));
    }
    assert!(most > 300, "the longest of these programs has only {most} events");
}
