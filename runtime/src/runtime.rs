//! The loop as programs see it: build one, run a future on it, drop it.
//!
//! Facts. A program has one future from which everything else follows, and calls it from code that is not async. A panic
//! of that future has to come out at the call.
//!
//! What follows. [`Runtime::block_on`] keeps the future on its caller's stack, lets the loop poll it as one task among
//! others, and drops it inside the loop. All of the rest is in `core/event_loop.rs`.
//!
//! What it does not know: how the loop turns.

use std::io;
use std::panic::resume_unwind;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;

use crate::core::context;
use crate::core::event_loop::{EventLoop, Options};
use crate::core::panics::{self, contain, swallow};
use crate::remote::Remote;

/// Builds a [`Runtime`] with default options, runs `main` on it, and shuts it down.
///
/// ```
/// assert_eq!(roundel::run(async { 6 * 7 }), 42);
/// ```
///
/// # Panics
///
/// If `main` panics; if the operating system refuses the descriptors that a loop needs; inside a
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
/// It may be run any number of times. Tasks that were spawned and have not ended stay where they are in between.
/// Dropping it is the *shutdown*: every task is cancelled, in the order of their slots. The tasks that destructors spawn
/// meanwhile, and cleanups, may run until the [`shutdown_timeout`](crate::Builder::shutdown_timeout), and may use threads;
/// then they are dropped, too. The shutdown waits just as long for jobs of [`blocking`](crate::blocking) that run.
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
    event_loop: EventLoop,
}

impl Runtime {
    pub(crate) fn build(options: Options) -> io::Result<Runtime> {
        Ok(Runtime { event_loop: EventLoop::new(options)? })
    }

    /// A handle with which other threads reach this loop, also while it does not run: it finds the work when it does.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote::new(&self.event_loop.context)
    }

    /// The parts of the loop.
    pub(crate) fn context(&self) -> &context::Context {
        &self.event_loop.context
    }

    /// Runs the loop until `main` is done. Tasks that are not done by then wait for the next `block_on`.
    ///
    /// # Panics
    ///
    /// If `main` panics; inside a running loop; in a forked child; on virtual time, if `main` can never go on
    /// ([`deadlock`](crate::deadlock)).
    #[track_caller]
    pub fn block_on<F: Future>(&self, main: F) -> F::Output {
        refuse_nesting("block_on");
        assert!(
            !self.event_loop.is_forked(),
            "`block_on` was called on a runtime that was built before a `fork`: build a new one in the child"
        );
        let _entered = context::enter(Rc::clone(&self.event_loop.context), true);
        let (mut output, mut main) = (None, pin!(Some(main)));
        let panicked = self.event_loop.run(&mut |cx: &mut Context<'_>| {
            let main = main.as_mut().as_pin_mut().expect("the main future stays until the loop is over");
            main.poll(cx).map(|value| output = Some(value))
        });
        // What a watcher has left to be done in the last turn, such as warnings for the program.
        let left = self.event_loop.context.probe.afterwards.take().and_then(|act| act());
        let panicked = panics::first(panicked, left);
        // The future is dropped here, where its destructors still find the loop, and not on top of a panic.
        match (panicked, contain(|| main.set(None))) {
            (None, Ok(())) => output.expect("the loop runs until its main future is done"),
            (None, Err(payload)) => {
                swallow(|| drop(output));
                resume_unwind(payload)
            }
            (Some(first), dropped) => {
                swallow(|| drop(dropped));
                swallow(|| drop(output));
                // A deadlock is reported as a panic of this very call.
                #[cfg(feature = "diagnostics")]
                if let Some(crate::deadlock::Stop(report)) = first.downcast_ref() {
                    panic!("{report}");
                }
                resume_unwind(first)
            }
        }
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let live = self.event_loop.context.executor.live();
        f.debug_struct("Runtime").field("live_tasks", &live).finish_non_exhaustive()
    }
}

#[track_caller]
fn refuse_nesting(what: &str) {
    assert!(
        context::current().is_none(),
        "`{what}` was called inside a running roundel loop, which would stop all its tasks: `.await` the future, or `spawn` it"
    );
}
