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
use crate::core::waker::count_clones;
use crate::record::format::{Header, Record, ResourceNo, TaskNo};
use crate::record::queued::Queued;
use crate::record::read::Input;
use crate::record::{self, Recorder, ResourceKind, Snapshot, State, Step, Timer, Trace, Waiter, What};
use crate::runtime::Runtime;

/// The state of the loop at a poll: its two lanes, and its next deadline.
#[derive(Debug, PartialEq)]
struct AtPoll {
    lanes: [Vec<(u32, u32)>; 2],
    deadline: Option<u64>,
}

struct Watched {
    trace: Trace,
    events: Vec<Event>,
    snapshots: Vec<AtPoll>,
}

fn number(id: TaskId) -> (u32, u32) {
    (id.slot() as u32, id.serial())
}

/// Runs a program that is recorded and watched.
fn watch(program: &super::oracle::Program) -> Watched {
    let seen: Rc<RefCell<(Vec<Event>, Vec<AtPoll>)>> = Rc::default();
    let (sink, recorder) = (Rc::clone(&seen), Recorder::in_memory());
    let watch = move |event| {
        sink.borrow_mut().0.push(event);
        if let (Event::PollBegin { .. }, Some(context)) = (event, context::current()) {
            let Queued { tasks, outside, over, .. } = Queued::of(&context);
            let live =
                |lane: Vec<TaskId>| lane.into_iter().filter(|id| !over.contains(id)).map(number).collect();
            let lanes = [tasks, outside].map(live);
            sink.borrow_mut().1.push(AtPoll { lanes, deadline: context.timers.next() });
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
        Event::Shutdown { step } => What::Shutdown { step },
        Event::FirstWait { .. }
        | Event::Named { .. }
        | Event::Held { .. }
        | Event::Deadlock
        | Event::Closed => return None,
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

/// The last events up to this one, for a person who looks for an error.
fn last(trace: &Trace, index: usize) -> Vec<What<(u32, u32), String>> {
    let events = &trace.events()[index.saturating_sub(20)..=index];
    events.iter().map(|event| recorded(trace, event.what)).collect()
}

/// The state that follows from the trace is that of the loop, at each poll; and no wait is left.
fn assert_states(watched: &Watched) {
    let Watched { trace, snapshots, .. } = watched;
    let (mut state, mut snapshots) = (State::new(trace), snapshots.iter());
    let number = |task: u32| (trace.tasks()[task as usize].slot, trace.tasks()[task as usize].serial);
    for (index, event) in trace.events().iter().enumerate() {
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
            assert_eq!(lanes, real, "the lanes at {} ns, after {:#?}", event.at, last(trace, index));
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
    property(2000, programs(Just(None)), |program| assert_true(&watch(&program)));
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn a_trace_of_a_shuffled_loop_tells_what_the_loop_told() {
    property(500, programs(any::<u64>().prop_map_some()), |program| assert_true(&watch(&program)));
}

/// What a state says, in names that mean the same in each trace. What a late recorder cannot know is left out if this is not
/// `exact`: the number of the turn, holders, which task has set a timer, and the order of the waits.
fn said(trace: &Trace, state: &State, exact: bool) -> String {
    let task = |task: u32| (trace.tasks()[task as usize].slot, trace.tasks()[task as usize].serial);
    let resource = |on: u32| {
        let entry = &trace.resources()[on as usize];
        format!("{:?} {} {:?}", entry.kind, entry.number, entry.task.map(task))
    };
    let kept = |other: Option<u32>| other.filter(|_| exact).map(task);
    let lanes = [state.tasks_lane().map(task).collect::<Vec<_>>(), state.outside_lane().map(task).collect()];
    let timers: Vec<_> =
        state.timers().map(|timer| (resource(timer.timer), timer.deadline, kept(timer.task))).collect();
    let waiter = |waiter: Waiter| (waiter.task.map(task), resource(waiter.on), kept(waiter.holder));
    let waiters: Vec<_> = state.waiters().filter(|_| exact).map(waiter).collect();
    let turn = if exact { state.turn() } else { 0 };
    let (running, shutdown) = (state.running().map(task), state.shutdown());
    format!("{turn} {:?} {shutdown} {running:?} {lanes:?} {timers:?} {waiters:?}", state.step())
}

/// What a state says, without what a late recorder cannot know, and without these waits.
fn said_without(trace: &Trace, state: &State, waits: &[(Option<u32>, u32)]) -> String {
    let mut left_out = waits.to_vec();
    let is_known = |waiter: &Waiter| {
        let at = left_out.iter().position(|wait| *wait == (waiter.task, waiter.on));
        let is_line = trace.resources()[waiter.on as usize].kind == ResourceKind::Line;
        !is_line && at.map(|at| left_out.remove(at)).is_none()
    };
    let task = |task: u32| (trace.tasks()[task as usize].slot, trace.tasks()[task as usize].serial);
    let waiter = |waiter: Waiter| {
        let on = &trace.resources()[waiter.on as usize];
        (waiter.task.map(task), format!("{:?} {} {:?}", on.kind, on.number, on.task.map(task)))
    };
    let mut waits: Vec<_> = state.waiters().filter(is_known).map(waiter).collect();
    waits.sort();
    format!("{} {waits:?}", said(trace, state, false))
}

/// An event, with the time and the cause, in names that mean the same in each trace.
fn whole_event(trace: &Trace, event: &record::Event) -> (u64, What<(u32, u32), String>, Option<u64>) {
    let cause = if let What::Wake { cause, .. } = event.what { cause } else { None };
    let cause = cause.map(|cause| trace.resources()[cause as usize].number);
    (event.at, recorded(trace, event.what), cause)
}

/// A trace that begins later has the same events from there on, and the same state before and after each of them.
fn assert_same_end(whole: &Trace, part: &Trace) {
    let told = part.events().iter().filter(|event| !matches!(event.what, What::Gap { .. })).count();
    let before = whole.events().len() - told;
    assert!(part.begin().is_some() || before == 0, "it begins with a state");
    let (mut theirs, mut ours) = (State::new(whole), State::new(part));
    whole.events()[..before].iter().for_each(|event| theirs.apply(&event.what));
    let (gaps, last) = part.events().split_at(part.events().len() - told);
    gaps.iter().for_each(|event| ours.apply(&event.what));
    assert_eq!(part.dropped(), before as u64, "so many are missing");
    for (index, (theirs_next, ours_next)) in whole.events()[before..].iter().zip(last).enumerate() {
        assert_eq!(said(whole, &theirs, true), said(part, &ours, true), "before event {index} of {told}");
        assert_eq!(whole_event(whole, theirs_next), whole_event(part, ours_next), "event {index} of {told}");
        theirs.apply(&theirs_next.what);
        ours.apply(&ours_next.what);
    }
    assert_eq!(said(whole, &theirs, true), said(part, &ours, true), "at the end");
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn a_ring_tells_what_stood_where_before_its_first_event_exactly() {
    property(1000, (programs(Just(None)), 1..300_usize), |(program, most)| {
        let (whole, ring) = (Recorder::in_memory(), Recorder::ring(most));
        play(&program, Runtime::builder().record(whole.clone()).record(ring.clone()));
        assert_same_end(&whole.trace().unwrap(), &ring.trace().unwrap());
    });
}

/// What a recorder that began in the middle of a run does not know of it: waits in lines, and waits for what has come already,
/// until the task is polled.
struct Unknown<'a> {
    whole: &'a Trace,
    over: Vec<(Option<u32>, u32)>,
}

impl Unknown<'_> {
    fn is_line(&self, on: u32) -> bool {
        self.whole.resources()[on as usize].kind == ResourceKind::Line
    }

    /// Of the waits in this state, those that are for what has come before.
    fn note(&mut self, state: &State, before: &[record::Event]) {
        let has_come = |on: u32| {
            before.iter().any(|event| match event.what {
                What::Fired { timer } => timer == on,
                What::Done { task, .. } => self.whole.resources()[on as usize].task == Some(task),
                _ => false,
            })
        };
        let waiters = state.waiters().filter(|waiter| has_come(waiter.on));
        self.over = waiters.map(|waiter| (waiter.task, waiter.on)).collect();
    }

    /// Whether this event of the whole trace is missing in the other one.
    fn leaves_out(&mut self, what: What) -> bool {
        match what {
            What::Wait { on, .. } => self.is_line(on),
            What::Waited { task, on } => {
                let known = self.over.iter().position(|wait| *wait == (task, on));
                known.map(|at| self.over.remove(at)).is_some() || self.is_line(on)
            }
            _ => false,
        }
    }
}

/// A recorder that begins with this turn tells the same from there on, but for what it cannot know.
fn assert_same_from(whole: &Trace, part: &Trace, turn: u32) {
    let mut turns = (0..).zip(whole.events()).filter(|(_, event)| matches!(event.what, What::Turn { .. }));
    let before = turns.nth(turn as usize - 1).expect("the turn is in the whole trace").0;
    let (mut theirs, mut ours) = (State::new(whole), State::new(part));
    let (earlier, later) = whole.events().split_at(before);
    earlier.iter().for_each(|event| theirs.apply(&event.what));
    let mut unknown = Unknown { whole, over: Vec::new() };
    unknown.note(&theirs, earlier);
    let mut last = part.events().iter().filter(|event| !is_line_wait(part, event.what));
    for (index, event) in later.iter().enumerate() {
        theirs.apply(&event.what);
        if unknown.leaves_out(event.what) {
            continue;
        }
        let next = last.next().expect("an event that is told");
        assert_eq!(whole_event(whole, event), whole_event(part, next), "event {index}");
        ours.apply(&next.what);
        assert_eq!(
            said_without(whole, &theirs, &unknown.over),
            said_without(part, &ours, &[]),
            "after {index}"
        );
    }
    assert_eq!(last.next(), None);
}

fn is_line_wait(trace: &Trace, what: What) -> bool {
    let is_line = |on: u32| trace.resources()[on as usize].kind == ResourceKind::Line;
    matches!(what, What::Wait { on, .. } | What::Waited { on, .. } if is_line(on))
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn a_recorder_that_begins_in_the_middle_knows_what_stood_where() {
    let began = std::cell::Cell::new(0);
    property(1000, (programs(Just(None)), 1..5_u32), |(program, turn)| {
        let (whole, late) = (Recorder::in_memory(), Recorder::in_memory());
        let (theirs, mut turns) = (late.clone(), 0);
        let start = move |event| {
            turns += u32::from(event == Event::Turn);
            if event == Event::Turn && turns == turn {
                crate::record::start(&theirs);
            }
        };
        play(&program, Runtime::builder().probe(start).record(whole.clone()));
        // Some programs are over before that turn, and some with it.
        if let Some(late) = late.trace().ok().filter(|late| !late.events().is_empty()) {
            assert_same_from(&whole.trace().unwrap(), &late, turn + 1);
            began.set(began.get() + 1);
        }
    });
    assert!(began.get() > cases(1000) / 5, "{} of the recorders began", began.get());
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
    match r.below(22) {
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
        20 => What::Shutdown { step: small(r) },
        _ => What::Gap { dropped: any_number(r) },
    }
}

const TEXTS: [&str; 4] = ["", "eggs", "src/main.rs:40:5", "Füße 🦶"];

fn any_record(random: &mut Random) -> Record<'static> {
    let r = random;
    match r.below(14) {
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
        4 => Record::Socket {
            resource: any_resource(r),
            descriptor: maybe(r, small),
            local: maybe(r, small),
            peer: maybe(r, small),
        },
        5 => Record::State(Box::new(any_state(r))),
        _ => Record::Event { after: any_number(r), what: any_what(r) },
    }
}

fn any_state(r: &mut Random) -> Snapshot<TaskNo, ResourceNo> {
    let steps = [Step::Outside, Step::Poll, Step::Kernel, Step::Mail, Step::Timers];
    let tasks = |r: &mut Random| (0..r.below(4)).map(|_| any_task(r)).collect::<Vec<_>>();
    let timer =
        |r: &mut Random| Timer { timer: any_resource(r), deadline: any_number(r), task: maybe(r, any_task) };
    let waiter =
        |r: &mut Random| Waiter { task: maybe(r, any_task), on: any_resource(r), holder: maybe(r, any_task) };
    Snapshot {
        step: steps[r.below(5) as usize],
        turn: any_number(r),
        shutdown: small(r),
        is_partial: r.below(2) == 1,
        running: maybe(r, any_task),
        outside_is_next: r.below(2) == 1,
        live: any_number(r),
        tasks: tasks(r),
        outside: tasks(r),
        over: tasks(r),
        timers: (0..r.below(4)).map(|_| timer(r)).collect(),
        waiters: (0..r.below(4)).map(|_| waiter(r)).collect(),
        sources: (0..r.below(4)).map(|_| any_resource(r)).collect(),
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
        bytes.extend(noise.iter().map(|byte| if byte % 4 == 0 { *byte } else { byte % 22 }));
        assert_sane(&bytes);
    });
}

#[test]
fn what_is_no_trace_is_said_to_be_none() {
    let error = |bytes: &[u8]| Trace::from_bytes(bytes).unwrap_err().to_string();
    assert_eq!(error(b"hello, world"), "this is no trace of roundel: it does not begin like one");
    assert_eq!(error(b""), error(b"hello"));
    let newer = error(b"RNDLTRC\n\x03\0\0\0");
    assert_eq!(newer, "the trace has version 3 of the format, and this program reads version 2");
    let mut bytes = Vec::new();
    Header::default().write(&mut bytes);
    bytes.push(99);
    assert_eq!(
        error(&bytes),
        format!("the trace is broken at byte {}: no record begins with this byte", bytes.len() - 1)
    );
}

#[test]
fn a_loop_that_is_only_recorded_counts_no_wakers() {
    let counted = |detects: bool| {
        let runtime = Runtime::builder().record(Recorder::ring(10)).detect_deadlocks(detects);
        runtime.build().unwrap().block_on(std::future::poll_fn(|cx| {
            let clone = cx.waker().clone();
            std::task::Poll::Ready(count_clones(clone.data().addr(), 0))
        }))
    };
    assert_eq!((counted(false), counted(true)), (0, 1));
}

#[test]
fn a_loop_asks_its_flight_recorders_for_their_dumps() {
    let path = std::env::temp_dir().join(format!("roundel-dump-all-{}", std::process::id()));
    let flight = Recorder::ring(100).dump_on_deadlock(&path);
    let runtime = Runtime::builder().virtual_time(true).record(flight).record(Recorder::in_memory());
    let runtime = runtime.build().unwrap();
    runtime.block_on(async {
        crate::spawn_named("seen", async {}).await.unwrap();
        assert!(!path.exists());
        context::current().unwrap().probe.emit(|| Event::Deadlock);
    });
    let trace = Trace::read(std::fs::File::open(&path).unwrap()).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(trace.tasks().iter().any(|task| trace.text(task.name) == Some("seen")));
    let last = trace.events().iter().rev().find(|event| matches!(event.what, What::Poll { .. }));
    let Some(What::Poll { task }) = last.map(|event| event.what) else { panic!("it has polls") };
    assert_eq!(trace.tasks()[task as usize].slot, 0, "as far as the poll that asked");
}
