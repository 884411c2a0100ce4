//! Lab 11: a deadlock detector over the probe's events.
//!
//! Facts. The [probe](roundel::probe) reports each wait: the task, what it waits for, and the task that holds that, if it is
//! known. A task can wait for several things at once, and goes on as soon as one of them comes.
//!
//! What follows. The grader runs small programs with real locks, tells the detector every event, and asks it when nothing can
//! run any more. A detector that misses a deadlock is wrong, and so is one that gives a false alarm.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use roundel::probe::{Event, Resource};
use roundel::sync::Mutex;
use roundel::testing::settle;
use roundel::time::{sleep, timeout};
use roundel::{JoinHandle, Runtime, TaskId, spawn_named, task, yield_now};

use crate::check::{Check, ensure};
use crate::diary::act;
use crate::outcome::Outcome;

/// What the learner writes.
pub trait Detector: Default + 'static {
    /// The loop has done this.
    fn see(&mut self, event: Event);
    /// The tasks that can never go on, as far as is known now, in the order of their numbers.
    fn stuck(&self) -> Vec<TaskId>;
}

/// The checks of lab 11.
#[must_use]
pub fn checks<A: Detector>() -> Vec<Check> {
    vec![
        Check::new("two tasks that wait for each other's lock are stuck", opposite::<A>, CIRCLE),
        Check::new("a task that waits for a task that can go on is not stuck", holder_runs::<A>, HOLDER),
        Check::new("a task that awaits a stuck task is stuck, too", hangs_on::<A>, FIXPOINT),
        Check::new("three tasks in a circle are stuck", three::<A>, FIXPOINT),
        Check::new("a task that awaits a task that needs its lock is stuck", join::<A>, CIRCLE),
        Check::new("a task with a deadline is not stuck", deadline::<A>, ALL),
        Check::new("when a task of the circle is cancelled, none is stuck", cancelled::<A>, ENDED),
        Check::new("a lock that was passed on is not held by its old holder", passed_on::<A>, STALE),
    ]
}

const CIRCLE: &str = "Draw an arrow from each task that waits to the task that holds what it waits for. What do the arrows of a deadlock \
    look like?";
const HOLDER: &str = "Waiting is normal. A task is only stuck if nothing that it waits for can come. Can the holder still run?";
const FIXPOINT: &str = "Begin with all tasks that wait. Which of them can go on, because they wait for a task that is not among them? Take \
    those away, and ask again.";
const ALL: &str = "A task may wait for several things at once, as in a `timeout`. It goes on when one of them comes. So it is stuck only if \
    none can come.";
const ENDED: &str = "A wait begins with `WaitOn` and ends with `WaitDone`, also when it is given up. What is left of a wait that has ended?";
const STALE: &str = "The probe tells the holder when a wait begins. When another wait for the same thing ends, that thing has a new holder, \
    or the waiter has given up. What do you still know about the waits that go on?";

type Lock = Rc<Mutex<()>>;

/// A task, by its name if it has one.
fn name(task: TaskId) -> String {
    task::name(task).map_or_else(|| task.to_string(), |name| name.to_string())
}

fn names(tasks: &[TaskId]) -> String {
    if tasks.is_empty() {
        "none is stuck".to_owned()
    } else {
        tasks.iter().copied().map(name).collect::<Vec<_>>().join(", ")
    }
}

/// The events that matter here, in words.
fn tell(event: Event) {
    let what = |on| match on {
        Resource::Task(task) => format!("the end of {}", name(task)),
        Resource::Timer(_) => "a deadline".to_owned(),
        Resource::Line { what, number } => format!("{what} {number}"),
        other => format!("{other:?}"),
    };
    match event {
        Event::WaitOn { task: Some(task), on, holder } => {
            let holder = holder.filter(|holder| on != Resource::Task(*holder));
            let holder = holder.map_or(String::new(), |holder| format!(", which {} has", name(holder)));
            act(format_args!("{} waits for {}{holder}", name(task), what(on)));
        }
        Event::WaitDone { task: Some(task), on } => {
            act(format_args!("{} waits no longer for {}", name(task), what(on)));
        }
        _ => {}
    }
}

/// Runs a program, which returns the tasks that are stuck then, and asks the detector.
fn run<A: Detector>(program: impl AsyncFnOnce() -> Vec<TaskId>) -> Outcome {
    let detector = Rc::new(RefCell::new(A::default()));
    let sees = detector.clone();
    let builder = Runtime::builder().probe(move |event| {
        tell(event);
        sees.borrow_mut().see(event);
    });
    let runtime = builder.build().expect("a runtime can be built");
    runtime.block_on(async {
        let expected = program().await;
        let seen = detector.borrow().stuck();
        ensure(seen == expected, names(&expected), names(&seen))
    })
}

fn locks<const N: usize>() -> [Lock; N] {
    std::array::from_fn(|_| Rc::new(Mutex::new(())))
}

/// Takes one lock, lets others run, and takes the other.
async fn needs_both(one: Lock, other: Lock) {
    let _one = one.lock().await;
    yield_now().await;
    let _other = other.lock().await;
}

fn ids<const N: usize>(tasks: [&JoinHandle<()>; N]) -> Vec<TaskId> {
    tasks.map(JoinHandle::id).to_vec()
}

const HOUR: Duration = Duration::from_secs(3600);

fn opposite<A: Detector>() -> Outcome {
    run::<A>(async || {
        let [one, two] = locks();
        let ann = spawn_named("ann", needs_both(one.clone(), two.clone()));
        let bob = spawn_named("bob", needs_both(two, one));
        settle().await;
        ids([&ann, &bob])
    })
}

fn holder_runs<A: Detector>() -> Outcome {
    run::<A>(async || {
        let [lock] = locks();
        let theirs = lock.clone();
        let _ann = spawn_named("ann", async move {
            let _held = theirs.lock().await;
            sleep(HOUR).await;
        });
        let _bob = spawn_named("bob", async move { drop(lock.lock().await) });
        settle().await;
        Vec::new()
    })
}

fn hangs_on<A: Detector>() -> Outcome {
    run::<A>(async || {
        let [one, two] = locks();
        let ann = spawn_named("ann", needs_both(one.clone(), two.clone()));
        let bob = spawn_named("bob", needs_both(two, one));
        let stuck = ids([&ann, &bob]);
        let cat = spawn_named("cat", async move { drop(ann.await) });
        settle().await;
        [stuck, ids([&cat])].concat()
    })
}

fn three<A: Detector>() -> Outcome {
    run::<A>(async || {
        let [one, two, three] = locks();
        let ann = spawn_named("ann", needs_both(one.clone(), two.clone()));
        let bob = spawn_named("bob", needs_both(two, three.clone()));
        let cat = spawn_named("cat", needs_both(three, one));
        settle().await;
        ids([&ann, &bob, &cat])
    })
}

fn join<A: Detector>() -> Outcome {
    run::<A>(async || {
        let [lock] = locks();
        let (theirs, bob_is) = (lock.clone(), Rc::new(RefCell::new(None)));
        let told = bob_is.clone();
        let ann = spawn_named("ann", async move {
            let _held = lock.lock().await;
            let bob = spawn_named("bob", async move { drop(theirs.lock().await) });
            told.replace(Some(bob.id()));
            drop(bob.await);
        });
        settle().await;
        let bob = bob_is.take().expect("ann has spawned bob");
        vec![ann.id(), bob]
    })
}

fn deadline<A: Detector>() -> Outcome {
    run::<A>(async || {
        let [one, two] = locks();
        let _ann = spawn_named("ann", needs_both(one.clone(), two.clone()));
        let _bob = spawn_named("bob", async move {
            let _two = two.lock().await;
            yield_now().await;
            let _one = timeout(HOUR, one.lock()).await;
        });
        settle().await;
        Vec::new()
    })
}

fn cancelled<A: Detector>() -> Outcome {
    run::<A>(async || {
        let [one, two] = locks();
        let ann = spawn_named("ann", needs_both(one.clone(), two.clone()));
        let bob = spawn_named("bob", needs_both(two, one.clone()));
        settle().await;
        act("bob is cancelled");
        bob.cancel();
        settle().await;
        drop(ann);
        Vec::new()
    })
}

/// The task `ann` passes the lock on to `bob`, which sleeps with it. Then it awaits `cat`, which waits for the lock.
fn passed_on<A: Detector>() -> Outcome {
    run::<A>(async || {
        let [lock] = locks();
        let _ann = spawn_named("ann", async move {
            let held = lock.lock().await;
            let (bobs, cats) = (lock.clone(), lock.clone());
            let _bob = spawn_named("bob", async move {
                let _held = bobs.lock().await;
                sleep(HOUR).await;
            });
            let cat = spawn_named("cat", async move { drop(cats.lock().await) });
            yield_now().await;
            drop(held);
            drop(cat.await);
        });
        settle().await;
        Vec::new()
    })
}
