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
//! whether its beginning was reported.
//!
//! What it does not know: what is waited for.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::panic::Location;

use crate::core::context;
use crate::core::id::TaskId;
use crate::core::panics::{contain, swallow};
use crate::core::probe::{Event, Made, Probe, Resource, Watcher};
use crate::core::reactor::Direction;

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

/// Set in the place of a task that has left word at a source. Such a wait ends with the source's next report. Bit 62 is
/// the direction.
const WORD: u64 = 1 << 63;

/// The place of a future that waits at a source. Bit 61 is the direction.
pub(crate) fn place(direction: Direction, number: u64) -> u64 {
    (direction as u64) << 61 | number
}

/// The place of a task that has left word at a source.
pub(crate) fn word(direction: Direction, number: u64) -> u64 {
    WORD | (direction as u64) << 62 | number
}

/// Whether this is the place of a task that has left word.
pub(crate) fn is_word(place: u64) -> bool {
    place & WORD != 0
}

fn words(direction: Direction) -> RangeInclusive<u64> {
    word(direction, 0)..=word(direction, (1 << 62) - 1)
}

/// Which way the bytes go that a task waits for at this place of a source.
pub(crate) fn direction(place: u64) -> Direction {
    let bit = if place & WORD == 0 { 61 } else { 62 };
    if place & (1 << bit) == 0 { Direction::Read } else { Direction::Write }
}

/// Is called with each event, and with the place of a wait.
pub(crate) type Sink = Box<dyn FnMut(Event, u64)>;

/// A watcher that tells all of these sinks, if there are any.
pub(crate) fn watch(sinks: Vec<Sink>) -> Option<Watcher> {
    let mut watch = Watch { sinks, waits: BTreeMap::new() };
    (!watch.sinks.is_empty()).then(|| Box::new(move |event, place| watch.see(event, place)) as Watcher)
}

struct Watch {
    sinks: Vec<Sink>,
    /// The waits that were reported and have not ended, by [`key`] and place. Ordered, so that the waits left at the end
    /// are reported in the same order in each run.
    waits: BTreeMap<(u8, u64, u64), (Resource, Option<TaskId>)>,
}

/// A resource as two numbers, which are compared faster than the texts in it.
pub(crate) fn key(on: Resource) -> (u8, u64) {
    match on {
        Resource::Task(id) => (0, id.as_u64()),
        Resource::Timer(number) => (1, number),
        Resource::Source(number) => (2, number),
        Resource::Line { number, .. } => (3, number),
    }
}

/// All places of a resource.
const EVERYWHERE: RangeInclusive<u64> = 0..=u64::MAX;

impl Watch {
    /// Says whether a sink is left.
    fn see(&mut self, event: Event, place: u64) -> bool {
        match event {
            Event::WaitOn { task, on, holder } => self.wait_begins(on, place, task, holder),
            Event::WaitDone { on, .. } => {
                let (kind, number) = key(on);
                self.wait_ends_at((kind, number, place));
            }
            Event::SourceReady { source, readable, writable } => {
                self.tell(event, 0);
                // Tasks that have left word wait no longer. All others end their waits themselves.
                for (ready, direction) in [(readable, Direction::Read), (writable, Direction::Write)] {
                    if ready {
                        self.wait_ends(Resource::Source(source), &words(direction));
                    }
                }
            }
            Event::SourceClosed { source } => {
                self.wait_ends(Resource::Source(source), &EVERYWHERE);
                self.tell(event, 0);
            }
            Event::Closed => {
                while let Some(((_, _, place), (on, task))) = self.waits.pop_first() {
                    self.tell(Event::WaitDone { task, on }, place);
                }
                self.tell(event, 0);
            }
            _ => self.tell(event, 0),
        }
        !self.sinks.is_empty()
    }

    /// A task begins to wait at a place, or goes on waiting there.
    fn wait_begins(&mut self, on: Resource, place: u64, task: Option<TaskId>, holder: Option<TaskId>) {
        let (kind, number) = key(on);
        let before = self.waits.insert((kind, number, place), (on, task));
        if before == Some((on, task)) {
            return;
        }
        if let Some((on, task)) = before {
            self.tell(Event::WaitDone { task, on }, place);
        }
        self.tell(Event::WaitOn { task, on, holder }, place);
    }

    /// The waits at these places end, if they have begun.
    fn wait_ends(&mut self, on: Resource, places: &RangeInclusive<u64>) {
        let (kind, number) = key(on);
        let range = (kind, number, *places.start())..=(kind, number, *places.end());
        while let Some((&key, _)) = self.waits.range(range.clone()).next() {
            self.wait_ends_at(key);
        }
    }

    /// The wait at this place ends, if it has begun.
    fn wait_ends_at(&mut self, key: (u8, u64, u64)) {
        if let Some((on, task)) = self.waits.remove(&key) {
            self.tell(Event::WaitDone { task, on }, key.2);
        }
    }

    /// A sink that panics is dropped, because its state may be broken.
    #[inline]
    fn tell(&mut self, event: Event, place: u64) {
        // If there is only one, the probe drops it together with this watcher.
        if let [sink] = &mut self.sinks[..] {
            return sink(event, place);
        }
        self.tell_all(event, place);
    }

    fn tell_all(&mut self, event: Event, place: u64) {
        self.sinks.retain_mut(|sink| {
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
