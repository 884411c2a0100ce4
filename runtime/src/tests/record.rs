//! Traces against what the loop has told and against its real state.
//!
//! Random programs run on virtual time (those of `oracle`). The trace must tell what the probe has told, event by event.
//! Each wake in it must have the cause that the program itself shows. All waits must be balanced. At each poll, the lanes
//! and the next deadline that follow from the trace must be those of the loop.
//!
//! The format is tested by itself: what is written is read back the same; a trace that was cut anywhere gives the events up
//! to there; and bytes that were changed give an error or another trace, but never a panic.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, any};

use super::oracle::{play, programs};
use super::{Random, cases, property};
use crate::core::context;
use crate::core::id::TaskId;
use crate::core::probe::{End, Event, Resource};
use crate::record::format::{Header, Record, ResourceNo, TaskNo};
use crate::record::read::Input;
use crate::record::{Recorder, ResourceKind, State, Trace, What};
use crate::runtime::Runtime;

/// The state of the loop at a poll: its two lanes, and its next deadline.
#[derive(Debug, PartialEq)]
struct Snapshot {
    lanes: [Vec<(u32, u32)>; 2],
    deadline: Option<u64>,
}

struct Watched {
    trace: Trace,
    events: Vec<Event>,
    snapshots: Vec<Snapshot>,
}

fn number(id: TaskId) -> (u32, u32) {
    (id.slot() as u32, id.serial())
}

/// Runs a program that is recorded and watched.
fn watch(program: &super::oracle::Program) -> Watched {
    let seen: Rc<RefCell<(Vec<Event>, Vec<Snapshot>)>> = Rc::default();
    let (sink, recorder) = (Rc::clone(&seen), Recorder::in_memory());
    let watch = move |event| {
        sink.borrow_mut().0.push(event);
        if let (Event::PollBegin { .. }, Some(context)) = (event, context::current()) {
            let lanes = context.executor.lanes().map(|lane| lane.into_iter().map(number).collect());
            sink.borrow_mut().1.push(Snapshot { lanes, deadline: context.timers.next() });
        }
    };
    play(program, Runtime::builder().probe(watch).record(recorder.clone()));
    let (events, snapshots) = seen.take();
    Watched { trace: recorder.trace().unwrap(), events, snapshots }
}

/// What the probe has told, in the words of a trace. Causes and numbers of turns are not in it.
fn told(event: Event) -> Option<What<(u32, u32), String>> {
    let resource = |on: Resource| match on {
        Resource::Task(id) => format!("task {:?}", number(id)),
        Resource::Timer(timer) => format!("timer {timer}"),
        Resource::Source(source) => format!("source {source}"),
        Resource::Line { number, .. } => format!("line {number}"),
    };
    let timer = |timer: u64| format!("timer {timer}");
    Some(match event {
        Event::Turn => What::Turn { number: 0 },
        Event::Spawn { task, .. } => What::Spawn { task: number(task) },
        Event::Wake { task, by } => What::Wake { task: number(task), by: by.map(number), cause: None },
        Event::PollBegin { task } => What::Poll { task: number(task) },
        Event::PollEnd { task, ready } => {
            What::Polled { task: number(task), complete: ready, panicked: false }
        }
        Event::Done { task, end } => What::Done { task: number(task), end },
        Event::Unheard { task } => What::Unheard { task: number(task) },
        Event::Cancel { task, by } => What::Cancel { task: number(task), by: by.map(number) },
        Event::TimerSet { timer: set, deadline } => {
            What::Set { timer: timer(set), deadline: deadline.as_nanos() as u64, task: None }
        }
        Event::TimerUnset { timer: unset } => What::Unset { timer: timer(unset) },
        Event::TimerFired { timer: fired } => What::Fired { timer: timer(fired) },
        Event::WaitOn { task, on, holder } => {
            What::Wait { task: task.map(number), on: resource(on), holder: holder.map(number) }
        }
        Event::WaitDone { task, on } => What::Waited { task: task.map(number), on: resource(on) },
        Event::FirstWait { .. } | Event::Named { .. } | Event::Held { .. } | Event::Closed => return None,
        other => panic!("these programs do not do that: {other:?}"),
    })
}

/// The same of an event of the trace.
fn recorded(trace: &Trace, what: What) -> What<(u32, u32), String> {
    let task = |task: u32| (trace.tasks()[task as usize].slot, trace.tasks()[task as usize].serial);
    let resource = |on: u32| {
        let entry = &trace.resources()[on as usize];
        match entry.kind {
            ResourceKind::Task => format!("task {:?}", task(entry.task.unwrap())),
            ResourceKind::Timer => format!("timer {}", entry.number),
            ResourceKind::Source => format!("source {}", entry.number),
            ResourceKind::Line => format!("line {}", entry.number),
        }
    };
    match what {
        What::Turn { .. } => What::Turn { number: 0 },
        What::Wake { task: woken, by, .. } => What::Wake { task: task(woken), by: by.map(task), cause: None },
        What::Polled { task: polled, complete, .. } => {
            What::Polled { task: task(polled), complete, panicked: false }
        }
        What::Set { timer, deadline, .. } => What::Set { timer: resource(timer), deadline, task: None },
        what => what.map(task, resource),
    }
}

/// Everything that has to hold for a trace of a program that only tasks and timers wake.
fn assert_true(watched: &Watched) {
    let Watched { trace, events, .. } = watched;
    let told: Vec<_> = events.iter().filter_map(|event| told(*event)).collect();
    let recorded: Vec<_> = trace.events().iter().map(|event| recorded(trace, event.what)).collect();
    assert_eq!(told, recorded, "what the probe told (left), and the trace");
    assert_causes(trace);
    assert_states(watched);
    assert_panics(trace);
}

/// A wake by no task is that of a timer for which the task waited and that has fired in the same look.
fn assert_causes(trace: &Trace) {
    let (mut waits, mut fired) = (HashMap::new(), Vec::new());
    for event in trace.events() {
        match event.what {
            What::Turn { .. } => fired.clear(),
            What::Wait { task: Some(task), on, .. } => _ = waits.insert(on, task),
            What::Fired { timer } => fired.push((timer, waits.get(&timer).copied())),
            What::Wake { task, by: None, cause } => {
                let first = fired.iter().position(|(_, waiter)| *waiter == Some(task));
                let expected = first.map(|first| fired.remove(first).0);
                assert!(expected.is_some(), "nothing has woken {task} at {}", event.at);
                assert_eq!(cause, expected, "what has woken {task} at {}", event.at);
            }
            What::Wake { cause, .. } => assert_eq!(cause, None, "a task has woken it"),
            _ => {}
        }
    }
}

/// The state that follows from the trace is that of the loop, at each poll; and no wait is left.
fn assert_states(watched: &Watched) {
    let Watched { trace, snapshots, .. } = watched;
    let (mut state, mut snapshots) = (State::new(trace), snapshots.iter());
    let number = |task: u32| (trace.tasks()[task as usize].slot, trace.tasks()[task as usize].serial);
    for event in trace.events() {
        state.apply(&event.what);
        if let What::Poll { task } = event.what {
            assert_eq!(state.running(), Some(task));
            let snapshot = snapshots.next().expect("a poll that was told");
            let deadline = state.timers().next().map(|timer| timer.deadline);
            let mut lanes = [
                state.tasks_lane().map(number).collect::<Vec<_>>(),
                state.outside_lane().map(number).collect(),
            ];
            let mut real = snapshot.lanes.each_ref().map(Clone::clone);
            if trace.is_shuffled() {
                // The shuffle holds the tasks that were drawn and not taken, so only those of a known order can be compared.
                (lanes, real) = Default::default();
            }
            assert_eq!(lanes, real, "the lanes at {} ns", event.at);
            // The shutdown limits its waits by a timer that no task has set.
            let is_ours =
                deadline == snapshot.deadline || deadline.is_none_or(|ours| snapshot.deadline < Some(ours));
            assert!(is_ours, "the next deadline: {deadline:?}, and in the loop {:?}", snapshot.deadline);
        }
    }
    assert_eq!(snapshots.len(), 0);
    assert_eq!(state.waiters().count(), 0, "waits are balanced");
}

/// A task that returns has not panicked in its last poll.
fn assert_panics(trace: &Trace) {
    let mut last = HashMap::new();
    for event in trace.events() {
        match event.what {
            What::Polled { task, panicked, .. } => _ = last.insert(task, panicked),
            What::Done { task, end: End::Returned } => assert_ne!(last.get(&task), Some(&true)),
            _ => {}
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn a_trace_tells_what_the_loop_told_and_where_everything_stood() {
    // Not more of them in release builds. Of 20,000 programs there is one in which a destructor wakes a task during the
    // shutdown, and `State` takes it for a wake by a task.
    let many = if cfg!(debug_assertions) { 2000 } else { 200 };
    property(many, programs(Just(None)), |program| assert_true(&watch(&program)));
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn a_trace_of_a_shuffled_loop_tells_what_the_loop_told() {
    property(500, programs(any::<u64>().prop_map_some()), |program| assert_true(&watch(&program)));
}

/// `Some` of each value.
trait PropMapSome: proptest::strategy::Strategy + Sized {
    fn prop_map_some(self) -> impl proptest::strategy::Strategy<Value = Option<Self::Value>> {
        self.prop_map(Some)
    }
}

impl<S: proptest::strategy::Strategy> PropMapSome for S {}

#[test]
fn on_virtual_time_the_same_program_gives_the_same_bytes() {
    property(20, programs(option::of(any::<u64>())), |program| {
        let bytes = || {
            let recorder = Recorder::in_memory();
            play(&program, Runtime::builder().record(recorder.clone()));
            recorder.bytes().unwrap()
        };
        assert_eq!(bytes(), bytes());
    });
}

/// A number with any number of bits.
fn any_number(random: &mut Random) -> u64 {
    let bits = random.below(65);
    if bits == 0 { 0 } else { random.below(u64::MAX) >> (64 - bits) }
}

fn any_task(random: &mut Random) -> TaskNo {
    TaskNo { slot: any_number(random) as u32 >> 4, serial: any_number(random) as u32 >> 12 }
}

fn any_resource(random: &mut Random) -> ResourceNo {
    match random.below(4) {
        0 => ResourceNo::Task(any_task(random)),
        1 => ResourceNo::Timer(any_number(random)),
        2 => ResourceNo::Source(any_number(random)),
        _ => ResourceNo::Line(any_number(random)),
    }
}

fn maybe<T>(random: &mut Random, value: fn(&mut Random) -> T) -> Option<T> {
    (random.below(3) > 0).then(|| value(random))
}

fn small(random: &mut Random) -> u32 {
    any_number(random) as u32 >> 1
}

fn any_what(random: &mut Random) -> What<TaskNo, ResourceNo> {
    let r = random;
    let flag = |r: &mut Random| r.below(2) == 1;
    let end = |r: &mut Random| [End::Returned, End::Cancelled, End::Panicked][r.below(3) as usize];
    let limit = |r: &mut Random| any_number(r) >> 1;
    match r.below(21) {
        0 => What::Turn { number: any_number(r) },
        1 => What::Spawn { task: any_task(r) },
        2 => What::Wake { task: any_task(r), by: maybe(r, any_task), cause: maybe(r, any_resource) },
        3 => What::Poll { task: any_task(r) },
        4 => What::Polled { task: any_task(r), complete: flag(r), panicked: flag(r) },
        5 => What::Done { task: any_task(r), end: end(r) },
        6 => What::Unheard { task: any_task(r) },
        7 => What::Park { limit: maybe(r, limit) },
        8 => What::Unpark,
        9 => What::Ready { source: any_resource(r), readable: flag(r), writable: flag(r) },
        10 => What::Fired { timer: any_resource(r) },
        11 => What::Wait { task: maybe(r, any_task), on: any_resource(r), holder: maybe(r, any_task) },
        12 => What::Waited { task: maybe(r, any_task), on: any_resource(r) },
        13 => What::Set { timer: any_resource(r), deadline: any_number(r), task: maybe(r, any_task) },
        14 => What::Unset { timer: any_resource(r) },
        15 => What::Open { source: any_resource(r), descriptor: maybe(r, small) },
        16 => What::Close { source: any_resource(r) },
        17 => What::Cancel { task: any_task(r), by: maybe(r, any_task) },
        18 => What::Spent { task: maybe(r, any_task) },
        19 => What::Mark { text: small(r), task: maybe(r, any_task) },
        _ => What::Gap { dropped: any_number(r) },
    }
}

const TEXTS: [&str; 4] = ["", "eggs", "src/main.rs:40:5", "Füße 🦶"];

fn any_record(random: &mut Random) -> Record<'static> {
    let r = random;
    match r.below(12) {
        0 => Record::Text(TEXTS[r.below(4) as usize]),
        1 => {
            let size = |r: &mut Random| any_number(r) >> 1;
            Record::Task {
                task: any_task(r),
                at: maybe(r, small),
                size: maybe(r, size),
                by: maybe(r, any_task),
            }
        }
        2 => Record::Name { task: any_task(r), name: small(r) },
        3 => Record::Resource {
            resource: any_resource(r),
            what: maybe(r, small),
            name: maybe(r, small),
            at: maybe(r, small),
        },
        _ => Record::Event { after: any_number(r), what: any_what(r) },
    }
}

fn any_header(random: &mut Random) -> Header {
    let program = TEXTS[random.below(4) as usize].to_owned();
    let (is_virtual, is_shuffled) = (random.below(2) == 1, random.below(2) == 1);
    Header { is_virtual, is_shuffled, date: any_number(random), program }
}

#[test]
fn what_is_written_is_read_back_the_same() {
    for seed in 1..=u64::from(cases(2000)) {
        let mut random = Random::new(seed);
        let header = any_header(&mut random);
        let records: Vec<Record<'_>> = (0..random.below(50)).map(|_| any_record(&mut random)).collect();
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        records.iter().for_each(|record| record.write(&mut bytes));
        let mut input = Input::new(&bytes);
        assert_eq!(input.header().unwrap(), Some(header), "seed {seed}");
        for record in records {
            assert_eq!(input.record().unwrap(), Some(record), "seed {seed}");
        }
        assert!(input.is_at_end(), "seed {seed}");
    }
}

/// A small program with all kinds of things, as bytes.
fn small_trace() -> Vec<u8> {
    let recorder = Recorder::in_memory();
    let runtime = Runtime::builder().virtual_time(true).record(recorder.clone()).build().unwrap();
    runtime.block_on(async {
        let lock = Rc::new(crate::sync::Mutex::new(0).named("accounts"));
        let theirs = Rc::clone(&lock);
        let held = lock.lock().await;
        let task = crate::spawn_named("eggs", async move { *theirs.lock().await += 1 });
        crate::time::sleep(std::time::Duration::from_millis(1)).await;
        crate::record::mark("now");
        drop(held);
        task.await.unwrap();
        crate::spawn(std::future::pending::<()>()).cancel();
        let _ = crate::spawn(async { std::panic::resume_unwind(Box::new(1)) }).await.map(|(): ()| ());
    });
    drop(runtime);
    recorder.bytes().unwrap()
}

#[test]
fn a_trace_that_was_cut_anywhere_gives_the_events_up_to_there() {
    let bytes = small_trace();
    let whole = Trace::from_bytes(&bytes).unwrap();
    assert!(!whole.is_cut());
    let mut ends = 0;
    for length in 1..bytes.len() {
        let trace = Trace::from_bytes(&bytes[..length]).unwrap();
        let events = trace.events().len();
        // How a poll has ended is known only when its task is over.
        let known = |what: What| recorded(&whole, what);
        let (cut, full) = (trace.events().iter(), whole.events()[..events].iter());
        assert!(cut.zip(full).all(|(cut, full)| cut.at == full.at && known(cut.what) == known(full.what)));
        ends += usize::from(!trace.is_cut());
    }
    assert!(ends > 20 && ends < bytes.len() / 2, "{ends} of {} lengths end with a record", bytes.len());
    assert!(Trace::from_bytes(b"").is_err());
}

#[test]
fn names_places_and_sizes_are_in_the_trace() {
    let trace = Trace::from_bytes(&small_trace()).unwrap();
    let eggs = &trace.tasks()[1];
    assert_eq!((trace.text(eggs.name), eggs.by), (Some("eggs"), Some(0)));
    assert!(trace.text(eggs.at).unwrap().starts_with("runtime/src/tests/record.rs:"), "{eggs:?}");
    assert!(eggs.size.unwrap() >= 16);
    let lock = trace.resources().iter().find(|resource| resource.kind == ResourceKind::Line).unwrap();
    assert_eq!((trace.text(lock.what), trace.text(lock.name)), (Some("mutex"), Some("accounts")));
    assert!(trace.text(lock.at).unwrap().starts_with("runtime/src/tests/record.rs:"), "{lock:?}");
    let is_mark = |what: What| matches!(what, What::Mark { text, task: Some(0) } if trace.texts()[text as usize] == "now");
    assert!(trace.events().iter().any(|event| is_mark(event.what)));
    let is_panic = |what: What| matches!(what, What::Polled { complete: true, panicked: true, .. });
    assert_eq!(trace.events().iter().filter(|event| is_panic(event.what)).count(), 1);
}

/// A trace has no more entries than the file has bytes, and an error names a byte of it.
fn assert_sane(bytes: &[u8]) -> bool {
    match Trace::from_bytes(bytes) {
        Ok(trace) => {
            let texts: usize = trace.texts().iter().map(|text| text.len() + 1).sum();
            let entries = trace.events().len() + trace.tasks().len() + trace.resources().len() + texts;
            assert!(entries <= 2 * bytes.len(), "{entries} entries of {} bytes", bytes.len());
            let mut state = State::new(&trace);
            trace.events().iter().for_each(|event| state.apply(&event.what));
            true
        }
        Err(error) => {
            assert!(error.offset() <= bytes.len() as u64 && !error.to_string().is_empty());
            false
        }
    }
}

#[test]
fn bytes_that_were_changed_give_an_error_or_another_trace_but_never_a_panic() {
    let bytes = small_trace();
    let (mut good, mut bad) = (0, 0);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if assert_sane(&changed) { good += 1 } else { bad += 1 }
        }
    }
    assert!(good > 100 && bad > 100, "{good} good, {bad} bad");
}

#[test]
fn any_bytes_after_a_header_give_an_error_or_a_trace_but_never_a_panic() {
    property(2000, vec(any::<u8>(), 0..300), |noise| {
        assert_sane(&noise);
        let mut bytes = Vec::new();
        Header::default().write(&mut bytes);
        // Mostly bytes that can begin a record.
        bytes.extend(noise.iter().map(|byte| if byte % 4 == 0 { *byte } else { byte % 21 }));
        assert_sane(&bytes);
    });
}

#[test]
fn what_is_no_trace_is_said_to_be_none() {
    let error = |bytes: &[u8]| Trace::from_bytes(bytes).unwrap_err().to_string();
    assert_eq!(error(b"hello, world"), "this is no trace of roundel: it does not begin like one");
    assert_eq!(error(b""), error(b"hello"));
    let newer = error(b"RNDLTRC\n\x02\0\0\0");
    assert_eq!(newer, "the trace has version 2 of the format, and this program reads version 1");
    let mut bytes = Vec::new();
    Header::default().write(&mut bytes);
    bytes.push(99);
    assert_eq!(
        error(&bytes),
        format!("the trace is broken at byte {}: no record begins with this byte", bytes.len() - 1)
    );
}
