//! The end of a loop: every future is dropped once, whatever happens in the destructors of the others.
//!
//! Facts. A destructor may spawn, wake, cancel and drop anything, and may leave a cleanup that has to be awaited. Jobs on
//! other threads may run on, and may wait for this very loop. A loop may be dropped inside another loop, which stands
//! still while this one waits.
//!
//! What follows. All tasks are cancelled. What their destructors leave may run until the `shutdown_timeout`. Then that is
//! dropped, too, and what is spawned from there on is dropped at once. Inside another loop the shutdown waits for nothing:
//! what can run at once runs for a bounded number of turns. The mail is refused before threads are waited for.
//!
//! Invariant 12: see above. What it does not know: how a task is dropped.

use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::core::clock::{NEVER, Stopwatch, saturating_nanos};
use crate::core::context::{self, Context};
use crate::core::event_loop::{Engine, EventLoop, Root};
use crate::core::inbox::TABLE;
use crate::core::panics::swallow;
use crate::core::probe::{End, Event};
use crate::core::reactor::Wait;

impl Drop for EventLoop {
    /// Invariant 12: every future is dropped, once, whatever the others do in their destructors.
    fn drop(&mut self) {
        if self.is_forked() {
            return self.abandon();
        }
        // Another loop on this thread would stand still while this one waits.
        let may_wait = !context::is_busy();
        let context = Rc::clone(&self.context);
        let _entered = context::enter(Rc::clone(&context), true);
        let nested = context.executor.begin_nested();
        let ending = Ending { may_wait, dying: nested.dying, began: Stopwatch::now() };
        context.ending.set(true);
        self.end_tasks(&ending);
        self.close(&ending);
        context.executor.end_nested(&nested);
        context.probe.emit(|| Event::Closed);
        TABLE.leave(context.runtime);
    }
}

/// A shutdown that is under way.
struct Ending {
    may_wait: bool,
    /// How many tasks count as live only because their destructor has dropped this loop: one or none.
    dying: usize,
    began: Stopwatch,
}

/// How many turns a loop that may not wait takes for what destructors have spawned.
const TURNS_WITHOUT_WAITING: u32 = 128;

impl EventLoop {
    /// Cancels all tasks, lets what their destructors leave have its time, and drops the rest.
    fn end_tasks(&self, ending: &Ending) {
        let Context { executor, inbox, helpers, probe, .. } = &*self.context;
        let Some(mut engine) = self.engine.take() else { return };
        probe.emit(|| Event::Shutdown { step: 1 });
        // What other threads have sent is cancelled with the rest.
        self.take_mail(&mut engine);
        // Cleanups may use threads, so those stay, but cleanups do not wait for older jobs.
        inbox.forgive();
        helpers.clear();
        executor.cancel_all();
        if self.awaited(ending) > 0 {
            probe.emit(|| Event::Shutdown { step: 2 });
            self.finish_leftovers(&mut engine, ending);
        }
        probe.emit(|| Event::Shutdown { step: 3 });
        // From here on nothing new lives: what the destructors spawn is dropped at once.
        executor.refuse_spawns();
        helpers.close();
        executor.cancel_all();
        executor.drop_outputs();
        self.engine.set(Some(engine));
    }

    /// Runs the cleanups, and what destructors have spawned, for as long as the shutdown may take.
    fn finish_leftovers(&self, engine: &mut Engine, ending: &Ending) {
        let Context { executor, timers, clock, .. } = &*self.context;
        let deadline = clock.after(self.shutdown_timeout);
        // It wakes nothing, but no wait in the kernel is longer than this.
        let limit = (deadline != NEVER).then(|| timers.insert(deadline, Waker::noop().clone()));
        let mut root = Root { id: executor.open_root(), poll: &mut |_| Poll::Pending, end: None };
        let mut turns = 0;
        // The root is one of the tasks that are awaited.
        while self.awaited(ending) > 1
            && clock.now() < deadline
            && !self.time_left(ending).is_zero()
            && (ending.may_wait || turns < TURNS_WITHOUT_WAITING && executor.has_ready())
        {
            self.turn(engine, &mut root, |this| this.how_long_at_the_end(ending));
            turns += 1;
        }
        executor.close_root(root.id, End::Returned);
        limit.into_iter().for_each(|limit| timers.cancel(limit));
    }

    /// Step 2 of a turn. When the last task has gone, nothing would end a wait, and virtual time must not pass. A virtual
    /// clock may stand still until a job ends, but the shutdown does not wait that long.
    fn how_long_at_the_end(&self, ending: &Ending) -> Option<Wait> {
        let how_long = || if ending.may_wait { self.how_long() } else { Wait::No };
        (self.awaited(ending) > 1).then(|| match (how_long(), self.time_left(ending)) {
            (Wait::Forever, left) if left != Duration::MAX => Wait::until(saturating_nanos(left), 0),
            (wait, _) => wait,
        })
    }

    /// How many tasks the shutdown waits for. Tasks that other threads have started since it began are not among them.
    fn awaited(&self, ending: &Ending) -> usize {
        let Context { executor, from_threads, .. } = &*self.context;
        let mut from_threads = from_threads.borrow_mut();
        from_threads.retain(|task| executor.lives(*task));
        executor.live() - ending.dying - from_threads.len()
    }

    /// Ends everything but the tasks. Mail is refused before threads are waited for, because one of them may wait for us.
    fn close(&self, ending: &Ending) {
        let Context { clock, timers, reactor, inbox, helpers, probe, .. } = &*self.context;
        probe.emit(|| Event::Shutdown { step: 4 });
        timers.close(clock.now());
        reactor.close();
        inbox.close().errands.into_iter().for_each(|errand| swallow(|| drop(errand)));
        helpers.wait(if ending.may_wait { self.time_left(ending) } else { Duration::ZERO });
    }

    /// How much longer the shutdown may take, in real time. On virtual time this ends only what would not end by itself,
    /// so it is at least a second there: slow machines do the same as fast ones.
    fn time_left(&self, ending: &Ending) -> Duration {
        let timeout = self.shutdown_timeout;
        if timeout == Duration::MAX {
            return timeout;
        }
        let is_virtual = self.context.clock.is_virtual();
        let limit = if is_virtual { timeout.max(Duration::from_secs(1)) } else { timeout };
        limit.saturating_sub(ending.began.elapsed())
    }

    /// A forked child has a copy of everything, but shares the poll in the kernel with its parent. So the copy
    /// must not be touched, and nothing that it holds may be told to say goodbye.
    fn abandon(&mut self) {
        std::mem::forget(Rc::clone(&self.context));
        std::mem::forget(self.engine.take());
    }
}
