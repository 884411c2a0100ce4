//! The waits of tasks, as a watcher hears of them.
//!
//! Facts. A task waits for a source, a deadline, another task, or in a line. It may be woken by one thing and wait for the
//! next in the same poll. A loop that is not watched must not pay for any of this.
//!
//! Contract. All that waits tells of it here, when the wait begins and when it ends. A sink hears of each wait once when it
//! begins and once when it ends, by the same task.
//!
//! What follows. One watcher stands between the loop and all sinks. It notes each wait that it has reported, because a wait
//! may end in another task than the one that began it, outside of the loop, or never, and the code that ends it may not know
//! whether its beginning was reported. If a loop gets its first sink while it runs, the waits that the loop itself knows are
//! reported at the next turn (`waits/before.rs`). One in a line is not known before it begins anew.
//!
//! What it does not know: what is waited for.

mod before;
mod numbers;
mod open;
mod place;

use std::panic::Location;

use crate::core::context::{self, Context};
use crate::core::id::TaskId;
use crate::core::journal::Entry;
use crate::core::panics::{contain, swallow};
pub(crate) use crate::core::probe::Sink;
use crate::core::probe::{Change, Event, Listener, Made, Probe, Resource, Watcher};
use crate::core::reactor::Direction;
pub(crate) use numbers::Numbered;
use open::Open;
use place::is_word;
pub(crate) use place::{direction, place, word};

/// Tells a watcher that the running task begins to wait for something, at a place of its own there, or goes on waiting; or
/// that the wait at this place ends. `holder` is the task that has it or has to bring it about, if that is known.
#[inline]
#[track_caller]
pub(crate) fn tell(probe: &Probe, on: Resource, place: u64, holder: Option<TaskId>, begins: bool) {
    if probe.is_on() {
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
    probe.place.set(Some((Location::caller(), made)));
    // A watcher hears only of the tasks of its own loop.
    let here = context::current().filter(|context| std::ptr::eq(&raw const *context.probe, probe));
    let task = here.and_then(|context| context.executor.running());
    probe.tell(Event::WaitOn { task, on, holder }, place);
}

/// A watcher that tells all of these, if there are any.
pub(crate) fn watch(listeners: Vec<Listener>) -> Option<Box<dyn Watcher>> {
    (!listeners.is_empty()).then(|| Box::new(Watch { listeners, ..Watch::default() }) as Box<dyn Watcher>)
}

/// One that hears of each event at once, and stays.
pub(crate) fn listener(sink: Sink) -> Listener {
    Listener { number: 0, sink, reader: None }
}

/// From now on a loop tells this one, too.
pub(crate) fn add(context: &Context, listener: Listener) {
    if !context.probe.is_on() {
        let watch = Watch { is_late: true, ..Watch::default() };
        context.probe.begin(Box::new(watch));
        context.set_watched(true);
    }
    context.probe.change(Change::Add(listener));
}

#[derive(Default)]
struct Watch {
    listeners: Vec<Listener>,
    /// The waits that were reported and have not ended.
    waits: Open,
    /// Set until the first turn if the loop ran before it was watched.
    is_late: bool,
}

impl Watcher for Watch {
    fn see(&mut self, event: Event, place: u64) -> bool {
        match event {
            Event::PollBegin { .. } | Event::PollEnd { .. } | Event::Wake { .. } => self.tell(event, 0),
            Event::WaitOn { task, on, holder } => self.wait_begins(on, place, task, holder),
            Event::WaitDone { on, .. } => self.wait_ends_at(on, place),
            event => self.see_rare(event),
        }
        !self.listeners.is_empty()
    }

    fn read(&mut self, entries: &[Entry]) {
        for listener in &mut self.listeners {
            if let Some(read) = &mut listener.reader {
                read(entries);
            }
        }
    }

    fn can_wait(&self) -> bool {
        self.listeners.iter().all(|listener| listener.reader.is_some())
    }

    fn change(&mut self, change: Change) {
        match change {
            // A newcomer hears of the waits that go on.
            Change::Add(mut listener) => {
                for (on, place, task) in self.waits.all() {
                    (listener.sink)(Event::WaitOn { task, on, holder: None }, place);
                }
                self.listeners.push(listener);
            }
            Change::Remove(number) => {
                let gone = self.listeners.extract_if(.., |listener| listener.number == number);
                gone.for_each(|listener| swallow(|| drop(listener)));
            }
        }
    }
}

impl Watch {
    fn see_rare(&mut self, event: Event) {
        match event {
            Event::Turn if self.is_late => {
                self.is_late = false;
                before::waits(|on, place, task, holder| self.wait_begins(on, place, Some(task), holder));
                self.tell(event, 0);
            }
            Event::SourceReady { source, readable, writable } => {
                self.tell(event, 0);
                // Tasks that have left word wait no longer. All others end their waits themselves.
                for (ready, direction) in [(readable, Direction::Read), (writable, Direction::Write)] {
                    if ready {
                        self.waits_end(Resource::Source(source), |place| is_word(place, direction));
                    }
                }
            }
            Event::SourceClosed { source } => {
                self.waits_end(Resource::Source(source), |_| true);
                self.tell(event, 0);
            }
            Event::Closed => {
                for (on, place, task) in std::mem::take(&mut self.waits).all() {
                    self.tell(Event::WaitDone { task, on }, place);
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
            Some(before) => self.tell(Event::WaitDone { task: before, on }, place),
            None => {}
        }
        self.tell(Event::WaitOn { task, on, holder }, place);
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
            self.tell(Event::WaitDone { task, on }, place);
        }
    }

    /// A sink that panics is dropped, because its state may be broken.
    #[inline]
    fn tell(&mut self, event: Event, place: u64) {
        // If there is only one, the probe drops it together with this watcher.
        if let [listener] = &mut self.listeners[..] {
            return (listener.sink)(event, place);
        }
        self.tell_all(event, place);
    }

    fn tell_all(&mut self, event: Event, place: u64) {
        self.listeners.retain_mut(|Listener { sink, .. }| {
            let told = contain(|| sink(event, place));
            if let Err(payload) = told {
                let broken = std::mem::replace(sink, Box::new(|_, _| ()));
                swallow(|| drop(payload));
                swallow(|| drop(broken));
                return false;
            }
            true
        });
    }
}
