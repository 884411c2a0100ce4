//! A set of tasks: fetch their results in the order in which they end.
//!
//! Facts. Handles in a `Vec` are awaited in the order of the `Vec`. To await whichever ends first, something has to note
//! which task has ended, or each wake asks all handles.
//!
//! What follows. The set wraps each future, and the wrapper's destructor notes the task's place. The future of a task is
//! dropped when the task ends, however it ends, so the notes are in the order of the ends. A note costs one push: no
//! waker is made for a member, and no handle is asked in vain. Only a task that leaves a cleanup is noted before it is over;
//! its handle is kept aside and asked again.
//!
//! Contract. Each member's result is given once. Dropping the set cancels its members, as [`TaskSet::cancel_all`] does; their
//! cleanups run on.
//!
//! Invariants. 4: the notes are not borrowed while a waker is cloned or woken. A member's place is given to another one only
//! after its result was given.
//!
//! | method | cancel safe |
//! |---|---|
//! | `next`, `join_next` | yes: results that are there stay until they are fetched |

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;
use slab::Slab;

use crate::core::context::{self, budget};
use crate::core::id::TaskId;
use crate::error::JoinError;
use crate::join::JoinHandle;
use crate::share::share;
use crate::waiter::Waiter;

/// Tasks whose results come in the order in which they end. Dropping the set cancels them.
///
/// ```
/// use std::time::Duration;
/// use roundel::{task::TaskSet, time};
///
/// let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let mut tasks = TaskSet::new();
///     for seconds in [3, 1, 2] {
///         tasks.spawn(async move {
///             time::sleep(Duration::from_secs(seconds)).await;
///             seconds
///         });
///     }
///     assert_eq!(tasks.join_next().await.unwrap().unwrap(), 1);
///     assert_eq!(tasks.join_next().await.unwrap().unwrap(), 2);
///     tasks.cancel_all();
///     assert!(tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
///     assert!(tasks.join_next().await.is_none());
/// });
/// ```
///
/// The futures of [`as_completed`](crate::group::as_completed) run inside the future that awaits them. These are tasks:
/// they run whether or not the set is awaited, and a panic ends only one of them.
pub struct TaskSet<T> {
    /// The members whose results were not given. A member's index is its place.
    handles: Slab<JoinHandle<T>>,
    ends: Rc<Ends>,
    /// The members that were noted, but go on as their cleanups; in the order of the notes.
    cleaning: VecDeque<usize>,
    /// In a loop that is watched: the task that was last reported to wait for the members, and those that have come since.
    reported: Option<TaskId>,
    unreported: BTreeSet<usize>,
}

/// What the members of a set leave to it.
struct Ends {
    /// The places of the members whose futures are gone and that were not looked at, in order.
    places: RefCell<VecDeque<usize>>,
    /// Whatever awaits the set. Taken by the first member that ends.
    waiter: Cell<Option<Waiter>>,
}

pin_project! {
    /// The future of a member. The fields are dropped in this order: the note comes when the future is gone.
    pub(super) struct Member<F> {
        #[pin]
        future: F,
        note: Note,
    }
}

impl<F: Future> Future for Member<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

/// Notes the place of a member when it is dropped.
struct Note {
    place: usize,
    ends: Rc<Ends>,
}

impl Drop for Note {
    fn drop(&mut self) {
        self.ends.places.borrow_mut().push_back(self.place);
        self.ends.waiter.take().into_iter().for_each(Waiter::wake);
    }
}

impl<T> TaskSet<T> {
    /// A set without tasks.
    #[must_use]
    pub fn new() -> TaskSet<T> {
        let ends = Rc::new(Ends { places: RefCell::default(), waiter: Cell::new(None) });
        TaskSet {
            handles: Slab::new(),
            ends,
            cleaning: VecDeque::new(),
            reported: None,
            unreported: BTreeSet::new(),
        }
    }

    /// How many tasks are in the set: those that have not ended, and those whose results were not fetched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Whether all results have been fetched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// Cancels all tasks that have not ended. They stay in the set, and their results say that they were cancelled. To wait
    /// for their cleanups, fetch the results.
    pub fn cancel_all(&self) {
        self.handles.iter().for_each(|(_, handle)| handle.cancel());
    }

    /// Wraps the future of the next member, which has to be spawned and [admitted](TaskSet::admit) at once.
    pub(super) fn member<F>(&self, future: F) -> Member<F> {
        let note = Note { place: self.handles.vacant_key(), ends: Rc::clone(&self.ends) };
        Member { future, note }
    }

    pub(super) fn admit(&mut self, handle: JoinHandle<T>) -> TaskId {
        let id = handle.id();
        let place = self.handles.insert(handle);
        if context::is_watched() {
            self.unreported.insert(place);
        }
        id
    }
}

impl<T: 'static> TaskSet<T> {
    /// The result of the next task that ends; `None` if no task is left.
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task panicked or was cancelled.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The same as [`join_next`](TaskSet::join_next), under the name that it has with streams.
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task panicked or was cancelled.
    pub async fn next(&mut self) -> Option<Result<T, JoinError>> {
        self.join_next().await
    }

    /// The result of the member that ended first, of those that are over.
    #[track_caller]
    fn next_over(&mut self, cx: &mut Context<'_>) -> Option<Result<T, JoinError>> {
        for index in 0..self.cleaning.len() {
            if let Poll::Ready(result) = self.poll_member(self.cleaning[index], cx) {
                self.cleaning.remove(index);
                return Some(result);
            }
        }
        loop {
            let place = self.ends.places.borrow_mut().pop_front()?;
            match self.poll_member(place, cx) {
                Poll::Ready(result) => return Some(result),
                Poll::Pending => self.cleaning.push_back(place),
            }
        }
    }

    /// The result of a member, which leaves the set with it. With enough budget, so that `Pending` means "not over".
    #[track_caller]
    fn poll_member(&mut self, place: usize, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let handle = &mut self.handles[place];
        let result = ready!(share(|| Pin::new(handle).poll(cx)));
        drop(self.handles.remove(place));
        self.unreported.remove(&place);
        Poll::Ready(result)
    }

    /// Tells a watcher that the running task waits for each of the members.
    #[cold]
    #[track_caller]
    fn report(&mut self) {
        let running = context::current().and_then(|context| context.executor.running());
        let new = std::mem::take(&mut self.unreported);
        if std::mem::replace(&mut self.reported, running) == running {
            new.into_iter().filter_map(|place| self.handles.get(place)).for_each(JoinHandle::report_wait);
        } else {
            self.handles.iter().for_each(|(_, handle)| handle.report_wait());
        }
    }
}

impl<T: 'static> Stream for TaskSet<T> {
    type Item = Result<T, JoinError>;

    #[track_caller]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        ready!(budget::spend(cx.waker()));
        if self.is_empty() {
            return Poll::Ready(None);
        }
        let mut is_noted = false;
        loop {
            if let Some(result) = self.next_over(cx) {
                return Poll::Ready(Some(result));
            }
            if is_noted {
                break;
            }
            // To clone and to drop a waker may run foreign code, which may end a member: look again after that.
            let old = self.ends.waiter.replace(Some(Waiter::new(cx.waker())));
            drop(old);
            is_noted = true;
        }
        if context::is_watched() {
            self.report();
        }
        Poll::Pending
    }
}

impl<T> Drop for TaskSet<T> {
    fn drop(&mut self) {
        self.cancel_all();
    }
}

impl<T> Default for TaskSet<T> {
    fn default() -> TaskSet<T> {
        TaskSet::new()
    }
}

impl<T> fmt::Debug for TaskSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSet").field("len", &self.len()).finish_non_exhaustive()
    }
}
