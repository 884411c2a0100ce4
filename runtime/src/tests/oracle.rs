//! Number wakers against the textbook's `Arc<impl Wake>`: the same programs have to take the same course.
//!
//! No program may depend on what a waker is made of. So random programs are run twice, each time on a fresh runtime
//! with virtual time. The first run uses our wakers. In the second, every waker of the loop is an allocation with a
//! reference count, as in safe Rust. The test compares two things. The *trace* says which task did what, at which
//! virtual time, and with which result; and which future and which output was dropped when. The events of the probe are
//! compared one by one. Half of the programs run with a shuffled queue, so that their course depends on every single
//! wake: one wake too many changes all later random choices.
//!
//! The two kinds take different paths inside. A number is kept as a number, and woken without calling other code; a
//! foreign waker is cloned, kept among the extras and called. Yet even the order of the events has to be the same. Only
//! the meaning of a number may differ: two runtimes that follow each other have the same number but other serials, so
//! serials are counted from the first one.
//!
//! Each run is also checked against what holds for all programs: the laws of the queue (`assert_lawful`), and that
//! every future and every output was dropped once by the end.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any};

use super::{Word, assert_lawful, property};
use crate::builder::Builder;
use crate::core::clock::Nanos;
use crate::core::context;
use crate::core::id::{MAX_SERIAL, TaskId};
use crate::core::probe::{Event, Resource};
use crate::core::waker;
use crate::error::JoinError;
use crate::join::JoinHandle;
use crate::runtime::Runtime;
use crate::task::{spawn, yield_now};
use crate::time;

/// How many handles and wakers the tasks of a program share.
const SHARED: usize = 3;
/// How many tasks a program may have.
const MOST_TASKS: u32 = 30;

/// A place among the shared handles or wakers, or a script; taken modulo their number.
type Which = usize;

/// One step of a task.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Runs a later script as a new task, and shares its handle.
    Spawn(Which, Which),
    Yield,
    Sleep(u64),
    /// Shares its waker, and gives way until another task wakes it.
    Park(Which),
    Wake(Which),
    /// Wakes, and leaves the waker for others: it may be used long after its task is gone.
    WakeByRef(Which),
    /// Cancels any task, possibly itself.
    Cancel(Which),
    Detach(Which),
    Join(Which),
    /// Polls a handle once and puts it back: another task may await it next.
    Glance(Which),
    /// Awaits a task with a timeout.
    JoinWithin(Which, u64),
    Panic,
    /// Does this when the future is dropped.
    AtLast(Last),
}

/// What a destructor does.
#[derive(Clone, Copy, Debug)]
enum Last {
    Wake(Which),
    Spawn(Which, Which),
    Cancel(Which),
    Detach(Which),
    Panic,
}

#[derive(Clone, Debug)]
pub(super) struct Program {
    scripts: Vec<Vec<Step>>,
    seed: Option<u64>,
}

/// What happened, to which task, and when. After the end of the loop there is no time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    label: u32,
    what: What,
    at: Option<Nanos>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Begins,
    Does(usize),
    /// The result of the last step.
    Sees(Found),
    Returns,
    FutureDropped,
    OutputDropped,
    Last(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    Nothing,
    NotYet,
    Itself,
    Returned(u32),
    Panicked(u32),
    Cancelled,
}

/// What the tasks of one run share.
struct World {
    scripts: Vec<Vec<Step>>,
    labels: Cell<u32>,
    handles: [RefCell<Option<JoinHandle<Output>>>; SHARED],
    wakers: [RefCell<Option<Waker>>; SHARED],
    trace: RefCell<Vec<Entry>>,
}

/// What a task returns: its label.
struct Output(DropRecord);

/// Records when it is dropped, under the label of a task.
struct DropRecord {
    world: Rc<World>,
    label: u32,
    what: What,
}

impl Drop for DropRecord {
    fn drop(&mut self) {
        self.world.record(self.label, self.what);
    }
}

/// A step that a task does when its future is dropped.
struct AtDrop {
    world: Rc<World>,
    label: u32,
    script: usize,
    step: usize,
    last: Last,
}

impl Drop for AtDrop {
    fn drop(&mut self) {
        self.world.record(self.label, What::Last(self.step));
        match self.last {
            Last::Wake(which) => self.world.wake(which),
            Last::Spawn(script, place) => self.world.spawn(self.script, script, place),
            Last::Cancel(which) => self.world.cancel(which),
            Last::Detach(which) => drop(self.world.take_handle(which)),
            // A second panic while the first is on its way would end the process.
            Last::Panic if !std::thread::panicking() => resume_unwind(Box::new(self.label)),
            Last::Panic => {}
        }
    }
}

impl World {
    fn new(scripts: &[Vec<Step>]) -> Rc<World> {
        Rc::new(World {
            scripts: scripts.to_vec(),
            labels: Cell::new(0),
            handles: Default::default(),
            wakers: Default::default(),
            trace: RefCell::default(),
        })
    }

    fn record(&self, label: u32, what: What) {
        let at = context::current().map(|context| context.clock.now());
        self.trace.borrow_mut().push(Entry { label, what, at });
    }

    // Wakers and handles are taken out of their cells before they are woken, cancelled or dropped: this test has to
    // keep invariant 4, too.

    fn wake(&self, which: Which) {
        let waker = self.wakers[which % SHARED].take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn wake_by_ref(&self, which: Which) {
        let waker = self.wakers[which % SHARED].borrow().clone();
        waker.iter().for_each(Waker::wake_by_ref);
    }

    fn take_handle(&self, which: Which) -> Option<JoinHandle<Output>> {
        self.handles[which % SHARED].take()
    }

    /// If another handle has come to this place in the meantime, it is dropped, which detaches its task.
    fn put_handle(&self, which: Which, handle: JoinHandle<Output>) {
        let before = self.handles[which % SHARED].replace(Some(handle));
        drop(before);
    }

    fn cancel(&self, which: Which) {
        if let Some(handle) = self.take_handle(which) {
            handle.cancel();
            self.put_handle(which, handle);
        }
    }

    /// Spawns a script that comes later than `mine`, so that the program ends.
    fn spawn(self: &Rc<World>, mine: usize, script: Which, place: Which) {
        let later = self.scripts.len() - mine - 1;
        if later > 0 && self.labels.get() < MOST_TASKS {
            let handle = self.spawn_script(mine + 1 + script % later);
            self.put_handle(place, handle);
        }
    }

    fn spawn_script(self: &Rc<World>, script: usize) -> JoinHandle<Output> {
        let label = self.labels.get();
        self.labels.set(label + 1);
        let at_drop = Rc::default();
        let life = Box::pin(live(Rc::clone(self), label, script, Rc::clone(&at_drop)));
        spawn(Recorded { life, _dropped: self.drop_record(label, What::FutureDropped), _at_drop: at_drop })
    }

    fn drop_record(self: &Rc<World>, label: u32, what: What) -> DropRecord {
        DropRecord { world: Rc::clone(self), label, what }
    }
}

/// The future of a task. It owns the steps that are done at its drop; its inner future does not. Otherwise, if one of
/// them panicked when the inner future returns, the language would forget the output, and the loop could not drop it.
struct Recorded {
    life: Pin<Box<dyn Future<Output = Output>>>,
    _dropped: DropRecord,
    _at_drop: Rc<RefCell<Vec<AtDrop>>>,
}

impl Future for Recorded {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        self.life.as_mut().poll(cx)
    }
}

async fn live(world: Rc<World>, label: u32, script: usize, at_drop: Rc<RefCell<Vec<AtDrop>>>) -> Output {
    world.record(label, What::Begins);
    for (number, step) in world.scripts[script].iter().enumerate() {
        world.record(label, What::Does(number));
        // Some steps need the task itself; `perform` does the others.
        match *step {
            Step::AtLast(last) => {
                let world = Rc::clone(&world);
                at_drop.borrow_mut().push(AtDrop { world, label, script, step: number, last });
            }
            Step::Spawn(child, place) => world.spawn(script, child, place),
            Step::Panic => resume_unwind(Box::new(label)),
            step => {
                if let Some(found) = perform(&world, step).await {
                    world.record(label, What::Sees(found));
                }
            }
        }
    }
    world.record(label, What::Returns);
    Output(world.drop_record(label, What::OutputDropped))
}

/// Does the steps that need nothing of their task.
async fn perform(world: &Rc<World>, step: Step) -> Option<Found> {
    match step {
        Step::Yield => yield_now().await,
        Step::Sleep(millis) => time::sleep(Duration::from_millis(millis)).await,
        Step::Park(which) => park(world, which).await,
        Step::Wake(which) => world.wake(which),
        Step::WakeByRef(which) => world.wake_by_ref(which),
        Step::Cancel(which) => world.cancel(which),
        Step::Detach(which) => drop(world.take_handle(which)),
        Step::Join(which) => return Some(join(world, which).await),
        Step::Glance(which) => return Some(glance(world, which).await),
        Step::JoinWithin(which, millis) => return Some(join_within(world, which, millis).await),
        Step::Spawn(..) | Step::Panic | Step::AtLast(_) => unreachable!("its task does this"),
    }
    None
}

async fn park(world: &World, which: Which) {
    let mut parked = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut parked, true) {
            return Poll::Ready(());
        }
        let before = world.wakers[which % SHARED].replace(Some(cx.waker().clone()));
        drop(before);
        Poll::Pending
    })
    .await;
}

/// The handle, unless it is missing or belongs to the running task, which must not await itself.
fn take_other(world: &World, which: Which) -> Result<JoinHandle<Output>, Found> {
    let handle = world.take_handle(which).ok_or(Found::Nothing)?;
    if Some(handle.id()) == context::current().and_then(|context| context.executor.running()) {
        world.put_handle(which, handle);
        return Err(Found::Itself);
    }
    Ok(handle)
}

async fn join(world: &World, which: Which) -> Found {
    match take_other(world, which) {
        Ok(handle) => found(handle.await),
        Err(found) => found,
    }
}

async fn glance(world: &World, which: Which) -> Found {
    let mut handle = match take_other(world, which) {
        Ok(handle) => handle,
        Err(found) => return found,
    };
    match poll_fn(|cx| Poll::Ready(Pin::new(&mut handle).poll(cx))).await {
        Poll::Ready(result) => found(result),
        Poll::Pending => {
            world.put_handle(which, handle);
            Found::NotYet
        }
    }
}

async fn join_within(world: &World, which: Which, millis: u64) -> Found {
    let mut handle = match take_other(world, which) {
        Ok(handle) => handle,
        Err(found) => return found,
    };
    match time::timeout(Duration::from_millis(millis), &mut handle).await {
        Ok(result) => found(result),
        Err(_) => {
            world.put_handle(which, handle);
            Found::NotYet
        }
    }
}

fn found(result: Result<Output, JoinError>) -> Found {
    match result {
        Ok(output) => Found::Returned(output.0.label),
        Err(error) if error.is_cancelled() => Found::Cancelled,
        Err(error) => match error.into_panic().downcast::<u32>() {
            Ok(label) => Found::Panicked(*label),
            Err(payload) => resume_unwind(payload),
        },
    }
}

/// Everything that a run has recorded.
struct Run {
    trace: Vec<Entry>,
    events: Vec<Event>,
}

/// Runs a program from its first spawn to the last destructor.
fn run(program: &Program) -> Run {
    let events = Rc::new(RefCell::new(Vec::new()));
    let builder = Runtime::builder();
    // Without a watcher there are no events, and the traces are still compared.
    #[cfg(feature = "diagnostics")]
    let builder = {
        let sink = Rc::clone(&events);
        builder.probe(move |event| sink.borrow_mut().push(event))
    };
    let run = play(program, builder);
    let run = Run { trace: run, events: normal(&events.borrow()) };
    assert_lawful(&run.events);
    run
}

/// Runs a program on virtual time, on a runtime that watches it in some way.
pub(super) fn play(program: &Program, builder: Builder) -> Vec<Entry> {
    let builder = builder.virtual_time(true);
    let builder = match program.seed {
        Some(seed) => builder.shuffle(seed),
        None => builder,
    };
    let runtime = builder.build().unwrap();
    let world = World::new(&program.scripts);
    runtime.block_on(async {
        let first = world.spawn_script(0);
        // A program may get stuck; then virtual time passes quickly.
        let ended = time::timeout(Duration::from_secs(1000), first).await;
        world.record(u32::MAX, What::Sees(ended.map_or(Found::NotYet, found)));
        time::sleep(Duration::from_millis(20)).await;
    });
    drop(runtime);
    // Wakers that are used after the end of the runtime wake no task.
    (0..SHARED).for_each(|which| world.wake_by_ref(which));
    (0..SHARED).for_each(|which| drop(world.take_handle(which)));
    (0..SHARED).for_each(|which| world.wake(which));
    let trace = world.trace.take();
    assert_eq!(Rc::strong_count(&world), 1, "a task lives on");
    assert_conserved(&trace, world.labels.get());
    trace
}

/// Each future was dropped once, with its runtime at the latest, and each output was dropped once.
fn assert_conserved(trace: &[Entry], tasks: u32) {
    let count = |label, what| trace.iter().filter(|entry| entry.label == label && entry.what == what).count();
    for label in 0..tasks {
        assert_eq!(count(label, What::FutureDropped), 1, "the future of task {label}");
        let (returned, dropped) = (count(label, What::Returns), count(label, What::OutputDropped));
        assert_eq!(returned, dropped, "the output of task {label}");
    }
    let late = |entry: &&Entry| entry.what == What::FutureDropped && entry.at.is_none();
    assert_eq!(trace.iter().find(late), None, "a future outlived its runtime");
}

/// The same events without deadlocks, with the numbers of a runtime that has the number 0 and begins with the serial 1.
fn normal(events: &[Event]) -> Vec<Event> {
    let Some(Event::Spawn { task: first, .. }) = events.first() else { return Vec::new() };
    // Shift the serials so that the first task has serial 1.
    let shift = MAX_SERIAL - first.serial();
    let id = |task: TaskId| TaskId::new(0, (task.serial() + shift) % MAX_SERIAL + 1, task.slot());
    let resource = |on| if let Resource::Task(task) = on { Resource::Task(id(task)) } else { on };
    let normal = |event: &Event| match *event {
        Event::Spawn { task, by } => Event::Spawn { task: id(task), by: by.map(id) },
        Event::Wake { task, by } => Event::Wake { task: id(task), by: by.map(id) },
        Event::Cancel { task, by } => Event::Cancel { task: id(task), by: by.map(id) },
        Event::Spent { task } => Event::Spent { task: task.map(id) },
        Event::PollBegin { task } => Event::PollBegin { task: id(task) },
        Event::PollEnd { task, ready } => Event::PollEnd { task: id(task), ready },
        Event::Done { task, end } => Event::Done { task: id(task), end },
        Event::Unheard { task } => Event::Unheard { task: id(task) },
        Event::Held { on, holder } => Event::Held { on, holder: holder.map(id) },
        Event::WaitOn { task, on, holder } => {
            Event::WaitOn { task: task.map(id), on: resource(on), holder: holder.map(id) }
        }
        Event::WaitDone { task, on } => Event::WaitDone { task: task.map(id), on: resource(on) },
        other => other,
    };
    // A waker of the oracle is no number, so the detector does not know which task it would wake.
    events.iter().filter(|event| **event != Event::Deadlock).map(normal).collect()
}

/// Runs a program with wakers of the other kind. A panic is held back until they are switched off again.
fn run_with_oracle(program: &Program) -> Run {
    let run = waker::oracle::with(|| catch_unwind(AssertUnwindSafe(|| run(program))));
    run.unwrap_or_else(|payload| resume_unwind(payload))
}

fn assert_same(program: &Program) {
    let (ours, theirs) = (run(program), run_with_oracle(program));
    assert_eq!(ours.trace, theirs.trace, "numbers (left) against the oracle");
    assert_eq!(ours.events, theirs.events, "numbers (left) against the oracle");
}

fn last(word: &mut Word) -> Last {
    match word.take(9) {
        0..=2 => Last::Wake(word.which()),
        3 | 4 => Last::Spawn(word.which(), word.which()),
        5 | 6 => Last::Cancel(word.which()),
        7 => Last::Detach(word.which()),
        _ => Last::Panic,
    }
}

fn step(mut word: Word) -> Step {
    match word.take(35) {
        0..=2 => Step::Yield,
        3..=6 => Step::Spawn(word.which(), word.which()),
        7 | 8 => Step::Sleep(word.take(4)),
        9..=11 => Step::Park(word.which()),
        12..=14 => Step::Wake(word.which()),
        15 | 16 => Step::WakeByRef(word.which()),
        17..=19 => Step::Cancel(word.which()),
        20 => Step::Detach(word.which()),
        21..=24 => Step::Join(word.which()),
        25 | 26 => Step::Glance(word.which()),
        27 | 28 => Step::JoinWithin(word.which(), word.take(4)),
        29 => Step::Panic,
        _ => Step::AtLast(last(&mut word)),
    }
}

/// The first script begins by spawning some others, so that several tasks run.
pub(super) fn programs(seed: impl Strategy<Value = Option<u64>>) -> impl Strategy<Value = Program> {
    let scripts = vec(vec(any::<u64>(), 0..10), 1..8);
    (scripts, 0..6_usize, seed).prop_map(|(words, company, seed)| {
        let script = |words: Vec<u64>| words.into_iter().map(|word| step(Word::new(word))).collect();
        let mut scripts: Vec<Vec<Step>> = words.into_iter().map(script).collect();
        scripts[0].splice(0..0, (0..company).map(|which| Step::Spawn(which, which)));
        Program { scripts, seed }
    })
}

#[test]
#[cfg_attr(miri, ignore = "the loop does not drop the wakers that it polls with: those of the oracle leak")]
fn programs_run_the_same_with_either_kind_of_waker() {
    property(4000, programs(Just(None)), |program| assert_same(&program));
}

#[test]
#[cfg_attr(miri, ignore = "the loop does not drop the wakers that it polls with: those of the oracle leak")]
fn shuffled_programs_run_the_same_with_either_kind_of_waker() {
    property(4000, programs(any::<u64>().prop_map(Some)), |program| assert_same(&program));
}

#[test]
fn a_program_takes_the_same_course_twice() {
    property(200, programs(option::of(any::<u64>())), |program| {
        let (once, again) = (run(&program), run(&program));
        assert_eq!(once.trace, again.trace);
        assert_eq!(once.events, again.events);
    });
}

/// The generator is useful only if its programs do things. This test checks that they do.
#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn the_programs_are_not_idle() {
    let seen = RefCell::new(Vec::<(u32, &str)>::new());
    let count = |what: &'static str, times: usize| {
        let mut seen = seen.borrow_mut();
        match seen.iter_mut().find(|(_, other)| *other == what) {
            Some((sum, _)) => *sum += times as u32,
            None => seen.push((times as u32, what)),
        }
    };
    // Count what happens in 200 programs, from the trace and from the events of the probe.
    property(200, programs(Just(None)), |program| {
        let run = run(&program);
        let found = |wanted: fn(&What) -> bool| run.trace.iter().filter(|entry| wanted(&entry.what)).count();
        count("a task returned", found(|what| *what == What::Returns));
        count("a join gave a result", found(|what| matches!(what, What::Sees(Found::Returned(_)))));
        count("a join gave a panic", found(|what| matches!(what, What::Sees(Found::Panicked(_)))));
        count("a join found it cancelled", found(|what| *what == What::Sees(Found::Cancelled)));
        count("a join was given up", found(|what| *what == What::Sees(Found::NotYet)));
        count("a destructor did something", found(|what| matches!(what, What::Last(_))));
        let wakes = run.events.iter().filter(|event| matches!(event, Event::Wake { by: Some(_), .. }));
        count("a task woke another", wakes.count());
        let timers = run.events.iter().filter(|event| matches!(event, Event::TimerFired { .. }));
        count("a timer fired", timers.count());
    });
    // Each thing has to happen often.
    for (times, what) in seen.take() {
        eprintln!("{what}: {times}");
        assert!(times >= 20 || cfg!(miri), "{what}: {times} times in 200 programs");
    }
}
