//! The waits of tasks, as a watcher hears of them.
//!
//! Facts. A task waits for a source, a deadline, another task, or in a line. It may be woken by one thing and wait for the
//! next in the same poll. A loop that is not watched must not pay for any of this.
//!
//! Contract. All that waits tells of it here, when the wait begins and when it ends. A sink hears of each wait once when it
//! begins and once when it ends, by the same task.
//!
//! What follows. One watcher stands between the loop and the program's sinks. It notes each wait that it has reported, because
//! a wait may end in another task than the one that began it, outside of the loop, or never, and the code that ends it may not
//! know whether its beginning was reported. Our own sinks do without, so that debug mode costs less. A sink that comes while
//! the loop runs stands beside the others, with a balance of its own. It begins with a turn, and is told first of the waits
//! that the loop itself knows (`waits/before.rs`). A wait in a line is not known to it before it begins anew.
//!
//! What it does not know: what is waited for.

mod before;
mod doubt;
mod numbers;
mod open;
mod place;

use std::collections::BTreeSet;
use std::panic::Location;

use crate::core::context;
use crate::core::id::TaskId;
use crate::core::panics::{contain, swallow};
use crate::core::probe::{Event, Made, Probe, Resource, Watcher};
use crate::core::reactor::Direction;
pub(crate) use before::at_sources;
pub(crate) use doubt::{Doubt, is_doubted};
pub(crate) use numbers::Numbered;
use open::Open;
pub(crate) use open::key;
pub(crate) use place::{direction, is_word, place, word};

/// Tells a watcher that the running task begins to wait for something, at a place of its own there, or goes on waiting; or
/// that the wait at this place ends. `holder` is the task that has it or has to bring it about, if that is known.
#[inline]
#[track_caller]
pub(crate) fn tell(probe: &Probe, on: Resource, place: u64, holder: Option<TaskId>, begins: bool) {
    let is_known = matches!(on, Resource::Source(_) | Resource::Timer(_));
    if probe.is_on() && !(is_known && probe.skips_known.get()) {
        tell_watcher(probe, on, place, holder, begins, None);
    }
}

/// The same, with what is known of the lock or channel that is waited for. The place of the caller is where the program
/// waits.
#[cold]
#[track_caller]
pub(crate) fn tell_watcher(
    probe: &Probe,
    on: Resource,
    place: u64,
    holder: Option<TaskId>,
    begins: bool,
    made: Option<Made>,
) {
    if !begins {
        return probe.tell(Event::WaitDone { task: None, on }, place);
    }
    if probe.finds_deadlocks.get() {
        probe.place.set(Some((Location::caller(), made)));
    }
    // A watcher hears only of the tasks of its own loop.
    let here = context::current().filter(|context| std::ptr::eq(&raw const *context.probe, probe));
    let task = here.and_then(|context| context.executor.running());
    probe.tell(Event::WaitOn { task, on, holder }, place);
}

/// Is called with each event, and with the place of a wait. Says whether it wants to be told more.
pub(crate) type Sink = Watcher;

/// A watcher that tells these sinks, if there are any. Our own needs no balance, and is told first.
pub(crate) fn watch(own: Option<Sink>, balanced: Vec<Sink>) -> Option<Watcher> {
    let mut watch = Watch { sinks: balanced, waits: Open::default(), words: BTreeSet::new() };
    let balance = (!watch.sinks.is_empty())
        .then(|| Box::new(move |event: &Event, place| watch.see(event, place)) as Watcher);
    let mut all: Vec<_> = own.into_iter().chain(balance).collect();
    if all.len() > 1 { Some(together(all)) } else { all.pop() }
}

/// Adds a sink to a loop that runs already.
pub(crate) fn add(probe: &Probe, sink: Sink) {
    let (mut watch, mut has_begun) =
        (Watch { sinks: vec![sink], waits: Open::default(), words: BTreeSet::new() }, false);
    let late: Watcher = Box::new(move |event, place| {
        if *event == Event::Turn && !has_begun {
            has_begun = true;
            before::waits(|on, place, task, holder| watch.wait_begins(on, place, Some(task), holder));
        }
        !has_begun || watch.see(event, place)
    });
    probe.skips_known.set(false);
    probe.change(Box::new(|others| match others {
        Some(others) => together(vec![others, late]),
        None => late,
    }));
}

/// Several watchers as one.
fn together(mut watchers: Vec<Watcher>) -> Watcher {
    Box::new(move |event, place| {
        tell_all(&mut watchers, event, place);
        !watchers.is_empty()
    })
}

/// A sink that panics is dropped, because its state may be broken. So is one that wants to be told no more.
fn tell_all(sinks: &mut Vec<Sink>, event: &Event, place: u64) {
    sinks.retain_mut(|sink| {
        let told = contain(|| sink(event, place));
        if let Ok(true) = told {
            return true;
        }
        let gone = std::mem::replace(sink, Box::new(|_, _| false));
        told.err().into_iter().for_each(|payload| swallow(|| drop(payload)));
        swallow(|| drop(gone));
        false
    });
}

struct Watch {
    sinks: Vec<Sink>,
    /// The waits that were reported and have not ended.
    waits: Open,
    /// Those of tasks that have left word at a source, with the source and the place. They end with their task, which
    /// nothing else tells.
    words: BTreeSet<(TaskId, u64, u64)>,
}

impl Watch {
    /// Says whether a sink is left.
    fn see(&mut self, event: &Event, place: u64) -> bool {
        match *event {
            Event::PollBegin { .. } | Event::PollEnd { .. } | Event::Wake { .. } => self.tell(event, 0),
            Event::WaitOn { task, on, holder } => self.wait_begins(on, place, task, holder),
            Event::WaitDone { on, .. } => self.wait_ends_at(on, place),
            _ => self.see_rare(event),
        }
        !self.sinks.is_empty()
    }

    fn see_rare(&mut self, event: &Event) {
        match *event {
            Event::SourceReady { source, readable, writable } => {
                self.tell(event, 0);
                // Tasks that have left word wait no longer. All others end their waits themselves.
                for (ready, way) in [(readable, Direction::Read), (writable, Direction::Write)] {
                    if ready {
                        let is_there = |place| is_word(place) && direction(place) == way;
                        self.waits_end(Resource::Source(source), is_there);
                    }
                }
            }
            Event::Done { task, .. } => {
                let words = (task, 0, 0)..=(task, u64::MAX, u64::MAX);
                while let Some(&(_, source, place)) = self.words.range(words.clone()).next() {
                    self.wait_ends_at(Resource::Source(source), place);
                }
                self.tell(event, 0);
            }
            Event::SourceClosed { source } => {
                self.waits_end(Resource::Source(source), |_| true);
                self.tell(event, 0);
            }
            Event::Closed => {
                for (on, place, task) in std::mem::take(&mut self.waits).all() {
                    self.tell(&Event::WaitDone { task, on }, place);
                }
                self.tell(event, 0);
            }
            _ => self.tell(event, 0),
        }
    }

    /// A task begins to wait at a place, or goes on waiting there.
    fn wait_begins(&mut self, on: Resource, place: u64, task: Option<TaskId>, holder: Option<TaskId>) {
        match self.waits.begin(on, place, task) {
            Some(before) if before == task => return,
            Some(before) => self.tell(&Event::WaitDone { task: before, on }, place),
            None => {}
        }
        if let (Some(task), Resource::Source(source)) = (task, on)
            && is_word(place)
        {
            self.words.insert((task, source, place));
        }
        self.tell(&Event::WaitOn { task, on, holder }, place);
    }

    /// The waits at these places end, if they have begun.
    fn waits_end(&mut self, on: Resource, is_there: impl Fn(u64) -> bool) {
        for place in self.waits.places(on, is_there) {
            self.wait_ends_at(on, place);
        }
    }

    /// The wait at this place ends, if it has begun.
    fn wait_ends_at(&mut self, on: Resource, place: u64) {
        if let Some(task) = self.waits.end(on, place) {
            if let (Some(task), Resource::Source(source)) = (task, on) {
                self.words.remove(&(task, source, place));
            }
            self.tell(&Event::WaitDone { task, on }, place);
        }
    }

    #[inline]
    fn tell(&mut self, event: &Event, place: u64) {
        match &mut self.sinks[..] {
            // If there is only one and it panics, the probe drops it together with this watcher.
            [sink] => {
                if !sink(event, place) {
                    self.sinks.clear();
                }
            }
            _ => tell_all(&mut self.sinks, event, place),
        }
    }
}
