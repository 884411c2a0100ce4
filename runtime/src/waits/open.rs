//! The waits that have begun and not ended.
//!
//! Facts. Nearly always one task waits for one thing, at one place. A wait begins and ends with each message of a channel.
//!
//! What follows. The waits are found by what they are for. The first wait for a thing stands in the map itself, so to begin
//! and to end it allocates nothing. At the end, the waits that are left are given in an order that is the same in each run.
//!
//! What it does not know: what a wait is.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::numbers::Numbered;
use crate::core::id::TaskId;
use crate::core::probe::Resource;

#[derive(Default)]
pub(super) struct Open {
    waits: HashMap<(u8, u64), Waits, Numbered>,
}

/// Those for one thing.
struct Waits {
    on: Resource,
    /// A place, and the task that waits there.
    first: (u64, Option<TaskId>),
    more: BTreeMap<u64, Option<TaskId>>,
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

impl Open {
    /// A task waits at this place. Returns the one that waited there before.
    pub(super) fn begin(&mut self, on: Resource, place: u64, task: Option<TaskId>) -> Option<Option<TaskId>> {
        let waits = match self.waits.entry(key(on)) {
            Entry::Occupied(waits) => waits.into_mut(),
            Entry::Vacant(vacant) => {
                vacant.insert(Waits { on, first: (place, task), more: BTreeMap::new() });
                return None;
            }
        };
        if waits.first.0 == place {
            return Some(std::mem::replace(&mut waits.first.1, task));
        }
        waits.more.insert(place, task)
    }

    /// The wait at this place ends. Returns the task that waited, if there was such a wait.
    pub(super) fn end(&mut self, on: Resource, place: u64) -> Option<Option<TaskId>> {
        let Entry::Occupied(mut found) = self.waits.entry(key(on)) else { return None };
        let waits = found.get_mut();
        let (first, task) = waits.first;
        if first != place {
            return waits.more.remove(&place);
        }
        match waits.more.pop_first() {
            Some(next) => waits.first = next,
            None => drop(found.remove()),
        }
        Some(task)
    }

    /// The places of this kind at which tasks wait for a thing, in order.
    pub(super) fn places(&self, on: Resource, is_wanted: impl Fn(u64) -> bool) -> Vec<u64> {
        let Some(waits) = self.waits.get(&key(on)) else { return Vec::new() };
        let all = std::iter::once(&waits.first.0).chain(waits.more.keys()).copied();
        let mut places: Vec<u64> = all.filter(|place| is_wanted(*place)).collect();
        places.sort_unstable();
        places
    }

    /// All of them, by what they are for, and there by their places.
    pub(super) fn all(&self) -> Vec<(Resource, u64, Option<TaskId>)> {
        let each = |waits: &Waits| {
            let first = std::iter::once(waits.first);
            let all = first.chain(waits.more.iter().map(|(place, task)| (*place, *task)));
            let on = waits.on;
            all.map(move |(place, task)| (on, place, task)).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.waits.values().flat_map(each).collect();
        all.sort_unstable_by_key(|(on, place, _)| (key(*on), *place));
        all
    }
}
