//! Tests from the inside: each part against a model that is too simple to be wrong.
//!
//! The tests in `runtime/tests` use the public interface. Those in this directory need parts that only this crate can
//! reach: the queue, the timers, the executor without its loop, and a second kind of waker.
//!
//! | file | what is compared | with what |
//! |---|---|---|
//! | `timers` | the segments of timers | a sorted list |
//! | `slots` | the queue of ready tasks | a list of the tasks that live and were woken |
//! | `tasks` | every short life of one or two tasks | the rules of a life, written a second time |
//! | `waiters` | the waiters of a source | a list of them |
//! | `inbox` | the mail of a loop, and the rings of its bell | what one thread puts in and takes out |
//! | `alarm` | the alarm | the kernel, which has to report it |
//! | `budget` | what a poll may do | a count |
//! | `record` | what a trace tells, and the state that follows from it | what the loop told, and its state |
//! | `oracle` | programs that run with number wakers | the same programs with `Arc<impl Wake>` |
//!
//! All random choices come from a fixed seed, so a test that passes will pass again, and one that fails can be
//! examined. Under Miri, which is slow, there are fewer cases.

#[cfg(all(feature = "exact", target_os = "linux", not(miri)))]
mod alarm;
mod budget;
mod inbox;
mod oracle;
#[cfg(feature = "diagnostics")]
mod record;
mod slots;
mod tasks;
mod timers;
mod waiters;

use std::collections::{HashMap, HashSet, VecDeque};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::core::id::TaskId;
use crate::core::probe::{Event, Resource};

/// The number of cases: `many`, more in a release build, where they are cheap, and few under Miri, where they are not.
pub(crate) const fn cases(many: u32) -> u32 {
    if cfg!(miri) {
        4
    } else if cfg!(debug_assertions) {
        many
    } else {
        10 * many
    }
}

/// Runs `test` with `many` values of `strategy`; the smallest one that fails is shown.
pub(crate) fn property<S: Strategy>(many: u32, strategy: S, test: impl Fn(S::Value)) {
    let (cases, rng_seed) = (cases(many), RngSeed::Fixed(0x5eed));
    let config = Config { cases, rng_seed, failure_persistence: None, ..Config::default() };
    let tried = TestRunner::new(config).run(&strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(failure) = tried {
        panic!("{failure}");
    }
}

/// A random number from which choices are taken one after the other. When it is used up, every further choice is the
/// first. Programs are lists of such words. Making and shrinking a number costs proptest a tenth of what a tree of
/// choices costs, and in a debug build or under Miri that was most of the time.
pub(crate) struct Word(u64);

impl Word {
    pub(crate) fn new(word: u64) -> Word {
        Word(word)
    }

    /// One of this many choices.
    pub(crate) fn take(&mut self, choices: u64) -> u64 {
        let choice = self.0 % choices;
        self.0 /= choices;
        choice
    }

    /// An index into a list whose length is not known yet; the user takes it modulo the length.
    pub(crate) fn which(&mut self) -> usize {
        self.take(1 << 12) as usize
    }
}

/// A small random number generator (xorshift64*), used where a strategy would be too slow.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.max(1))
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % end
    }
}

/// The laws that every run of every program has to obey, as far as the probe's events show it.
#[derive(Default)]
struct Laws {
    queued: HashSet<TaskId>,
    over: HashSet<TaskId>,
    /// For each timer that was waited for, the task that waits; `None` when its wait is over.
    sleepers: HashMap<u64, Option<TaskId>>,
    /// The tasks whose timers have fired and that have not been woken yet.
    due: VecDeque<TaskId>,
}

impl Laws {
    /// A task is in the queue at most once (invariant 1), and is polled only if it was in the queue. When it is over, it
    /// is neither queued nor polled.
    fn queue(&mut self, event: Event) {
        match event {
            Event::Spawn { task, .. } => assert!(self.queued.insert(task), "{task} was spawned twice"),
            Event::Wake { task, .. } => {
                assert!(!self.over.contains(&task), "{task} was queued although it is over");
                assert!(self.queued.insert(task), "{task} was queued twice");
            }
            Event::PollBegin { task } => {
                assert!(self.queued.remove(&task), "{task} was polled without being queued");
            }
            Event::Done { task, .. } => {
                assert!(self.over.insert(task), "{task} ended twice");
                self.queued.remove(&task);
            }
            _ => {}
        }
    }

    /// A timer fires only while a task waits for it, and the tasks are woken in the order in which their timers fire.
    fn timers(&mut self, event: Event) {
        match event {
            Event::WaitOn { task, on: Resource::Timer(timer), .. } => {
                assert!(self.sleepers.insert(timer, task).is_none(), "timer {timer} was begun twice");
            }
            Event::WaitDone { on: Resource::Timer(timer), .. } => drop(self.sleepers.insert(timer, None)),
            Event::TimerFired { timer } => {
                // The shutdown has a timer of its own, which limits its waits. No task waits for that one.
                if let Some(sleeper) = self.sleepers.get(&timer) {
                    self.due.push_back(sleeper.expect("a task still waits"));
                }
            }
            // A wake without an author comes from the timers. A task that was already queued is not woken again.
            Event::Wake { task, by: None } => {
                let first = self.due.iter().position(|due| !self.queued.contains(due));
                assert_eq!(first.map(|first| self.due[first]), Some(task), "woken out of turn");
                self.due.drain(..=first.unwrap_or(0));
            }
            Event::PollBegin { .. } => self.due.clear(),
            _ => {}
        }
    }
}

/// For programs in which only tasks and timers wake tasks: no other threads, no I/O.
pub(crate) fn assert_lawful(events: &[Event]) {
    let mut laws = Laws::default();
    for event in events {
        laws.timers(*event);
        laws.queue(*event);
    }
}
