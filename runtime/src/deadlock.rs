//! Tasks that wait for each other for ever: how that is noticed, and what is said about it.
//!
//! Facts. A loop with nothing to do sleeps. A loop whose tasks all wait for each other sleeps just the same, and nothing
//! will ever end that sleep. What can end it comes from a timer, from a source that a task waits for, from another thread
//! by a [`Remote`](crate::Remote), or from code that keeps a waker. Each of these can be counted.
//!
//! What follows. There are two kinds of deadlock.
//!
//! - The *whole* loop: it is about to sleep without a limit, no timer is set, no task waits for a source, no `Remote` is
//!   left, and no code outside of this crate keeps the waker of a task. Then nothing can happen any more, whatever the
//!   tasks wait for.
//! - A *circle*, while other tasks go on: each task of the circle waits for nothing but a
//!   [`Mutex`](crate::sync::Mutex) that the next one holds, and has no handle with which it could be cancelled.
//!
//! Contract. No false alarm, with one exception: a mutex counts as held by the task that has locked it, even if the program
//! moves the guard into another task. Then a circle may be reported that this other task is going to open.
//!
//! When it is not certain that tasks wait for ever, nothing is said. In particular, a task that waits for several things is
//! blocked only if all of them are. So some deadlocks are not noticed:
//!
//! - the whole loop, while a `Remote` or a `RemoteHandle` lives, wherever it is, or while a lock of another crate keeps a
//!   waker of a live task;
//! - the whole loop, if another thread takes longer than some milliseconds to let go of the loop after its last answer;
//! - a circle beside tasks that go on, if one of its tasks has a handle. Any task may have it, so also one that awaits the
//!   end of a task is in no such circle;
//! - such a circle, if one of its tasks waits for a channel or a semaphore, which any task may use; if it has polled the
//!   child of a scope whose handle lives; or if it runs a group of futures that another task has run before;
//! - such a circle of more than 256 tasks.
//!
//! Deadlocks are looked for in a loop with [`debug`](crate::Builder::debug), with
//! [`virtual_time`](crate::Builder::virtual_time) or with [`on_deadlock`](crate::Builder::on_deadlock);
//! [`detect_deadlocks`](crate::Builder::detect_deadlocks) switches that on or off by itself.
//!
//! - In debug mode, the report goes to standard error.
//! - `on_deadlock` hands it to the program.
//! - On virtual time, `block_on` panics with it if its own future can never go on, because a test must not hang. (If
//!   `on_deadlock` has made a task ready that could not go on, the `block_on` goes on, too.)
//!
//! Each deadlock is reported once.
//!
//! ```
//! use std::rc::Rc;
//! use roundel::{Runtime, spawn, sync::Mutex, yield_now};
//!
//! async fn transfer(from: Rc<Mutex<i32>>, to: Rc<Mutex<i32>>) {
//!     let mut from = from.lock().await;
//!     yield_now().await;
//!     *to.lock().await += 10;
//!     *from -= 10;
//! }
//!
//! let test = std::panic::catch_unwind(|| {
//!     let runtime = Runtime::builder().virtual_time(true).build().unwrap();
//!     runtime.block_on(async {
//!         let (a, b) = (Rc::new(Mutex::new(50).named("a")), Rc::new(Mutex::new(50).named("b")));
//!         let there = spawn(transfer(a.clone(), b.clone()));
//!         let back = spawn(transfer(b, a));
//!         roundel::group::join!(there, back)
//!     })
//! });
//! let report = test.unwrap_err().downcast::<String>().unwrap();
//! assert!(report.starts_with("deadlock: no task can go on"), "{report}");
//! assert!(report.contains("waits for mutex \"b\""), "{report}");
//! ```
//!
//! What it does not know: how the loop turns.

mod detector;
mod report;
mod waits;
mod way;

use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::Location;
use std::time::Duration;

pub(crate) use self::detector::{Callback, Detector, Stop};
use crate::core::id::TaskId;
use crate::core::probe::Resource;

/// Tasks that wait for ever. Its `Display` is the report.
///
/// ```
/// use roundel::Runtime;
/// let told = std::rc::Rc::new(std::cell::Cell::new(0));
/// let count = told.clone();
/// let runtime = Runtime::builder()
///     .virtual_time(true)
///     .on_deadlock(move |deadlock| count.set(deadlock.tasks().len()))
///     .build()
///     .unwrap();
/// let forever = std::panic::AssertUnwindSafe(|| runtime.block_on(std::future::pending::<()>()));
/// assert!(std::panic::catch_unwind(forever).is_err());
/// assert_eq!(told.get(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Deadlock {
    tasks: Vec<Blocked>,
    is_whole: bool,
}

/// A task that waits for ever.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Blocked {
    /// Its number.
    pub id: TaskId,
    /// Its name, if it has one.
    pub name: Option<Cow<'static, str>>,
    /// Where it was spawned; `None` for the future of a `block_on`.
    pub spawned_at: Option<&'static Location<'static>>,
    /// All that it waits for. Empty if that is nothing that this crate knows; then no waker of the task is left.
    pub waits: Vec<Wait>,
}

/// One thing that a task waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wait {
    /// What it is.
    pub on: Resource,
    /// The name of the lock or channel, if it has one.
    pub name: Option<&'static str>,
    /// Where the lock or channel was made.
    pub made_at: Option<&'static Location<'static>>,
    /// Where in the program the task waits. `None` if that is inside a function of this crate, such as an `async fn`
    /// around the wait.
    pub waits_at: Option<&'static Location<'static>>,
    /// The task that is awaited, or that holds the lock, if that is known.
    pub holder: Option<TaskId>,
    /// How long it has held a mutex, by the clock of the loop.
    pub held_for: Option<Duration>,
}

impl Deadlock {
    /// The tasks that wait for ever, in the order of their slots.
    #[must_use]
    pub fn tasks(&self) -> &[Blocked] {
        &self.tasks
    }

    /// Whether no task of the loop can go on. Otherwise these tasks wait for each other, while others go on.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The circles among the tasks: each task waits for what the next one has, and the last one for what the first one
    /// has. No task is in two of them.
    #[must_use]
    pub fn circles(&self) -> Vec<Vec<TaskId>> {
        let holders = self.holders();
        let mut search =
            Search { circles: Vec::new(), path: Vec::new(), marks: vec![Mark::New; self.tasks.len()] };
        (0..self.tasks.len()).for_each(|start| search.search(start, &holders));
        let id = |place: &usize| self.tasks[*place].id;
        search.circles.iter().map(|circle| circle.iter().map(id).collect()).collect()
    }

    /// For each task, the places of those that have what it waits for.
    fn holders(&self) -> Vec<Vec<usize>> {
        let places: HashMap<_, _> =
            self.tasks.iter().zip(0..).map(|(task, place)| (task.id, place)).collect();
        let holder = |wait: &Wait| wait.holder.and_then(|id| places.get(&id).copied());
        self.tasks.iter().map(|task| task.waits.iter().filter_map(holder).collect()).collect()
    }

    /// A task of the deadlock.
    fn task(&self, id: TaskId) -> Option<&Blocked> {
        let place = self.tasks.binary_search_by_key(&id.slot(), |task| task.id.slot()).ok()?;
        Some(&self.tasks[place]).filter(|task| task.id == id)
    }
}

/// How far the search for circles has come with a task.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    /// It is on the path, at this place.
    OnPath(usize),
    Done,
}

/// A depth-first search. Each task is on the path once.
struct Search {
    circles: Vec<Vec<usize>>,
    /// The tasks on the path, each with the number of its holders that have been looked at.
    path: Vec<(usize, usize)>,
    marks: Vec<Mark>,
}

impl Search {
    fn search(&mut self, start: usize, holders: &[Vec<usize>]) {
        self.enter(start);
        while let Some((task, next)) = self.path.last_mut() {
            let Some(holder) = holders[*task].get(*next).copied() else {
                self.leave(self.path.len() - 1);
                continue;
            };
            *next += 1;
            match self.marks[holder] {
                Mark::New => self.enter(holder),
                Mark::OnPath(place) => {
                    self.circles.push(self.path[place..].iter().map(|(task, _)| *task).collect());
                    self.leave(place);
                }
                Mark::Done => {}
            }
        }
    }

    fn enter(&mut self, task: usize) {
        if self.marks[task] == Mark::New {
            self.marks[task] = Mark::OnPath(self.path.len());
            self.path.push((task, 0));
        }
    }

    /// The tasks on the path from this place on are done with.
    fn leave(&mut self, place: usize) {
        for (task, _) in self.path.drain(place..) {
            self.marks[task] = Mark::Done;
        }
    }
}
