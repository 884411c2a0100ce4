//! The last events of a loop: what a flight recorder holds.
//!
//! Facts. A server that runs for weeks has billions of events, and only the last ones are worth keeping. They make sense
//! only together with what was before them: which tasks there were, what was queued, set and waited for.
//!
//! What follows. Events are kept in pages. When there is one page more than is needed, its events go into the *base*: the
//! state of the loop before the first event that is held. So the trace of a ring begins with a record of that state, and is
//! as exact as one of the whole run.
//!
//! Contract. At least as many events are held as were asked for, and exactly so many are written. The name and the place of
//! a task stay known until its end has left the ring. The same holds for a source, and for a lock of which there are
//! not too many.
//!
//! What it does not know: the loop, how a record is written.

use std::collections::{BTreeMap, VecDeque};

use crate::core::id::TaskId;
use crate::core::probe::{Event, Resource};
use crate::record::causes::{Cause, Causes};
use crate::record::encoder::Encoder;
use crate::record::entry::{Entry, Kind};
use crate::record::format::{Header, ResourceNo};
use crate::record::observer::{More, Seen};
use crate::record::page::{Line, Page, Thread, Wait};
use crate::record::standing::LoopStanding;
use crate::record::survey::Survey;
use crate::record::told::{is_in_trace, task, what};
use crate::record::what::What;
use crate::source::Details;

/// A ring keeps the names of at most this many locks and channels whose first wait it no longer holds. Of those, there is
/// no event when they go.
const MOST_LINES: usize = 4096;
/// A ring is this many pages, and one that is being filled.
const PAGES: usize = 8;

#[derive(Debug)]
pub(crate) struct Ring {
    most: usize,
    /// Those that are full, the oldest first.
    pages: VecDeque<Page>,
    /// The one that is being filled.
    filling: Page,
    of_a_page: usize,
    /// The task whose poll was pushed last and has not ended.
    running: Option<TaskId>,
    base: Base,
    /// The names of the tasks whose end has not left the ring.
    names: BTreeMap<TaskId, Box<str>>,
    /// What is known of the sockets that have not left the ring.
    sockets: BTreeMap<u64, Details>,
}

/// What was before the first event.
#[derive(Clone, Debug, Default)]
struct Base {
    /// How many events were before.
    gone: u64,
    /// Set when there is a state to be told.
    is_begun: bool,
    standing: LoopStanding,
    causes: Causes,
    thread: Thread,
    /// What introduced the tasks, the sources and the lines that live on.
    tasks: BTreeMap<TaskId, Seen>,
    sources: BTreeMap<u64, Seen>,
    lines: BTreeMap<u64, Seen>,
    /// Tasks and sources that have left, until the ring forgets their names.
    over: Vec<TaskId>,
    closed: Vec<u64>,
}

impl Ring {
    pub(crate) fn new(most: usize) -> Ring {
        let most = most.max(1);
        Ring {
            most,
            pages: VecDeque::new(),
            filling: Page::default(),
            of_a_page: most.div_ceil(PAGES),
            running: None,
            base: Base::default(),
            names: BTreeMap::new(),
            sockets: BTreeMap::new(),
        }
    }

    /// Begins in the middle of a run.
    pub(crate) fn begin(&mut self, survey: &Survey) {
        let Base { standing, causes, tasks, is_begun, thread, .. } = &mut self.base;
        thread.runtime = survey.runtime;
        *is_begun = true;
        *causes = survey.causes.clone();
        for seen in &survey.tasks {
            if let Event::Spawn { task, .. } = seen.event {
                introduce(standing, seen);
                tasks.insert(task, *seen);
            }
        }
        standing.begin(&survey.snapshot);
        self.names.extend(survey.names.iter().map(|(task, name)| (*task, name.clone())));
    }

    pub(crate) fn set_shuffled(&mut self, is_shuffled: bool) {
        self.base.standing.set_shuffled(is_shuffled);
    }

    #[inline]
    pub(crate) fn push(&mut self, seen: &Seen) {
        self.page().push(seen);
    }

    /// A wait begins or ends.
    #[inline]
    pub(crate) fn push_wait(&mut self, at: u64, begins: bool, wait: Wait) {
        self.page().push_wait(at, begins, wait);
    }

    #[inline]
    pub(crate) fn poll_begins(&mut self, at: u64, task: TaskId) {
        self.running = Some(task);
        self.push_entry(at, Kind::Poll, task);
    }

    #[inline]
    pub(crate) fn poll_ended(&mut self, at: u64, task: TaskId, ready: bool) {
        self.running = None;
        self.push_entry(at, if ready { Kind::Ready } else { Kind::Pending }, task);
    }

    /// A task was woken. False if that does not fit in an entry: the task that has woken it is not the one that is polled.
    #[inline]
    pub(crate) fn woken(&mut self, at: u64, task: TaskId, by: Option<TaskId>) -> bool {
        if self.running != by {
            return false;
        }
        self.push_entry(at, if by.is_some() { Kind::WokenByRunning } else { Kind::Woken }, task);
        true
    }

    #[inline]
    fn push_entry(&mut self, at: u64, kind: Kind, task: TaskId) {
        self.page().push_entry(Entry::new(at, kind, task.as_u64()));
    }

    /// The page that is being filled.
    #[inline]
    fn page(&mut self) -> &mut Page {
        if self.filling.len() >= self.of_a_page {
            self.turn_page();
        }
        &mut self.filling
    }

    /// The last page is full. The oldest one becomes the next, when it is not needed any more.
    #[cold]
    fn turn_page(&mut self) {
        let mut page = Page::default();
        if self.pages.len() >= PAGES {
            page = self.pages.pop_front().unwrap_or_default();
            page.for_each(|line| self.base.take_line(line));
            self.base.over.drain(..).for_each(|task| drop(self.names.remove(&task)));
            self.base.closed.drain(..).for_each(|source| drop(self.sockets.remove(&source)));
            page.clear();
        }
        self.pages.push_back(std::mem::replace(&mut self.filling, page));
    }

    pub(crate) fn name(&mut self, task: TaskId, name: &str) {
        self.names.insert(task, name.into());
    }

    pub(crate) fn socket(&mut self, source: u64, details: &Details) {
        self.sockets.insert(source, details.clone());
    }

    /// The events as a trace.
    pub(crate) fn bytes(&self, header: &Header) -> Vec<u8> {
        let (mut base, mut bytes) = (self.base.clone(), Encoder::header(header));
        let mut encoder = Encoder::default();
        let pages = || self.pages.iter().chain([&self.filling]);
        let held: usize = pages().map(Page::len).sum();
        let mut surplus = held.saturating_sub(self.most);
        let mut begun = false;
        pages().for_each(|page| {
            page.for_each(|line| {
                if surplus > 0 {
                    surplus -= 1;
                    return base.take_line(line);
                }
                // The first event that is told: all that it stands on comes before it.
                if !std::mem::replace(&mut begun, true) {
                    self.open(&base, line.at(), &mut encoder, &mut bytes);
                }
                base.write(line, &mut encoder, &mut bytes);
            });
        });
        bytes
    }

    /// Writes the tables, the gap and the state before the first event, which came at this time.
    fn open(&self, base: &Base, at: u64, encoder: &mut Encoder, bytes: &mut Vec<u8>) {
        let kept = base.tasks.values().chain(base.sources.values()).chain(base.lines.values());
        kept.for_each(|seen| encoder.describe(seen, bytes));
        self.names.iter().for_each(|(task, name)| encoder.name(*task, name, bytes));
        self.sockets.iter().for_each(|(source, details)| encoder.socket(*source, details, bytes));
        if base.gone > 0 {
            encoder.gap(at, base.gone, bytes);
        }
        if base.gone > 0 || base.is_begun {
            encoder.state(base.standing.snapshot(), bytes);
        }
    }
}

impl Base {
    /// An event leaves the ring. Most are polls and wakes, which change little.
    #[inline]
    fn take_line(&mut self, line: Line<'_>) {
        let entry = match line {
            Line::Entry(entry) => entry,
            Line::Seen(_) => return self.take(line),
            Line::Wait(_, wait) => return self.wait(wait),
            Line::Waited(_, wait) => return self.waited(wait),
        };
        let Some(id) = entry.task(self.thread.runtime) else { return };
        match entry.kind() {
            Kind::Poll => {
                self.thread.running = Some(id);
                self.standing.poll(task(id));
            }
            Kind::Pending | Kind::Ready => {
                self.thread.running = None;
                self.standing.polled();
            }
            Kind::WokenByRunning => self.standing.woken_by_running(task(id)),
            // Its cause has to be found.
            _ => return self.take(line),
        }
        self.gone += 1;
    }

    fn wait(&mut self, wait: &Wait) {
        self.gone += 1;
        self.note_wait(wait);
        self.standing.wait(wait.task.map(task), wait.on, wait.holder.map(task));
    }

    fn waited(&mut self, wait: &Wait) {
        self.gone += 1;
        self.note_waited(wait);
        self.standing.stop_waiting(wait.task.map(task), wait.on);
    }

    /// Only a timer and a source can be causes.
    fn note_wait(&mut self, wait: &Wait) {
        let on = match wait.on {
            ResourceNo::Timer(timer) => Resource::Timer(timer),
            ResourceNo::Source(source) => Resource::Source(source),
            _ => return,
        };
        wait.task.into_iter().for_each(|task| self.causes.wait(task, on, wait.place));
    }

    fn note_waited(&mut self, wait: &Wait) {
        if let ResourceNo::Source(source) = wait.on {
            self.causes.waited(source, wait.place);
        }
    }

    /// Writes an event that is held.
    fn write(&mut self, line: Line<'_>, encoder: &mut Encoder, bytes: &mut Vec<u8>) {
        match line {
            Line::Wait(at, wait) => {
                self.note_wait(wait);
                let holder = wait.holder.map(task);
                encoder.event(at, What::Wait { task: wait.task.map(task), on: wait.on, holder }, bytes);
            }
            Line::Waited(at, wait) => {
                self.note_waited(wait);
                encoder.event(at, What::Waited { task: wait.task.map(task), on: wait.on }, bytes);
            }
            line => {
                let Some(seen) = &line.seen(&mut self.thread) else { return };
                let cause = self.causes.see(seen.event, seen.place);
                encoder.write(seen, cause, bytes);
            }
        }
    }

    fn take(&mut self, line: Line<'_>) {
        let Some(seen) = &line.seen(&mut self.thread) else { return };
        self.gone += u64::from(is_in_trace(seen.event));
        let cause = self.keep(seen);
        if let Some(what) = what(seen, cause, 0) {
            self.standing.apply(&what);
        }
    }

    /// Keeps what an event says that will be needed when it is gone itself.
    fn keep(&mut self, seen: &Seen) -> Option<Cause> {
        match seen.event {
            Event::Spawn { task, .. } => {
                introduce(&mut self.standing, seen);
                self.tasks.insert(task, *seen);
            }
            Event::Done { task, .. } => {
                self.tasks.remove(&task);
                self.over.push(task);
            }
            Event::SourceOpened { source, .. } => _ = self.sources.insert(source, *seen),
            Event::SourceClosed { source } => {
                self.sources.remove(&source);
                self.closed.push(source);
            }
            Event::FirstWait { on: Resource::Line { number, .. }, .. } if self.lines.len() < MOST_LINES => {
                self.lines.insert(number, *seen);
            }
            _ => {}
        }
        self.causes.see(seen.event, seen.place)
    }
}

/// Tells the state where a task comes from, before its spawn.
fn introduce(standing: &mut LoopStanding, seen: &Seen) {
    if let Event::Spawn { task: id, by } = seen.event {
        let is_root = by.is_none() && !matches!(seen.more, More::Origin(..));
        standing.introduce(task(id), by.is_none(), is_root);
    }
}
