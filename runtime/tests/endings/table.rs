//! Every way in which a task can end, combined with everything that it can have. The tests check what is dropped, where
//! and how often, what still runs, and what the handle says.
//!
//! Each case is a small program with one task. What it should do follows from the rules in [`expected`]:
//!
//! | | its future | its cleanup | what its destructor spawns | its handle |
//! |---|---|---|---|---|
//! | returns | dropped once, inside its loop | done before the handle is answered | is done | has the output |
//! | panics | the same | the same | the same | has the first panic |
//! | is cancelled: by its handle, by a destructor, under another loop, outside any loop | the same, when `cancel` returns | done by its own loop, in the next `block_on` or at the end | the same | says so, after the cleanup |
//! | shutdown | the same | the same | the same | says so |
//! | its runtime is dropped inside another loop | the same | done, if it need not wait | the same | says so |

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Once, mpsc};
use std::task::{Context, Poll};
use std::time::Instant;

use roundel::blocking::unblock;
use roundel::cancel::with_cleanup;
use roundel::{JoinError, time, yield_now};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Returns,
    Panics,
    CancelledByHandle,
    CancelledByADestructor,
    CancelledUnderAnotherLoop,
    CancelledOutsideAnyLoop,
    Shutdown,
    DroppedInsideAnotherLoop,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Cleanup {
    None,
    Ready,
    Sleeps,
    UsesAThread,
    Panics,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    way: Way,
    cleanup: Cleanup,
    /// Its destructor spawns a task.
    spawns: bool,
    /// Its destructor panics.
    bomb: bool,
    /// Its handle is dropped at once.
    detached: bool,
    /// The runtime is dropped right after the cancel.
    dropped: bool,
    virtual_time: bool,
}

impl Case {
    /// On the real clock no sleep is waited for, and it must not be over by itself, however long the thread is held up.
    fn cut_sleep(self) -> Duration {
        if self.virtual_time { Duration::ZERO } else { seconds(3600) }
    }
}

/// What the handle says.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Output,
    Cancelled,
    Unfetched,
    Panicked(&'static str),
}

/// What happened, and how often.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    future_dropped: u32,
    output_dropped: u32,
    cleanup_done: u32,
    spawned_done: u32,
    spawned_dropped: u32,
    /// Something ran or was dropped outside its own loop.
    elsewhere: u32,
    /// The handle got its answer before the cleanup was done.
    answered_early: bool,
    /// The future was still there when `cancel` had returned.
    dropped_late: bool,
    answer: Option<Answer>,
}

const BOMB: &str = "expected: the bomb";
const BODY: &str = "expected: the body";
const CLEANUP: &str = "expected: the cleanup";

fn expected(case: Case) -> Seen {
    let Case { way, cleanup, spawns, bomb, detached, virtual_time, .. } = case;
    // If there is no real time to wait, the thread has none either.
    let no_wait = way == Way::DroppedInsideAnotherLoop;
    let cut = no_wait && (cleanup == Cleanup::UsesAThread || cleanup == Cleanup::Sleeps && !virtual_time);
    let runs = !matches!(cleanup, Cleanup::None | Cleanup::Panics) && !cut;
    let spawned = u32::from(spawns);
    // If it was spawned before the shutdown, it is cancelled like any other task.
    let cancelled_first = case.dropped
        && !matches!(way, Way::Returns | Way::Panics | Way::Shutdown | Way::DroppedInsideAnotherLoop);
    // Virtual time stands still while the thread is busy.
    let too_late = cancelled_first || no_wait && (!virtual_time || cleanup == Cleanup::UsesAThread);
    // The first panic: a body and a cleanup are polled before the future of a task that ends by itself is dropped.
    let panics = [
        (way == Way::Panics).then_some(BODY),
        (way == Way::Returns && cleanup == Cleanup::Panics).then_some(CLEANUP),
        bomb.then_some(BOMB),
        (cleanup == Cleanup::Panics).then_some(CLEANUP),
    ];
    let panic = panics.into_iter().flatten().next();
    let answer = match (way, panic) {
        (_, Some(panic)) => Answer::Panicked(panic),
        (Way::Returns, None) if case.dropped => Answer::Unfetched,
        (Way::Returns, None) => Answer::Output,
        _ => Answer::Cancelled,
    };
    Seen {
        future_dropped: 1,
        // A panic on the way drops it, too.
        output_dropped: u32::from(way == Way::Returns),
        cleanup_done: u32::from(runs),
        spawned_done: if too_late { 0 } else { spawned },
        spawned_dropped: spawned,
        answer: (!detached).then_some(answer),
        ..Seen::default()
    }
}

/// What the parts of a case share.
#[derive(Clone)]
struct Notes {
    seen: Rc<RefCell<Seen>>,
    /// Before this time the task's own loop runs. The clock of the other loop is far ahead.
    own_until: Instant,
    /// Keeps a thread busy until nothing waits for it any more.
    gate: Rc<RefCell<Option<mpsc::Sender<()>>>>,
}

impl Notes {
    fn note(&self, what: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.borrow_mut();
        what(&mut seen);
        let own = roundel::task::current().is_some() && time::now() < self.own_until;
        seen.elsewhere += u32::from(!own);
    }
}

/// The task's future. Its fields are dropped in this order.
struct Task {
    inner: Pin<Box<dyn Future<Output = Output>>>,
    _guard: OnDrop<Box<dyn FnMut()>>,
    _bomb: Option<Bomb>,
}

type Output = OnDrop<Box<dyn FnMut()>>;

impl Future for Task {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        self.inner.as_mut().poll(cx)
    }
}

fn task(case: Case, notes: &Notes) -> Task {
    let output = notes.clone();
    let body = async move {
        yield_now().await;
        match case.way {
            Way::Returns => {
                // The output may be fetched. Then the task that awaits the handle drops it.
                let drop: Box<dyn FnMut()> = Box::new(move || output.seen.borrow_mut().output_dropped += 1);
                OnDrop(drop)
            }
            Way::Panics => panic!("{BODY}"),
            _ => pending().await,
        }
    };
    let theirs = notes.clone();
    let (opens, gate) = mpsc::channel::<()>();
    if case.way == Way::DroppedInsideAnotherLoop {
        notes.gate.replace(Some(opens));
    }
    let cleanup = async move || {
        match case.cleanup {
            Cleanup::Sleeps => time::sleep(seconds(3).max(case.cut_sleep())).await,
            Cleanup::UsesAThread => drop(unblock(move || gate.recv()).await.unwrap()),
            Cleanup::Panics => panic!("{CLEANUP}"),
            Cleanup::Ready | Cleanup::None => {}
        }
        theirs.note(|seen| seen.cleanup_done += 1);
    };
    let guard = notes.clone();
    let drop: Box<dyn FnMut()> = Box::new(move || {
        guard.note(|seen| seen.future_dropped += 1);
        if case.spawns {
            spawn_child(&guard, seconds(1).max(case.cut_sleep()));
        }
    });
    Task {
        inner: match case.cleanup {
            Cleanup::None => Box::pin(body),
            _ => Box::pin(with_cleanup(body, cleanup)),
        },
        _guard: OnDrop(drop),
        _bomb: case.bomb.then(|| Bomb(BOMB)),
    }
}

fn spawn_child(notes: &Notes, pause: Duration) {
    let (ends, dropped) = (notes.clone(), notes.clone());
    let guard = OnDrop(move || dropped.note(|seen| seen.spawned_dropped += 1));
    spawn(async move {
        let _guard = guard;
        time::sleep(pause).await;
        ends.note(|seen| seen.spawned_done += 1);
    })
    .detach();
}

/// Ends the task in the way that the case prescribes.
fn end(case: Case, runtime: &mut Option<Runtime>, other: &Runtime, handle: Option<&Rc<JoinHandle<Output>>>) {
    let own = runtime.as_ref().unwrap();
    match (case.way, handle) {
        (Way::CancelledByHandle, Some(handle)) => own.block_on(async { handle.cancel() }),
        (Way::CancelledByADestructor, Some(handle)) => own.block_on(async {
            let handle = Rc::clone(handle);
            let canceller = spawn_with_last_word(move || handle.cancel());
            yield_now().await;
            canceller.cancel();
        }),
        (Way::CancelledUnderAnotherLoop, Some(handle)) => other.block_on(async { handle.cancel() }),
        (Way::CancelledOutsideAnyLoop, Some(handle)) => handle.cancel(),
        (Way::Shutdown, _) => drop(runtime.take()),
        (Way::DroppedInsideAnotherLoop, _) => other.block_on(async { drop(runtime.take()) }),
        _ => {}
    }
}

fn answer(result: Result<Output, JoinError>) -> Answer {
    let error = match result {
        Ok(_output) => return Answer::Output,
        Err(error) => error.to_string(),
    };
    let panic = [BOMB, BODY, CLEANUP].into_iter().find(|words| error.ends_with(words));
    match panic {
        Some(words) => Answer::Panicked(words),
        None if error.contains("before its output was fetched") => Answer::Unfetched,
        None => Answer::Cancelled,
    }
}

fn perform(case: Case) -> Seen {
    let other = virtual_runtime();
    other.block_on(time_passes(1_000_000));
    let own_until = other.block_on(async { time::now() }) - seconds(500_000);
    let notes = Notes { seen: Rc::default(), own_until, gate: Rc::default() };
    let mut runtime = Some(patient(Runtime::builder().virtual_time(case.virtual_time)));
    let handle = runtime.as_ref().unwrap().block_on(async {
        let handle = spawn(task(case, &notes));
        let handle = if case.detached { None } else { Some(Rc::new(handle)) };
        match case.virtual_time {
            true => time::sleep(seconds(10)).await,
            false => yield_now().await,
        }
        handle
    });
    end(case, &mut runtime, &other, handle.as_ref());
    let late = notes.seen.borrow().future_dropped == 0;
    notes.seen.borrow_mut().dropped_late = late;
    if case.dropped {
        drop(runtime.take());
    }
    finish(case, &notes, runtime, &other, handle.map(|handle| Rc::into_inner(handle).unwrap()));
    notes.seen.take()
}

async fn time_passes(n: u64) {
    yield_now().await;
    time::sleep(seconds(n)).await;
}

/// Fetches the answer, and lets everything else happen.
fn finish(
    case: Case,
    notes: &Notes,
    runtime: Option<Runtime>,
    other: &Runtime,
    handle: Option<JoinHandle<Output>>,
) {
    let done = Cell::new(0);
    if let Some(handle) = handle {
        let answered = runtime.as_ref().unwrap_or(other).block_on(async {
            let answered = answer(handle.await);
            done.set(notes.seen.borrow().cleanup_done);
            answered
        });
        let early = done.get() < expected(case).cleanup_done;
        let mut seen = notes.seen.borrow_mut();
        (seen.answer, seen.answered_early) = (Some(answered), early);
    }
    if let Some(runtime) = &runtime {
        runtime.block_on(time_passes(100));
    }
    drop(runtime);
}

/// All combinations that make sense.
fn cases() -> Vec<Case> {
    use Way::*;
    let ways = [
        Returns,
        Panics,
        CancelledByHandle,
        CancelledByADestructor,
        CancelledUnderAnotherLoop,
        CancelledOutsideAnyLoop,
        Shutdown,
        DroppedInsideAnotherLoop,
    ];
    let cleanups = [Cleanup::None, Cleanup::Ready, Cleanup::Sleeps, Cleanup::UsesAThread, Cleanup::Panics];
    let mut cases = Vec::new();
    for (way, cleanup) in ways.into_iter().flat_map(|way| cleanups.map(|cleanup| (way, cleanup))) {
        for bits in 0..32 {
            let bit = |n: u32| bits >> n & 1 == 1;
            let case = Case {
                way,
                cleanup,
                spawns: bit(0),
                bomb: bit(1),
                detached: bit(2),
                dropped: bit(3) || matches!(way, Shutdown | DroppedInsideAnotherLoop),
                virtual_time: !bit(4),
            };
            let ends_by_itself = matches!(way, Returns | Panics);
            let by_handle = !ends_by_itself && !matches!(way, Shutdown | DroppedInsideAnotherLoop);
            let sense = (!case.detached || !by_handle)
                && (case.virtual_time || way == DroppedInsideAnotherLoop)
                && !(bit(3) && matches!(way, Shutdown | DroppedInsideAnotherLoop));
            cases.extend(sense.then_some(case));
        }
    }
    cases
}

/// Many panics are expected here. Their reports would hide an unexpected one.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let words = info.payload().downcast_ref::<&str>();
            if !words.is_some_and(|words| words.starts_with("expected")) {
                report(info);
            }
        }));
    });
}

#[test]
fn however_a_task_ends_what_it_has_ends_as_was_promised() {
    let _watchdog = common::watchdog();
    quiet();
    let step = if cfg!(miri) { 17 } else { 1 };
    let cases = cases();
    assert!(cases.len() > 300, "{}", cases.len());
    let wrong: Vec<_> = cases
        .into_iter()
        .step_by(step)
        .filter_map(|case| {
            let (seen, expected) = (perform(case), expected(case));
            (seen != expected).then(|| format!("{case:?}\n  is       {seen:?}\n  should be {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}
