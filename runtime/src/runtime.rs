//! The loop.
//!
//! ```text
//!            ┌──────────────────────────────────────────────────────────┐
//!            ▼                                                          │
//!   1 poll the tasks that are ready, each in its turn, a batch of them   │
//!   2 decide how long the kernel may keep us: not at all if a task is    │
//!     ready or mail has come; until the next deadline; or for as long    │
//!     as it takes                                                        │
//!   3 ask the kernel which sources are ready      ──► wakes              │
//!   4 take the mail of other threads              ──► wakes, new tasks   │
//!   5 ask the timers which deadlines have passed  ──► wakes ─────────────┘
//! ```
//!
//! Facts. One thread does everything, so whatever runs, everything else waits. All there is to decide is when
//! to look where.
//!
//! What follows. [`Runtime::turn`] is that picture as code. The future given to `block_on` is a task like any
//! other: it has a number and its turn in the queue; only its storage is the caller's stack.
//!
//! Invariants. 5: tasks are polled, then the OS is looked at once, and everything it has to say becomes a wake
//! before any task is polled again. 6: the decision to park is the inbox's. 12: see [`Runtime`]'s `Drop`.
//!
//! Virtual time. Step 3 only looks, and if after step 4 nothing is ready, the clock jumps to the next deadline. But
//! while another thread owes this loop the result of a job, step 3 waits for it, and the clock stands still.

mod shutdown;

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::ManuallyDrop;
use std::panic::resume_unwind;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use crate::builder::{Builder, Options};
use crate::core::clock::Clock;
use crate::core::context::{self, Context};
use crate::core::executor::{Batch, Executor, Home};
use crate::core::id::TaskId;
use crate::core::inbox::{Inbox, Mail, TABLE};
use crate::core::pace::Pace;
use crate::core::panics::{self, Payload, contain, swallow};
use crate::core::probe::{End, Event, Probe};
use crate::core::random::Random;
use crate::core::reactor::{Poller, Wait};
use crate::core::timers::Timers;
use crate::core::waker::{number, waker};
use crate::debug;
use crate::pool::LazyPool;
use crate::remote::Remote;

/// Builds a [`Runtime`] with default options, runs `main` on it, and shuts it down.
///
/// ```
/// assert_eq!(roundel::run(async { 6 * 7 }), 42);
/// ```
///
/// # Panics
///
/// If `main` panics; if the operating system refuses the three descriptors that a loop needs; inside a
/// running loop.
#[track_caller]
pub fn run<F: Future>(main: F) -> F::Output {
    refuse_nesting("run");
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(main),
        Err(error) => panic!("`roundel::run` could not build its loop: {error}"),
    }
}

/// A loop, its tasks, timers and sources.
///
/// It may be run any number of times; tasks that were spawned and did not end stay where they are in between.
/// Dropping it is the *shutdown*: every task is cancelled, in the order of their slots. The tasks that destructors spawn
/// meanwhile, and cleanups, may run until the [`shutdown_timeout`](Builder::shutdown_timeout), and may use threads;
/// then they are dropped, too. Jobs of [`blocking`](crate::blocking) that run are waited for just as long.
/// An output that has not been fetched by then is dropped, and its handle says so. A handle, waker or source may outlive
/// its runtime.
///
/// A runtime that is dropped inside another loop waits for nothing, because that would stall the other loop: leftover
/// tasks run as long as they need not wait, and running jobs are left to themselves. If a goodbye matters, drop the
/// runtime outside.
///
/// A task is always dropped inside its own loop: also when it is cancelled between two `block_on`s, or while another
/// loop runs. Its cleanup is then due in the next `block_on`, or at the shutdown.
///
/// A runtime does not survive `fork`: in the child, `block_on` panics, and dropping it does nothing.
///
/// ```
/// let runtime = roundel::Runtime::new().unwrap();
/// let handle = runtime.block_on(async { roundel::spawn(async { 1 + 1 }) });
/// assert_eq!(runtime.block_on(handle).unwrap(), 2);
/// ```
pub struct Runtime {
    context: Rc<Context>,
    pace: Pace,
    /// Taken out while the loop runs.
    engine: Cell<Option<Engine>>,
    shutdown_timeout: Duration,
    /// The process that built it.
    process: u32,
}

/// What only the loop itself uses: the poll, and buffers kept for their memory.
struct Engine {
    poller: Poller,
    woken: Vec<Waker>,
    mail: Mail,
}

/// Room for the wakers of one turn; and the room from which on it is given back when the loop waits.
const WOKEN: usize = 128;
const CROWD: usize = 1024;

impl Runtime {
    /// A runtime with default options.
    ///
    /// # Errors
    ///
    /// If the operating system refuses the descriptors, or 65,536 runtimes exist already.
    pub fn new() -> io::Result<Runtime> {
        Runtime::builder().build()
    }

    /// Options for a runtime.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn build(options: Options) -> io::Result<Runtime> {
        let sink = if options.debug { Some(debug::watch(options.probe)) } else { options.probe };
        let probe = Rc::new(Probe::new(sink));
        let (poller, reactor) = Poller::new(Rc::clone(&probe))?;
        let inbox = Arc::new(Inbox::new(poller.bell()?));
        let Some(number) = TABLE.enter(Arc::clone(&inbox)) else {
            return Err(io::Error::other("this process has 65,536 runtimes already: drop one first"));
        };
        let context = Context {
            runtime: number,
            clock: Clock::new(options.virtual_time),
            executor: Rc::new(Executor::new(number, options.shuffle, Rc::clone(&probe))),
            timers: Rc::new(Timers::new(Rc::clone(&probe))),
            reactor: Rc::new(reactor),
            inbox,
            pool: LazyPool::new(options.blocking_threads),
            probe,
            // With virtual time, what leaves nothing to the world leaves nothing to chance either.
            random: match options.shuffle {
                Some(seed) => Random::new(seed),
                None if options.virtual_time => Random::new(0),
                None => Random::unseeded(),
            },
            ending: Cell::new(false),
            from_threads: RefCell::default(),
        };
        let context = Rc::new(context);
        let home: Weak<Context> = Rc::downgrade(&context);
        context.executor.set_home(home as Weak<dyn Home>);
        Ok(Runtime {
            context,
            pace: Pace::new(),
            engine: Cell::new(Some(Engine {
                poller,
                woken: Vec::with_capacity(WOKEN),
                mail: Mail::default(),
            })),
            shutdown_timeout: options.shutdown_timeout,
            process: std::process::id(),
        })
    }

    /// How other threads reach this loop, also while it does not run: it will find the work when it does.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote::new(&self.context.inbox)
    }

    /// Runs the loop until `main` is done. Tasks that are not done by then wait for the next `block_on`.
    ///
    /// # Panics
    ///
    /// If `main` panics; inside a running loop; in a forked child.
    #[track_caller]
    pub fn block_on<F: Future>(&self, main: F) -> F::Output {
        refuse_nesting("block_on");
        let forked = self.process != std::process::id();
        assert!(
            !forked,
            "`block_on` was called on a runtime that was built before a `fork`: build a new one in the child"
        );
        let _entered = context::enter(Rc::clone(&self.context), true);
        let (mut output, mut main) = (None, pin!(Some(main)));
        let mut poll = |cx: &mut TaskContext<'_>| {
            let main = main.as_mut().as_pin_mut().expect("the main future stays until the loop is over");
            main.poll(cx).map(|value| output = Some(value))
        };
        let panicked =
            self.run_root(&mut Root { id: self.context.executor.open_root(), poll: &mut poll, end: None });
        // Here, where its destructors still find the loop, and not on top of a panic.
        match (panicked, contain(|| main.set(None))) {
            (None, Ok(())) => output.expect("the loop runs until its main future is done"),
            (None, Err(payload)) => {
                swallow(|| drop(output));
                resume_unwind(payload)
            }
            (Some(first), dropped) => {
                swallow(|| drop(dropped));
                resume_unwind(first)
            }
        }
    }

    /// Runs the loop until its root is done; gives back what the root panicked with, if it did.
    fn run_root(&self, root: &mut Root<'_>) -> Option<Payload> {
        let mut engine = self.engine.take().expect("a loop that is not running has its engine");
        while root.end.is_none() {
            self.turn(&mut engine, root);
        }
        self.engine.set(Some(engine));
        let panicked = root.end.take().and_then(Result::err);
        let end = if panicked.is_some() { End::Panicked } else { End::Returned };
        self.context.executor.close_root(root.id, end);
        panicked
    }

    /// One turn of the loop.
    fn turn(&self, engine: &mut Engine, root: &mut Root<'_>) {
        self.poll_ready_tasks(root); // 1
        if root.end.is_none() {
            let wait = self.how_long(); // 2
            self.look_around(engine, wait);
        }
    }

    fn look_around(&self, engine: &mut Engine, wait: Wait) {
        self.context.executor.set_arriving(true);
        self.ask_the_kernel(engine, wait); // 3
        self.take_mail(engine); // 4
        self.fire_timers(engine); // 5
        self.context.executor.set_arriving(false);
        self.pace.go_on(&self.context.clock);
    }

    /// Polls a batch. The net for panics is hung once for all of them, and a panic ends the batch: the task that panicked is dropped.
    fn poll_ready_tasks(&self, root: &mut Root<'_>) {
        if let Err(payload) = contain(|| self.poll_batch(root)) {
            root.end = self.context.executor.crash(payload).map(Err);
        }
    }

    fn poll_batch(&self, root: &mut Root<'_>) {
        let Context { executor, clock, .. } = &*self.context;
        loop {
            let batch = executor.poll_batch(self.pace.stretch(), |id, task| {
                context::refill_budget();
                // To drop a waker of ours is nothing, so do not even call it.
                let waker = ManuallyDrop::new(waker(id));
                let mut cx = TaskContext::from_waker(&waker);
                match task {
                    Some(task) => task.poll(&mut cx),
                    None => {
                        debug_assert_eq!(id, root.id, "only a root has nothing in its slot");
                        (root.poll)(&mut cx)
                    }
                }
            });
            match batch {
                Batch::Full if self.pace.may_go_on(clock) => {}
                Batch::Full => return,
                Batch::RanDry => return self.pace.ran_dry(),
                Batch::RootDone => return root.end = Some(Ok(())),
            }
        }
    }

    /// Zero while anything can be done. The last question is the inbox's, for its answer binds (invariant 6).
    fn how_long(&self) -> Wait {
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

    fn ask_the_kernel(&self, engine: &mut Engine, wait: Wait) {
        let Context { reactor, probe, .. } = &*self.context;
        if wait != Wait::No {
            self.pace.ran_dry();
            self.tidy_up(engine);
            probe.emit(|| Event::Park);
        }
        if let Err(error) = engine.poller.wait(wait, reactor, &mut engine.woken) {
            panic!("the kernel refused to wait for events: {error}");
        }
        if wait != Wait::No {
            probe.emit(|| Event::Unpark);
        }
        self.wake_all(&mut engine.woken);
    }

    /// The loop is about to wait: gives back the memory that many tasks have needed.
    fn tidy_up(&self, engine: &mut Engine) {
        let Context { executor, timers, reactor, inbox, .. } = &*self.context;
        executor.tidy_up();
        timers.tidy_up();
        reactor.tidy_up();
        engine.mail.tidy_up();
        if engine.woken.capacity() > CROWD {
            engine.woken = Vec::with_capacity(WOKEN);
        }
        inbox.tidy_up();
    }

    /// Wakes our own tasks by their numbers, and whoever else by calling foreign code.
    fn wake_all(&self, woken: &mut Vec<Waker>) {
        for waker in woken.drain(..) {
            match number(&waker).filter(|id| id.runtime() == self.context.runtime) {
                Some(id) => {
                    self.context.wake_task(id);
                    // To drop a waker of ours is nothing, so do not even call it.
                    std::mem::forget(waker);
                }
                None => panics::wake(waker),
            }
        }
    }

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

    fn take_mail(&self, engine: &mut Engine) {
        self.context.inbox.collect(&mut engine.mail, TABLE.last(self.context.runtime));
        engine.mail.wakes.drain(..).for_each(|id| self.context.wake_task(id));
        engine.mail.errands.drain(..).for_each(swallow);
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("live_tasks", &self.context.executor.live()).finish_non_exhaustive()
    }
}

/// The future of a `block_on`, as the loop sees it.
struct Root<'a> {
    id: TaskId,
    poll: &'a mut dyn FnMut(&mut TaskContext<'_>) -> Poll<()>,
    /// How it ended: well, or with a panic.
    end: Option<Result<(), Payload>>,
}

#[track_caller]
fn refuse_nesting(what: &str) {
    assert!(
        context::current().is_none(),
        "`{what}` was called inside a running roundel loop, which would stop all its tasks: `.await` the future, or `spawn` it"
    );
}
