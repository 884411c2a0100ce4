//! Finds the mistakes that debug mode warns of.
//!
//! Facts. A task that computes for long, or makes a blocking call, stops all other tasks. From outside, that looks the
//! same as a busy machine. If a task panics or fails and its handle was dropped, no code of the program hears of it.
//!
//! What follows. A sink for the probe's events, which measures each poll and knows where each task was spawned. Without
//! debug mode there is no sink, and none of this costs anything.
//!
//! Contract. What is warned of, and from which threshold on, is in [`Warnings`]. A poll or a lock causes one warning each
//! time, and a task that wakes itself again and again causes one. A large future causes one for each place where it is
//! spawned. Polls are measured with the real clock, even in virtual time. Warnings go to standard error or to the program's
//! callback. If standard error cannot be written to, the warning is lost and the loop goes on. If the program's own sink
//! panics, it is dropped and the warnings go on. Names come from the program and may go to a terminal, so they are quoted.
//!
//! What it does not know: what the task was doing. For that there are profilers.

mod outbox;

use std::collections::HashSet;
use std::panic::Location;
use std::time::Duration;

use crate::core::clock::Stopwatch;
use crate::core::context;
use crate::core::id::TaskId;
use crate::core::probe::{End, Event};
pub(crate) use crate::debug::outbox::Callback;
use crate::debug::outbox::Destination;
use crate::inspect::{At, Span};
use crate::task;
use crate::warnings::{Warning, WarningKind, Warnings};

pub(crate) struct Debug {
    warnings: Warnings,
    destination: Destination,
    /// The number of the loop, from its first task on.
    runtime: Option<u16>,
    /// Set when the runtime has been dropped.
    is_closed: bool,
    /// What is known of the task in each slot. A slot is used again only when its last task can no longer be reported.
    seen: Vec<Seen>,
    /// Where futures are spawned that were warned of as large.
    large: HashSet<&'static Location<'static>>,
    /// Runs since the runtime was built.
    clock: Stopwatch,
    /// When the clock was read, if only the loop's own code has run since then: the next poll begins at that time.
    read_at: Option<Duration>,
    /// The tasks that the shutdown has cancelled, as texts.
    cancelled: Vec<String>,
}

#[derive(Default)]
struct Seen {
    spawned_at: Option<&'static Location<'static>>,
    is_polled: bool,
    /// How often it has woken itself in a row.
    self_wakes: u32,
    /// Set when an operation makes it give way, because its budget is used up; cleared by the wake that follows, which is
    /// none of its own.
    gives_way: bool,
}

impl Debug {
    pub(crate) fn new(warnings: Warnings, callback: Option<Callback>) -> Debug {
        Debug {
            warnings,
            destination: Destination::of(callback),
            runtime: None,
            is_closed: false,
            seen: Vec::new(),
            large: HashSet::new(),
            clock: Stopwatch::now(),
            read_at: None,
            cancelled: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn see(&mut self, event: Event) {
        match event {
            Event::Spawn { task, .. } => self.spawned(task),
            Event::Turn => self.turn(),
            Event::PollBegin { task } => {
                self.read_at.get_or_insert_with(|| self.clock.elapsed());
                self.seen(task).is_polled = true;
            }
            Event::Spent { task: Some(task) } => self.seen(task).gives_way = true,
            Event::PollEnd { task, .. } => self.polled(task),
            Event::Wake { task, by } => self.woken(task, by),
            Event::Released { holder, held, .. } => self.released(holder, held),
            Event::Unheard { task } if self.warnings.unheard_panics => {
                self.warn(WarningKind::UnheardPanic, task, "panicked, and its handle was dropped");
            }
            Event::UnheardError { task } if self.warnings.unheard_errors => {
                let what = "returned an `Err`, and its handle was dropped: await the handle, or handle the error in the task";
                self.warn(WarningKind::UnheardError, task, what);
            }
            Event::Done { task, end } => self.done(task, end),
            Event::Closed => self.closed(),
            _ => {}
        }
    }

    fn spawned(&mut self, task: TaskId) {
        self.runtime = Some(task.runtime());
        let context = context::current();
        let origin = context.as_ref().and_then(|context| context.executor.origin(task));
        // What destructors spawn during the shutdown is dropped without a poll if there is no time left.
        let is_polled = context.is_none_or(|context| context.ending.get());
        // A `block_on` has no location, and must not inherit the one of the slot's last task.
        let spawned_at = origin.map(|(place, _)| place);
        *self.seen(task) = Seen { spawned_at, is_polled, ..Seen::default() };
        if let (Some((place, size)), Some(limit)) = (origin, self.warnings.large_future)
            && size > limit
            && self.large.insert(place)
        {
            let what = format!("takes {size} bytes: box what is large in it, or keep it out of the future");
            self.warn(WarningKind::LargeFuture, task, &what);
        }
    }

    /// Before its first poll, a turn runs foreign code: wakers, and what was told of warnings.
    fn turn(&mut self) {
        self.read_at = None;
        self.hand_over();
    }

    fn polled(&mut self, task: TaskId) {
        let now = self.clock.elapsed();
        let took = self.read_at.replace(now).map_or(Duration::ZERO, |began| now.saturating_sub(began));
        if self.warnings.slow_poll.is_some_and(|limit| took > limit) {
            let what = format!(
                "kept the loop for {} ms: let it await more often, or hand the work to `blocking::unblock`",
                took.as_millis()
            );
            self.warn(WarningKind::SlowPoll, task, &what);
        }
    }

    fn woken(&mut self, task: TaskId, by: Option<TaskId>) {
        let Some(seen) = self.seen.get_mut(task.slot()) else { return };
        let is_forced = std::mem::take(&mut seen.gives_way);
        let by_itself = by == Some(task) && !is_forced;
        seen.self_wakes = if by_itself { seen.self_wakes.saturating_add(1) } else { 0 };
        if Some(seen.self_wakes) == self.warnings.self_wakes {
            let what = format!("woke itself {} times in a row: does it wait in a loop?", seen.self_wakes);
            self.warn(WarningKind::SelfWakes, task, &what);
        }
    }

    fn released(&mut self, holder: TaskId, held: Duration) {
        let told = context::current().and_then(|context| context.probe.place.take());
        let Some((_, Some((name, made_at, _)))) = told else { return };
        if self.warnings.lock_held.is_some_and(|limit| held > limit) {
            let name = name.map_or(String::new(), |name| format!(" {name:?}"));
            let (place, held) = (At(made_at), Span(held));
            let what = format!(
                "held mutex{name} ({place}) for {held}: give it back before a long await, or copy what is needed"
            );
            self.warn(WarningKind::LockHeld, holder, &what);
        }
    }

    /// A task is over. Its destructors have run between two polls.
    fn done(&mut self, task: TaskId, end: End) {
        self.read_at = None;
        if end == End::Cancelled {
            self.cancelled(task);
        }
    }

    /// A task was cancelled. Only the shutdown is of interest: all else was the program's wish.
    fn cancelled(&mut self, task: TaskId) {
        if !context::current().is_some_and(|context| context.ending.get()) {
            return;
        }
        let is_polled = self.seen.get(task.slot()).is_none_or(|seen| seen.is_polled);
        if !is_polled && self.warnings.never_polled {
            let what = "was never polled: the `block_on` was over before its turn came";
            self.warn(WarningKind::NeverPolled, task, what);
        } else if self.warnings.cancelled_at_end {
            self.cancelled.push(self.describe(task, task::name(task).as_deref()));
        }
    }

    fn closed(&mut self) {
        self.is_closed = true;
        let cancelled = std::mem::take(&mut self.cancelled);
        if let Some(first) = cancelled.first() {
            let text = match cancelled.len() {
                1 => format!("the shutdown cancelled {first}"),
                many => format!("the shutdown cancelled {many} tasks, the first of them {first}"),
            };
            let kind = WarningKind::CancelledAtEnd;
            self.destination.tell(Warning { kind, task: None, name: None, spawned_at: None, text });
        }
        self.hand_over();
    }

    fn warn(&mut self, kind: WarningKind, task: TaskId, what: &str) {
        let (name, spawned_at) = (task::name(task), self.spawned_at(task));
        let text = format!("{} {what}", self.describe(task, name.as_deref()));
        self.destination.tell(Warning { kind, task: Some(task), name, spawned_at, text });
        self.hand_over();
    }

    /// Has the program told of its warnings: after this turn's polls. Outside of the loop, they wait for its next turn.
    fn hand_over(&self) {
        let Destination::Program(outbox) = &self.destination else { return };
        match context::current() {
            _ if self.is_closed => outbox.hand_over(),
            Some(context) if Some(context.runtime) == self.runtime => outbox.hand_over_later(&context.probe),
            _ => {}
        }
    }

    fn spawned_at(&self, task: TaskId) -> Option<&'static Location<'static>> {
        self.seen.get(task.slot()).and_then(|seen| seen.spawned_at)
    }

    fn seen(&mut self, task: TaskId) -> &mut Seen {
        if self.seen.len() <= task.slot() {
            self.seen.resize_with(task.slot() + 1, Seen::default);
        }
        &mut self.seen[task.slot()]
    }

    fn describe(&self, task: TaskId, name: Option<&str>) -> String {
        let name = name.map_or(String::new(), |name| format!(" {name:?}"));
        let place = match self.spawned_at(task) {
            Some(place) => format!("spawned at {}", At(place)),
            None => "of a `block_on`".into(),
        };
        format!("task {task}{name} ({place})")
    }
}
