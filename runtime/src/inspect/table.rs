//! What the tasks of a watched loop do, kept so that another thread can read it at any time.
//!
//! Facts. A task that holds the loop cannot be asked, and neither can the loop. The probe tells of each step before it is
//! made. There may be 100,000 tasks, and the loop must not wait while all of them are copied.
//!
//! What follows. A table with a row for each task, under a lock. The loop's thread takes the lock for each event, and writes
//! what the event says. The rows are in *pages* of 64, by the slots of their tasks. A reader takes the lock for one page at a
//! time. So what it reads is true of each page, and the pages may differ by what has happened in between.
//!
//! What it does not know: clocks, threads, the loop. It is told the time.

use std::borrow::Cow;
use std::time::Duration;

use crate::core::clock::Nanos;
use crate::core::id::TaskId;
use crate::core::probe::{Event, Resource};
use crate::core::reactor::Direction;
use crate::inspect::counts::{Cause, Tally};
use crate::inspect::lines::{Line, Lines};
use crate::inspect::pages::{Origin, Pages, Row, Waiting, Waits};
use crate::inspect::strays::Strays;
use crate::inspect::task::{Life, Task, TaskState, Wait, short};
use crate::waits;

/// What is known of a loop.
#[derive(Default)]
pub(super) struct Table {
    pages: Pages,
    /// By the low half of their numbers, which are places in the loop's own table of sources.
    sources: Vec<Option<Source>>,
    lines: Lines,
    pub(super) phase: Phase,
    /// The task that is being polled, and since when.
    pub(super) running: Option<(TaskId, Nanos)>,
    /// Set by the first timer that fires in a turn; cleared when the next turn begins.
    has_fired: bool,
    /// A wait that was moved to another task before it ended is one of them, so it is not shown any more.
    strays: Strays,
    /// The timer that was set last, or whose wait has ended last, and its deadline.
    last_timer: Option<(u64, Nanos)>,
    pub(super) tally: Tally,
}

/// What the loop does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// It does not turn: no `block_on` is under way.
    #[default]
    Outside,
    Turning,
    /// It sleeps in the kernel, since this time.
    Parked(Nanos),
}

/// The one kind of lock that has a single holder.
const MUTEX: &str = "mutex";

struct Source {
    number: u64,
    what: &'static str,
    descriptor: Option<i32>,
    /// The last turn in which the kernel has reported it.
    reported: u64,
    /// The tasks that have left word, with their places. Each is among the waits of its task.
    words: Vec<(TaskId, u64)>,
}

impl Table {
    /// The events that come less often. Each of the others has a function of its own.
    pub(super) fn see(&mut self, event: &Event, now: Nanos) {
        match *event {
            Event::Turn => {
                (self.phase, self.has_fired) = (Phase::Turning, false);
                self.tally.turns += 1;
            }
            Event::Park => {
                self.phase = Phase::Parked(now);
                self.tally.parks += 1;
            }
            Event::Unpark => self.unpark(now),
            Event::Done { task, end } => {
                self.tally.ended(end);
                let Some(row) = self.pages.remove(task) else { return };
                self.forget_words(&row);
                if row.is_root() {
                    self.phase = Phase::Outside;
                }
            }
            Event::Cancel { task, .. } => {
                self.pages.get_mut(task).into_iter().for_each(|row| row.is_cancelled = true);
            }
            Event::SourceReady { source, readable, writable } => self.report(source, readable, writable),
            Event::SourceOpened { source, what, descriptor } => self.open(source, what, descriptor),
            Event::SourceClosed { source } => self.close(source),
            Event::TimerSet { timer, deadline } => {
                self.last_timer = Some((timer, u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX)));
            }
            Event::TimerFired { .. } => self.has_fired = true,
            Event::FirstWait { on: Resource::Line { number, .. }, name, made_at } => {
                self.lines.add(number, Line { name, made_at: Some(made_at), used: now, holder: None });
            }
            Event::Held { on: Resource::Line { number, .. }, holder } => {
                self.lines.set_holder(number, holder);
            }
            _ => {}
        }
    }

    /// A task was spawned. Its slot is the place of its row.
    pub(super) fn spawn(&mut self, id: TaskId, by: Option<TaskId>, origin: Origin, now: Nanos) {
        self.tally.spawned += 1;
        self.pages.insert(Row {
            id,
            name: None,
            origin,
            by,
            is_queued: true,
            is_cancelled: false,
            since: now,
            born: now,
            polls: 0,
            busy: 0,
            reported: 0,
            awaited_by: None,
            waits: Waits::default(),
        });
    }

    pub(super) fn name(&mut self, task: TaskId, name: Option<Cow<'static, str>>) {
        self.pages.get_mut(task).into_iter().for_each(|row| row.name.clone_from(&name));
    }

    pub(super) fn poll_begins(&mut self, task: TaskId, now: Nanos) {
        self.running = Some((task, now));
        if let Some(row) = self.pages.get_mut(task) {
            self.tally.queue_delay.add_nanos(now.saturating_sub(row.since));
            row.is_queued = false;
            row.polls += 1;
        }
    }

    pub(super) fn poll_ends(&mut self, task: TaskId, now: Nanos) {
        let began = self.running.take().map_or(now, |(_, began)| began);
        self.tally.poll_time.add_nanos(now - began);
        if let Some(row) = self.pages.get_mut(task) {
            row.busy += now - began;
            // A task that was woken during its poll has been queued since then.
            if !row.is_queued {
                row.since = now;
            }
        }
    }

    pub(super) fn wake(&mut self, task: TaskId, by: Option<TaskId>, now: Nanos) {
        let cause = if by.is_some() { Cause::Task } else { self.cause(task) };
        self.tally.woken(cause);
        if let Some(row) = self.pages.get_mut(task) {
            (row.is_queued, row.since) = (true, now);
        }
    }

    /// What has woken a task, if no task has. In a turn, the wakes of sources come first, then those of other threads, then
    /// those of timers.
    fn cause(&self, task: TaskId) -> Cause {
        if self.has_fired {
            return Cause::Timer;
        }
        let is_reported = |wait: &Waiting| match wait.on {
            Resource::Source(number) => {
                self.source(number).is_some_and(|source| source.reported == self.tally.turns)
            }
            _ => false,
        };
        let row = self.pages.get(task);
        let found =
            row.is_some_and(|row| row.reported == self.tally.turns || row.waits.list.iter().any(is_reported));
        if found { Cause::Source } else { Cause::Other }
    }

    pub(super) fn wait(
        &mut self,
        task: TaskId,
        on: Resource,
        place: u64,
        holder: Option<TaskId>,
        since: Nanos,
    ) {
        let mut waiting = Waiting { on, place, since, deadline: None, line: Line::default() };
        match on {
            Resource::Timer(timer) => {
                let last = self.last_timer.filter(|(number, _)| *number == timer);
                waiting.deadline = last.map(|(_, deadline)| deadline);
            }
            Resource::Line { number, what } => {
                waiting.line = self.lines.use_one(number, since);
                if what == MUTEX {
                    self.lines.set_holder(number, holder);
                }
            }
            Resource::Source(_) => {}
            Resource::Task(id) => {
                self.pages.get_mut(id).into_iter().for_each(|row| row.awaited_by = Some(task));
            }
        }
        let is_kept = self.pages.get_mut(task).is_some_and(|row| row.waits.begin(waiting));
        if let Resource::Source(number) = on
            && waits::is_word(place)
            && is_kept
        {
            let source = self.source_mut(number);
            source.into_iter().for_each(|source| source.words.push((task, place)));
        }
    }

    /// A wait has ended. If it is not told which task has waited, it is the one that runs, or the one that is noted with the
    /// task that was awaited. False if that task did not wait for this.
    pub(super) fn stop_waiting(&mut self, task: Option<TaskId>, on: Resource, place: u64) -> bool {
        let noted = || match on {
            Resource::Task(id) => self.pages.get(id).and_then(|row| row.awaited_by),
            _ => None,
        };
        let task = task.or_else(noted).or(self.running.map(|(running, _)| running));
        let waiting = task.and_then(|task| self.pages.get_mut(task)?.waits.end(on, place));
        match (on, waiting, task) {
            (Resource::Timer(number), Some(waiting), _) => {
                self.last_timer = waiting.deadline.map(|deadline| (number, deadline));
            }
            (Resource::Source(number), Some(_), Some(task)) if waits::is_word(place) => {
                self.forget_word(number, task, place);
            }
            _ => {}
        }
        waiting.is_some()
    }

    /// A wait has ended that was found nowhere: it has never begun, or another task has waited.
    pub(super) fn stray(&mut self, on: Resource, place: u64, now: Nanos) {
        self.strays.add(on, place, now);
    }

    /// The kernel has reported a source. Tasks that have left word there wait no longer; all others end their waits
    /// themselves.
    fn report(&mut self, number: u64, readable: bool, writable: bool) {
        let turn = self.tally.turns;
        let Some(source) = self.source_mut(number) else { return };
        source.reported = turn;
        if source.words.is_empty() {
            return;
        }
        let is_reported = |(_, place): &mut (TaskId, u64)| match waits::direction(*place) {
            Direction::Read => readable,
            Direction::Write => writable,
        };
        let words: Vec<_> = source.words.extract_if(.., is_reported).collect();
        for (task, place) in words {
            if let Some(row) = self.pages.get_mut(task) {
                row.waits.end(Resource::Source(number), place);
                row.reported = turn;
            }
        }
    }

    /// A task that has ended does not wait any more for the sources where it has left word.
    fn forget_words(&mut self, row: &Row) {
        for waiting in row.waits.list.iter().filter(|waiting| waits::is_word(waiting.place)) {
            if let Resource::Source(number) = waiting.on {
                self.forget_word(number, row.id, waiting.place);
            }
        }
    }

    fn forget_word(&mut self, number: u64, task: TaskId, place: u64) {
        let source = self.source_mut(number);
        source.into_iter().for_each(|source| source.words.retain(|word| *word != (task, place)));
    }

    fn unpark(&mut self, now: Nanos) {
        if let Phase::Parked(since) = self.phase {
            self.tally.parked += now.saturating_sub(since);
        }
        self.phase = Phase::Turning;
    }

    fn open(&mut self, number: u64, what: &'static str, descriptor: Option<i32>) {
        let index = number as u32 as usize;
        if self.sources.len() <= index {
            self.sources.resize_with(index + 1, || None);
        }
        self.sources[index] =
            Some(Source { number, what: short(what), descriptor, reported: 0, words: Vec::new() });
    }

    fn close(&mut self, number: u64) {
        self.report(number, true, true);
        if self.source(number).is_some() {
            self.sources[number as u32 as usize] = None;
        }
        while self.sources.pop_if(|last| last.is_none()).is_some() {}
    }

    fn source(&self, number: u64) -> Option<&Source> {
        self.sources.get(number as u32 as usize)?.as_ref().filter(|source| source.number == number)
    }

    fn source_mut(&mut self, number: u64) -> Option<&mut Source> {
        self.sources.get_mut(number as u32 as usize)?.as_mut().filter(|source| source.number == number)
    }

    /// How many tasks there are.
    pub(super) fn live(&self) -> usize {
        self.pages.live
    }

    /// Copies of the tasks of a page; `None` after the last one. On virtual time, `clock` is `None`.
    pub(super) fn page(&self, number: usize, now: Nanos, clock: Option<Nanos>) -> Option<Vec<Task>> {
        Some(self.pages.page(number)?.map(|row| self.show(row, now, clock)).collect())
    }

    /// A copy of one task.
    pub(super) fn task(&self, id: TaskId, now: Nanos) -> Option<Task> {
        self.pages.get(id).map(|row| self.show(row, now, None))
    }

    fn show(&self, row: &Row, now: Nanos, clock: Option<Nanos>) -> Task {
        let runs = self.running.filter(|(running, _)| *running == row.id).map(|(_, began)| began);
        let state = match runs {
            Some(_) => TaskState::Running,
            None if row.is_cancelled => TaskState::Cleanup,
            None if row.is_queued => TaskState::Ready,
            None => TaskState::Waiting,
        };
        let mut waits = Vec::with_capacity(row.waits.list.len());
        let current = row.waits.list.iter().filter(|waiting| self.is_current(waiting));
        waits.extend(current.map(|waiting| self.show_wait(waiting, now, clock)));
        let ago = |then: Nanos| Duration::from_nanos(now.saturating_sub(then));
        let life = Life {
            spawned_by: row.by,
            polls: row.polls,
            busy: Duration::from_nanos(row.busy) + runs.map_or(Duration::ZERO, ago),
            age: ago(row.born),
            since: ago(runs.unwrap_or(row.since)),
        };
        Task {
            id: row.id,
            name: row.name.clone(),
            state,
            spawned_at: row.origin.map(|(place, _)| place),
            waits,
            has_more_waits: row.waits.has_more,
            life: Some(life),
        }
    }

    /// Whether a wait goes on, as far as is known. A task that is awaited and is gone ends the wait as soon as its handle is
    /// polled.
    fn is_current(&self, waiting: &Waiting) -> bool {
        let is_gone = matches!(waiting.on, Resource::Task(id) if self.pages.get(id).is_none());
        !is_gone && !self.strays.has_ended(waiting.on, waiting.place, waiting.since)
    }

    fn show_wait(&self, waiting: &Waiting, now: Nanos, clock: Option<Nanos>) -> Wait {
        let mut wait = match waiting.on {
            Resource::Timer(number) => Wait::until(number, waiting.deadline, clock),
            on => Wait::on(on),
        };
        if let Resource::Source(number) = waiting.on {
            let source = self.source(number);
            wait.what = source.map_or("source", |source| source.what);
            wait.descriptor = source.and_then(|source| source.descriptor);
            wait.direction = Some(waits::direction(waiting.place));
        }
        wait.since = Some(Duration::from_nanos(now.saturating_sub(waiting.since)));
        (wait.name, wait.made_at) = (waiting.line.name, waiting.line.made_at);
        if let Resource::Line { number, .. } = waiting.on {
            wait.holder = self.lines.holder(number).filter(|holder| self.pages.get(*holder).is_some());
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::probe::End;

    /// A source that is never reported must not remember all tasks that have ever left word there.
    #[test]
    fn the_words_of_a_task_end_with_it() {
        let mut table = Table::default();
        table.see(&Event::SourceOpened { source: 3, what: "a socket", descriptor: None }, 0);
        let on = Resource::Source(3);
        for serial in 1..100 {
            let task = TaskId::new(0, serial, 0);
            table.spawn(task, None, None, 0);
            // One more than a row has room for.
            for number in 0..17 {
                let place = waits::word(Direction::Read, number);
                table.wait(task, on, place, None, 0);
            }
            // With other sinks, the end of each wait is told before the end of the task.
            if serial % 2 == 0 {
                assert!(table.stop_waiting(Some(task), on, waits::word(Direction::Read, 0)));
                assert_eq!(table.source(3).unwrap().words.len(), 15);
            }
            table.see(&Event::Done { task, end: End::Returned }, 0);
            assert!(table.source(3).unwrap().words.is_empty());
        }
    }
}
