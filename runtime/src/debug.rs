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
//! panics, it is dropped and the warnings go on.
//!
//! What it does not know: what the task was doing. For that there are profilers.

use std::collections::{HashMap, HashSet};
use std::panic::Location;
use std::time::Duration;

use crate::core::clock::Stopwatch;
use crate::core::context;
use crate::core::id::TaskId;
use crate::core::probe::{End, Event};
use crate::task;
use crate::waits::Sink;
use crate::warnings::{Warning, WarningKind, Warnings, say};

/// Is called with each warning.
pub(crate) type Callback = Box<dyn FnMut(&Warning)>;

/// A sink that warns.
pub(crate) fn sink(warnings: Warnings, callback: Option<Callback>) -> Sink {
    let mut watch = Watch {
        warnings,
        callback,
        seen: HashMap::new(),
        large: HashSet::new(),
        poll: None,
        cancelled: Vec::new(),
    };
    Box::new(move |event, _| {
        watch.see(*event);
        true
    })
}

struct Watch {
    warnings: Warnings,
    callback: Option<Callback>,
    /// What is known of the task in each slot. A slot gets a new tenant only when its old one can no longer be reported.
    seen: HashMap<usize, Seen>,
    /// Where futures are spawned that were warned of as large.
    large: HashSet<&'static Location<'static>>,
    /// Runs since the start of the current poll; `None` between polls.
    poll: Option<Stopwatch>,
    /// The tasks that the shutdown has cancelled, as texts.
    cancelled: Vec<String>,
}

#[derive(Default)]
struct Seen {
    spawned_at: Option<&'static Location<'static>>,
    is_polled: bool,
    /// How often it has woken itself in a row.
    self_wakes: u32,
}

impl Watch {
    fn see(&mut self, event: Event) {
        match event {
            Event::Spawn { task, .. } => self.spawned(task),
            Event::PollBegin { task } => {
                self.poll = Some(Stopwatch::start());
                self.seen.entry(task.slot()).or_default().is_polled = true;
            }
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
            Event::Done { task, end: End::Cancelled } => self.cancelled(task),
            Event::Closed => self.closed(),
            _ => {}
        }
    }

    fn spawned(&mut self, task: TaskId) {
        let context = context::current();
        let origin = context.as_ref().and_then(|context| context.executor.origin(task));
        // What destructors spawn during the shutdown is dropped without a poll if there is no time left.
        let is_polled = context.is_none_or(|context| context.ending.get());
        // A `block_on` has no location, and must not inherit the one of the slot's last tenant.
        let spawned_at = origin.map(|(place, _)| place);
        self.seen.insert(task.slot(), Seen { spawned_at, is_polled, self_wakes: 0 });
        if let (Some((place, size)), Some(limit)) = (origin, self.warnings.large_future)
            && size > limit
            && self.large.insert(place)
        {
            let what = format!("takes {size} bytes: box what is large in it, or keep it out of the future");
            self.warn(WarningKind::LargeFuture, task, &what);
        }
    }

    fn polled(&mut self, task: TaskId) {
        let took = self.poll.take().map_or(Duration::ZERO, |poll| poll.elapsed());
        if self.warnings.slow_poll.is_some_and(|limit| took > limit) {
            let what = format!(
                "kept the loop for {} ms: let it await more often, or hand the work to `blocking::unblock`",
                took.as_millis()
            );
            self.warn(WarningKind::SlowPoll, task, &what);
        }
    }

    fn woken(&mut self, task: TaskId, by: Option<TaskId>) {
        let Some(seen) = self.seen.get_mut(&task.slot()) else { return };
        seen.self_wakes = if by == Some(task) { seen.self_wakes.saturating_add(1) } else { 0 };
        if Some(seen.self_wakes) == self.warnings.self_wakes {
            let what = format!("woke itself {} times in a row: does it wait in a loop?", seen.self_wakes);
            self.warn(WarningKind::SelfWakes, task, &what);
        }
    }

    fn released(&mut self, holder: TaskId, held: Duration) {
        let told = context::current().and_then(|context| context.probe.place.take());
        let Some((_, Some((name, made_at, _)))) = told else { return };
        if self.warnings.lock_held.is_some_and(|limit| held > limit) {
            let name = name.map_or(String::new(), |name| format!(" \"{name}\""));
            let place = format!("{}:{}", made_at.file(), made_at.line());
            let what = format!(
                "held mutex{name} ({place}) for {held:.1?}: give it back before a long await, or copy what is needed"
            );
            self.warn(WarningKind::LockHeld, holder, &what);
        }
    }

    /// A task was cancelled. Only the shutdown is of interest: all else was the program's wish.
    fn cancelled(&mut self, task: TaskId) {
        if !context::current().is_some_and(|context| context.ending.get()) {
            return;
        }
        let is_polled = self.seen.get(&task.slot()).is_none_or(|seen| seen.is_polled);
        if !is_polled && self.warnings.never_polled {
            let what = "was never polled: the `block_on` was over before its turn came";
            self.warn(WarningKind::NeverPolled, task, what);
        } else if self.warnings.cancelled_at_end {
            self.cancelled.push(self.describe(task));
        }
    }

    fn closed(&mut self) {
        let cancelled = std::mem::take(&mut self.cancelled);
        let Some(first) = cancelled.first() else { return };
        let text = match cancelled.len() {
            1 => format!("the shutdown cancelled {first}"),
            many => format!("the shutdown cancelled {many} tasks, the first of them {first}"),
        };
        self.tell(Warning { kind: WarningKind::CancelledAtEnd, task: None, text });
    }

    fn warn(&mut self, kind: WarningKind, task: TaskId, what: &str) {
        let text = format!("{} {what}", self.describe(task));
        self.tell(Warning { kind, task: Some(task), text });
    }

    fn tell(&mut self, warning: Warning) {
        match &mut self.callback {
            Some(callback) => callback(&warning),
            None => say(&warning),
        }
    }

    fn describe(&self, task: TaskId) -> String {
        let name = task::name(task).map_or(String::new(), |name| format!(" \"{name}\""));
        let place = match self.seen.get(&task.slot()).and_then(|seen| seen.spawned_at) {
            Some(place) => format!("spawned at {place}"),
            None => "of a `block_on`".into(),
        };
        format!("task {task}{name} ({place})")
    }
}
