//! The rows of a loop's tasks, in pages.
//!
//! Facts. There may be a million tasks. A table that is made larger is copied, and the loop would wait for that. The slot of a
//! task is a small number, used again and again.
//!
//! What follows. A row stands where the slot says, in pages of 64. A new page moves no other one. A page without tasks is given
//! back, except a few, so that a task that comes and goes alone does not take a page each time.
//!
//! Contract. A number whose serial is not that of the row finds nothing.
//!
//! What it does not know: what is written into the rows.

use std::borrow::Cow;
use std::panic::Location;

use crate::core::clock::Nanos;
use crate::core::id::TaskId;
use crate::core::probe::Resource;
use crate::inspect::lines::Line;

/// Where a task was spawned, and how many bytes it takes. `None` for the future of a `block_on`.
pub(super) type Origin = Option<(&'static Location<'static>, usize)>;

/// What is known of a task.
pub(super) struct Row {
    pub(super) id: TaskId,
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) origin: Origin,
    pub(super) by: Option<TaskId>,
    /// Set by a spawn and by a wake; cleared when a poll begins.
    pub(super) is_queued: bool,
    /// Set by a cancel. If the task goes on, it goes on as its cleanup.
    pub(super) is_cancelled: bool,
    /// When it was queued; or, if it is not, when its last poll ended.
    pub(super) since: Nanos,
    pub(super) born: Nanos,
    pub(super) polls: u64,
    pub(super) busy: Nanos,
    /// The last turn in which a report has ended one of its waits.
    pub(super) reported: u64,
    /// The task that awaits it, as far as that is known.
    pub(super) awaited_by: Option<TaskId>,
    pub(super) waits: Waits,
}

/// How many waits of a task are kept. A task may await 100,000 others at once.
const MOST_WAITS: usize = 16;

/// What a task waits for.
#[derive(Default)]
pub(super) struct Waits {
    pub(super) list: Vec<Waiting>,
    /// Set when a wait finds no place in the list; cleared when the list is empty.
    pub(super) has_more: bool,
}

impl Waits {
    /// A wait begins, or goes on. Returns whether there was room for it.
    pub(super) fn begin(&mut self, waiting: Waiting) -> bool {
        match self.position(waiting.on, waiting.place) {
            Some(_) => {}
            None if self.list.len() < MOST_WAITS => self.list.push(waiting),
            None => {
                self.has_more = true;
                return false;
            }
        }
        true
    }

    /// Takes a wait out that is over.
    pub(super) fn end(&mut self, on: Resource, place: u64) -> Option<Waiting> {
        let waiting = self.position(on, place).map(|at| self.list.remove(at));
        self.has_more &= !self.list.is_empty();
        waiting
    }

    fn position(&self, on: Resource, place: u64) -> Option<usize> {
        self.list.iter().position(|waiting| waiting.place == place && same(waiting.on, on))
    }
}

/// Compares the numbers first: a text in a resource takes longer to compare.
fn same(one: Resource, other: Resource) -> bool {
    match (one, other) {
        (Resource::Line { number: one, .. }, Resource::Line { number: other, .. }) => one == other,
        (one, other) => one == other,
    }
}

/// A wait that has not ended.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    pub(super) on: Resource,
    pub(super) place: u64,
    pub(super) since: Nanos,
    pub(super) deadline: Option<Nanos>,
    pub(super) line: Line,
}

impl Row {
    /// Whether it is the future of a `block_on`, or what stands in for one at the shutdown.
    pub(super) fn is_root(&self) -> bool {
        self.origin.is_none() && self.by.is_none()
    }
}

/// How many rows a page has.
const ROWS: usize = 64;
/// This many pages without tasks are kept, so that a single task that comes and goes does not take a page each time.
const SPARE: usize = 16;

#[derive(Default)]
pub(super) struct Pages {
    pages: Vec<Page>,
    /// How many tasks there are.
    pub(super) live: usize,
    /// How many pages have room and no task.
    spare: usize,
}

#[derive(Default)]
struct Page {
    live: usize,
    /// All `ROWS`, or none if the page was given back.
    rows: Vec<Option<Row>>,
}

impl Pages {
    /// The rows of a page, of which some may have no task; `None` after the last one.
    pub(super) fn page(&self, number: usize) -> Option<impl Iterator<Item = &Row>> {
        self.pages.get(number).map(|page| page.rows.iter().flatten())
    }

    pub(super) fn get(&self, id: TaskId) -> Option<&Row> {
        let row = self.pages.get(id.slot() / ROWS)?.rows.get(id.slot() % ROWS)?;
        row.as_ref().filter(|row| row.id == id)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut Row> {
        let row = self.pages.get_mut(id.slot() / ROWS)?.rows.get_mut(id.slot() % ROWS)?;
        row.as_mut().filter(|row| row.id == id)
    }

    pub(super) fn insert(&mut self, row: Row) {
        let (number, place) = (row.id.slot() / ROWS, row.id.slot() % ROWS);
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, Page::default);
        }
        let page = &mut self.pages[number];
        if page.rows.is_empty() {
            page.rows.resize_with(ROWS, || None);
            self.spare += 1;
        }
        self.spare -= usize::from(page.live == 0);
        // Nothing tells of a task that the shutdown has leaked, so its row may be there.
        if page.rows[place].replace(row).is_none() {
            page.live += 1;
            self.live += 1;
        }
    }

    pub(super) fn remove(&mut self, id: TaskId) -> Option<Row> {
        let page = self.pages.get_mut(id.slot() / ROWS)?;
        let row = page.rows.get_mut(id.slot() % ROWS)?.take_if(|row| row.id == id)?;
        page.live -= 1;
        self.live -= 1;
        if page.live == 0 {
            self.spare += 1;
            if self.spare > SPARE {
                page.rows = Vec::new();
                self.spare -= 1;
            }
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: TaskId) -> Row {
        Row {
            id,
            name: None,
            origin: None,
            by: None,
            is_queued: true,
            is_cancelled: false,
            since: 0,
            born: 0,
            polls: 0,
            busy: 0,
            reported: 0,
            awaited_by: None,
            waits: Waits::default(),
        }
    }

    #[test]
    fn a_row_is_found_by_its_whole_number_only() {
        let mut pages = Pages::default();
        let (old, new, far) = (TaskId::new(0, 1, 3), TaskId::new(0, 2, 3), TaskId::new(0, 1, 100_000));
        pages.insert(row(old));
        assert!(pages.get(old).is_some() && pages.get(new).is_none() && pages.get(far).is_none());
        assert!(pages.remove(new).is_none() && pages.remove(old).is_some() && pages.remove(old).is_none());
        pages.insert(row(new));
        pages.insert(row(far));
        assert!(pages.get(old).is_none() && pages.get_mut(new).is_some() && pages.get_mut(far).is_some());
        assert_eq!(pages.live, 2);
    }

    #[test]
    fn hazard_64_pages_without_tasks_are_given_back_except_a_few() {
        let mut pages = Pages::default();
        let ids: Vec<TaskId> = (0..100_000).map(|slot| TaskId::new(0, 1, slot)).collect();
        let room = |pages: &Pages| pages.pages.iter().map(|page| page.rows.len()).sum::<usize>();
        for round in 0..3 {
            ids.iter().for_each(|id| pages.insert(row(*id)));
            assert_eq!((pages.live, pages.spare), (100_000, 0), "round {round}");
            assert!(room(&pages) < 100_000 + ROWS);
            // A reader holds the lock for one page, and all pages together are all tasks.
            let sizes: Vec<usize> = (0..).map_while(|number| Some(pages.page(number)?.count())).collect();
            assert_eq!((sizes.iter().max(), sizes.iter().sum()), (Some(&64), 100_000));
            ids.iter().for_each(|id| assert!(pages.remove(*id).is_some()));
            assert_eq!((pages.live, pages.spare), (0, SPARE), "round {round}");
            assert_eq!(room(&pages), SPARE * ROWS);
        }
    }
}
