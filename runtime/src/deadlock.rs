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
//! - A *circle*, while other tasks go on: each of some tasks waits for nothing but the end of another one of them, or for
//!   a [`Mutex`](crate::sync::Mutex) that another one of them holds, and no other task can cancel any of them.
//!
//! Contract. No false alarm: when it is not certain that tasks wait for ever, nothing is said. In particular, a task that
//! waits for several things is blocked only if all of them are. So some deadlocks are not noticed:
//!
//! - the whole loop, while a `Remote` or a `RemoteHandle` lives, wherever it is, or while a lock of another crate keeps a
//!   waker of a live task;
//! - a circle beside tasks that go on, if a task of the circle has a handle that no task of the circle awaits, or if one of
//!   them waits for a channel or a semaphore, which any task may use.
//!
//! A mutex counts as held by the task that has locked it, even if the program moves the guard into another task.
//!
//! Deadlocks are looked for in a loop with [`debug`](crate::Builder::debug), with
//! [`virtual_time`](crate::Builder::virtual_time) or with [`on_deadlock`](crate::Builder::on_deadlock);
//! [`detect_deadlocks`](crate::Builder::detect_deadlocks) switches that on or off by itself.
//!
//! - In debug mode, the report goes to standard error.
//! - `on_deadlock` hands it to the program.
//! - On virtual time, `block_on` panics with it if its own future can never go on, because a test must not hang. (If
//!   `on_deadlock` has made a task ready, it goes on.)
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

use std::borrow::Cow;
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
    /// has.
    #[must_use]
    pub fn circles(&self) -> Vec<Vec<TaskId>> {
        let mut circles: Vec<Vec<TaskId>> = Vec::new();
        for task in &self.tasks {
            let is_new = !circles.iter().any(|circle| circle.contains(&task.id));
            circles.extend(self.circle_from(task.id).filter(|_| is_new));
        }
        circles
    }

    /// The circle that leads from a task back to itself, if there is one. Each task is looked at once.
    fn circle_from(&self, start: TaskId) -> Option<Vec<TaskId>> {
        let (mut path, mut seen) = (vec![start], vec![start]);
        while let Some(last) = path.last() {
            let mut next = self.holders(*last);
            if next.clone().any(|holder| holder == start) {
                return Some(path);
            }
            match next.find(|holder| !seen.contains(holder)) {
                Some(holder) => {
                    path.push(holder);
                    seen.push(holder);
                }
                None => _ = path.pop(),
            }
        }
        None
    }

    /// The tasks that have what this one waits for.
    fn holders(&self, id: TaskId) -> impl Iterator<Item = TaskId> + Clone {
        let task = self.tasks.iter().find(|task| task.id == id);
        task.into_iter().flat_map(|task| &task.waits).filter_map(|wait| wait.holder)
    }
}
