//! The loop.
//!
//! ```text
//!            ┌──────────────────────────────────────────────────────────┐
//!            ▼                                                          │
//!   1 poll the tasks that are ready, in the order of the queue, a       │
//!     batch of them                                                     │
//!   2 decide how long to wait in the kernel: not at all if a task is    │
//!     ready or mail has come; until the next deadline; or until         │
//!     something comes                                                   │
//!   3 ask the kernel which sources are ready      ──► wakes             │
//!   4 take the mail of other threads              ──► wakes, new tasks  │
//!   5 ask the timers which deadlines have passed  ──► wakes ────────────┘
//! ```
//!
//! Facts. One thread does everything, so while one thing runs, everything else waits. All that the loop can decide is when
//! to look where.
//!
//! What follows. [`EventLoop::turn`] is that picture as code. The future given to `block_on` is a task like any
//! other: it has a number and its place in the queue. Only its storage differs: it stays on its caller's stack.
//!
//! Invariants. 5: tasks are polled, then the kernel is asked once, and everything that it reports becomes a wake
//! before any task is polled again. 6: the inbox decides whether the loop may park. 12: see `core/shutdown.rs`.
//!
//! Virtual time. Step 3 only looks, and if no task is ready after step 4, the clock jumps to the next deadline. But
//! while another thread owes this loop the result of a job, step 3 waits for it, and the clock stands still.
//!
//! A watched loop. Its watcher may leave something to be done, such as to tell the program of a deadlock. That is done in
//! step 4, before the mail is taken, so step 3 does not wait for the kernel.
//!
//! What it does not know: handles, options of programs, threads that help.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::ManuallyDrop;
use std::rc::{Rc, Weak};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use crate::core::clock::Clock;
use crate::core::context::{Context, Helpers, budget};
use crate::core::executor::{Executor, HeldTask, Home, Stretch};
use crate::core::id::TaskId;
use crate::core::inbox::{Mail, TABLE};
use crate::core::pace::Pace;
use crate::core::panics::{self, Payload, contain, swallow};
use crate::core::probe::{End, Event, Probe, Watcher};
use crate::core::random::Random;
use crate::core::reactor::{Poller, Wait};
use crate::core::timers::Timers;
use crate::core::waker::{number, waker};

/// What a loop is built from.
pub(crate) struct Options {
    pub(crate) virtual_time: bool,
    /// The seed of a shuffled schedule.
    pub(crate) shuffle: Option<u64>,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) watcher: Option<Watcher>,
    pub(crate) helpers: Box<dyn Helpers>,
}

/// A loop with its tasks, timers and sources. Dropping it is the shutdown.
pub(crate) struct EventLoop {
    pub(crate) context: Rc<Context>,
    pace: Pace,
    /// Taken out while the loop runs.
    pub(super) engine: Cell<Option<Engine>>,
    pub(super) shutdown_timeout: Duration,
    /// The process that built it.
    process: u32,
}

/// What only the loop itself uses: the poll, and buffers that keep their memory from turn to turn.
pub(super) struct Engine {
    poller: Poller,
    woken: Vec<Waker>,
    mail: Mail,
}

/// The future of a `block_on`, as the loop sees it.
pub(super) struct Root<'a> {
    pub(super) id: TaskId,
    pub(super) poll: &'a mut dyn FnMut(&mut TaskContext<'_>) -> Poll<()>,
    /// How it ended: it returned, or it panicked with this.
    pub(super) end: Option<Result<(), Payload>>,
}

/// Room for the wakers of one turn.
const WOKEN: usize = 128;
/// When the loop waits, a larger room is given back.
const SHRINK_ABOVE: usize = 1024;

impl EventLoop {
    pub(crate) fn new(options: Options) -> io::Result<EventLoop> {
        let probe = Rc::<Probe>::default();
        options.watcher.into_iter().for_each(|watcher| probe.change(Box::new(|_| watcher)));
        let (poller, reactor) = Poller::new(Rc::clone(&probe))?;
        let Some((number, inbox)) = TABLE.enter(poller.bell()?) else {
            return Err(io::Error::other("this process has 65,536 runtimes already: drop one first"));
        };
        let context = Rc::new(Context {
            runtime: number,
            unwatched: Cell::new(if probe.is_on() { u32::MAX } else { number.into() }),
            clock: Clock::new(options.virtual_time),
            executor: Rc::new(Executor::new(number, options.shuffle, Rc::clone(&probe))),
            timers: Rc::new(Timers::new(Rc::clone(&probe))),
            reactor: Rc::new(reactor),
            inbox,
            helpers: options.helpers,
            probe,
            // On virtual time the kernel decides nothing, so chance decides nothing either.
            random: match options.shuffle {
                Some(seed) => Random::new(seed),
                None if options.virtual_time => Random::new(0),
                None => Random::unseeded(),
            },
            ending: Cell::new(false),
            from_threads: RefCell::default(),
            twin: Cell::default(),
        });
        let _ = context.executor.drops.home.set(Rc::<Context>::downgrade(&context) as Weak<dyn Home>);
        let engine = Engine { poller, woken: Vec::with_capacity(WOKEN), mail: Mail::default() };
        Ok(EventLoop {
            context,
            pace: Pace::new(),
            engine: Cell::new(Some(engine)),
            shutdown_timeout: options.shutdown_timeout,
            process: std::process::id(),
        })
    }

    /// Whether this is the copy of a loop in a forked child.
    pub(crate) fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }

    /// Runs the loop until `poll` says that its future is ready. Returns what that panicked with, if it did.
    pub(crate) fn run(&self, poll: &mut dyn FnMut(&mut TaskContext<'_>) -> Poll<()>) -> Option<Payload> {
        let mut root = Root { id: self.context.executor.open_root(), poll, end: None };
        let mut engine = self.engine.take().expect("a loop that is not running has its engine");
        while root.end.is_none() {
            self.turn(&mut engine, &mut root, |this| Some(this.how_long()));
        }
        self.engine.set(Some(engine));
        let panicked = root.end.take().and_then(Result::err);
        self.context.executor.close_root(root.id, panicked.as_ref().map_or(End::Returned, |_| End::Panicked));
        panicked
    }

    /// One turn of the loop. `how_long` says `None` if it is to end after the polls.
    pub(super) fn turn(
        &self,
        engine: &mut Engine,
        root: &mut Root<'_>,
        how_long: impl Fn(&Self) -> Option<Wait>,
    ) {
        let Context { executor, clock, probe, .. } = &*self.context;
        probe.emit(|| Event::Turn);
        self.context.look_for_watcher();
        self.poll_ready_tasks(root); // 1
        let wait = if root.end.is_none() { how_long(self) } else { None }; // 2
        let Some(wait) = wait else { return };
        // From here on no task wakes another one, so what is woken goes to the other lane.
        executor.set_arriving(true);
        self.ask_the_kernel(engine, wait); // 3
        // What a watcher has left may end the loop, wake tasks, or spawn some: to a task, that is mail.
        root.end = probe.is_on().then(|| probe.afterwards.take()).flatten().and_then(|act| act()).map(Err);
        self.take_mail(engine); // 4
        self.fire_timers(engine); // 5
        executor.set_arriving(false);
        self.pace.look_is_over(clock);
    }

    /// Step 1. Polls a batch: one stretch after the other, until the next look is due. One net catches the panics of the
    /// whole batch. A panic ends the batch, and the task that panicked is dropped.
    fn poll_ready_tasks(&self, root: &mut Root<'_>) {
        let Context { executor, .. } = &*self.context;
        let poll = if executor.plain.get() { Self::poll_batch::<true> } else { Self::poll_batch::<false> };
        let polled = contain(|| poll(self, root));
        root.end = polled.unwrap_or_else(|payload| executor.crash(payload).map(Err));
    }

    /// Another stretch follows if the last one was full, and if the next look is not due.
    #[inline(never)]
    fn poll_batch<const PLAIN: bool>(&self, root: &mut Root<'_>) -> Option<Result<(), Payload>> {
        let Context { executor, clock, probe, .. } = &*self.context;
        let counted = !PLAIN && probe.is_on() && probe.finds_deadlocks.get();
        loop {
            let stretch = self.pace.stretch();
            match executor.poll_stretch::<PLAIN>(stretch, |id, task| poll(id, task, root, counted)) {
                Stretch::Full if self.pace.may_go_on(clock) => {}
                Stretch::Full => break,
                Stretch::RanDry => break self.pace.ran_dry(),
                Stretch::RootDone => return Some(Ok(())),
            }
        }
        None
    }

    /// Step 2. No time while anything can be done. The inbox is asked last, because its answer is binding (invariant 6).
    pub(super) fn how_long(&self) -> Wait {
        let Context { executor, timers, clock, inbox, .. } = &*self.context;
        if executor.has_ready() {
            return Wait::No;
        }
        let wait = match timers.next() {
            None => Wait::Forever,
            Some(deadline) if clock.is_virtual() => {
                let stands_still = deadline > clock.now() && inbox.park_if_owed();
                return if stands_still { Wait::Forever } else { Wait::No };
            }
            Some(deadline) => Wait::until(deadline, clock.now()),
        };
        if wait == Wait::No || !inbox.park() { Wait::No } else { wait }
    }

    /// Step 3. Tasks of this loop are queued while the reports are read, because that runs no foreign code. The first other
    /// waker, and all after it, are kept until nothing is borrowed, so the wakes keep the order of the reports. A loop that
    /// is watched keeps all of them, because to tell of a wake is foreign code, too.
    fn ask_the_kernel(&self, engine: &mut Engine, mut wait: Wait) {
        let Context { runtime, executor, reactor, probe, .. } = &*self.context;
        if wait != Wait::No {
            self.pace.ran_dry();
            self.tidy_up(engine);
            probe.emit(|| Event::Park);
            // Its watcher may have left something to do, or made a task ready.
            let looks = probe.is_on() && (executor.has_ready() || probe.afterwards.borrow().is_some());
            wait = if looks { Wait::Look } else { wait };
        }
        let mut waking = executor.plain.get().then(|| executor.waking());
        let asked = engine.poller.wait(wait, reactor, |waker| match (&mut waking, number(&waker)) {
            (Some(wake), Some(id)) if id.runtime() == *runtime && engine.woken.is_empty() => {
                wake(id);
                // To drop a waker of ours does nothing, so do not even call it.
                std::mem::forget(waker);
            }
            _ => engine.woken.push(waker),
        });
        drop(waking);
        asked.unwrap_or_else(|error| panic!("the kernel refused to wait for events: {error}"));
        self.wake_all(&mut engine.woken);
    }

    /// Step 4.
    pub(super) fn take_mail(&self, engine: &mut Engine) {
        self.context.inbox.collect(&mut engine.mail);
        engine.mail.wakes.drain(..).for_each(|id| self.context.wake_task(id));
        engine.mail.errands.drain(..).for_each(swallow);
    }

    /// Step 5.
    fn fire_timers(&self, engine: &mut Engine) {
        let Context { executor, timers, clock, inbox, .. } = &*self.context;
        let Some(next) = timers.next() else { return };
        if clock.is_virtual() && !executor.has_ready() && inbox.is_quiet() {
            // Nothing else can happen: this is where virtual time passes.
            clock.jump(next);
        }
        timers.take_due(clock.now(), &mut engine.woken);
        self.wake_all(&mut engine.woken);
    }

    /// Wakes tasks of this loop by their numbers, and everything else by calling foreign code.
    fn wake_all(&self, woken: &mut Vec<Waker>) {
        for waker in woken.drain(..) {
            match number(&waker).filter(|id| id.runtime() == self.context.runtime) {
                // To drop a waker of ours does nothing, so do not even call it, unless its clones are counted.
                Some(id) if self.context.executor.plain.get() => {
                    self.context.wake_task(id);
                    std::mem::forget(waker);
                }
                Some(id) => self.context.wake_task(id),
                None => panics::wake(waker),
            }
        }
    }

    /// The loop is about to wait: gives back the memory that many tasks have needed.
    fn tidy_up(&self, engine: &mut Engine) {
        let Context { executor, reactor, inbox, .. } = &*self.context;
        executor.tidy_up();
        reactor.tidy_up();
        engine.mail.tidy_up();
        if engine.woken.capacity() > SHRINK_ABOVE {
            engine.woken = Vec::with_capacity(WOKEN);
        }
        inbox.tidy_up();
    }
}

/// Polls one task. A root has nothing in its slot, because its future is elsewhere.
#[inline(always)]
fn poll(id: TaskId, task: Option<HeldTask<'_>>, root: &mut Root<'_>, counted: bool) -> Poll<()> {
    budget::refill();
    // To drop a waker of ours does nothing, so do not even call it.
    let waker = ManuallyDrop::new(waker(id, counted));
    let mut cx = TaskContext::from_waker(&waker);
    match task {
        Some(task) => task.poll(&mut cx),
        None => {
            debug_assert_eq!(id, root.id, "only a root has nothing in its slot");
            (root.poll)(&mut cx)
        }
    }
}
