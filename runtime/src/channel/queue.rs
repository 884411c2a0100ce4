//! A queue of work: who puts in can wait until all of it has been done.
//!
//! Facts. That a queue is empty does not mean that the work is done: the last piece may be in somebody's hands.
//!
//! Contract. As asyncio's: each `put` counts one piece of work as unfinished, each `task_done` one as finished; `join`
//! waits until none is unfinished; a `put` that waits for room counts, too. One object for both ends, cheap to clone; so it ends only by `close`: what is in
//! can still be fetched, and then comes [`Closed`].
//!
//! | method | cancel safe |
//! |---|---|
//! | `get` | yes: no value is lost |
//! | `put` | the value is dropped with the future, unless it had been put in |
//! | `join` | yes |

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::channel::line::{Line, Send};
use crate::channel::mpmc::Recv;
use crate::channel::store::Store;
use crate::channel::{Closed, TryRecvError, TrySendError};
use crate::waiting::WaitQueue;

/// Work for several workers, of which one can wait until it is done.
///
/// ```
/// use roundel::channel::Queue;
/// roundel::run(async {
///     let queue = Queue::new(4);
///     for _ in 0..3 {
///         let queue = queue.clone();
///         roundel::spawn(async move {
///             while let Ok(_work) = queue.get().await {
///                 roundel::yield_now().await;
///                 queue.task_done();
///             }
///         })
///         .detach();
///     }
///     for work in 0..20 {
///         queue.put(work).await.unwrap();
///     }
///     queue.join().await;
///     assert_eq!(queue.unfinished(), 0);
///     queue.close(); // the workers end
/// });
/// ```
pub struct Queue<T> {
    shared: Rc<Shared<T>>,
}

struct Shared<T> {
    line: Line<T>,
    unfinished: Cell<usize>,
    joining: WaitQueue,
}

impl<T> Queue<T> {
    /// First in, first out; at most `capacity` at a time.
    pub fn new(capacity: usize) -> Queue<T> {
        Queue::with(Store::fifo(), Some(capacity))
    }

    /// The same as [`new`](Queue::new).
    pub fn bounded(capacity: usize) -> Queue<T> {
        Queue::new(capacity)
    }

    /// First in, first out, without a limit.
    pub fn unbounded() -> Queue<T> {
        Queue::with(Store::fifo(), None)
    }

    /// The newest first.
    pub fn lifo(capacity: usize) -> Queue<T> {
        Queue::with(Store::lifo(), Some(capacity))
    }

    /// The smallest first; of equal ones, the first.
    pub fn priority(capacity: usize) -> Queue<T>
    where
        T: Ord + 'static,
    {
        Queue::with(Store::smallest_first(), Some(capacity))
    }

    fn with(store: Store<T>, capacity: Option<usize>) -> Queue<T> {
        let line = Line::new(store, capacity);
        Queue {
            shared: Rc::new(Shared {
                line,
                unfinished: Cell::new(0),
                joining: WaitQueue::new("queue's end"),
            }),
        }
    }

    /// Puts a value in; waits for room, if there is none.
    ///
    /// # Errors
    ///
    /// If the queue is closed. The value comes back.
    pub fn put(&self, value: T) -> Put<'_, T> {
        // Counted before anybody can fetch it, or it might be done before it was begun.
        Put { counted: Some(self.count()), send: self.shared.line.send(value) }
    }

    /// Puts a value in, if there is room.
    ///
    /// # Errors
    ///
    /// If there is none, or the queue is closed. The value comes back.
    pub fn try_put(&self, value: T) -> Result<(), TrySendError<T>> {
        let counted = self.count();
        self.shared.line.try_send(value)?;
        std::mem::forget(counted);
        Ok(())
    }

    /// Waits for a value.
    ///
    /// # Errors
    ///
    /// If the queue is closed and empty.
    pub fn get(&self) -> Recv<'_, T> {
        Recv::new(&self.shared.line)
    }

    /// A value, if there is one.
    ///
    /// # Errors
    ///
    /// If there is none; if there is none and there will be none.
    pub fn try_get(&self) -> Result<T, TryRecvError> {
        self.shared.line.try_recv()
    }

    /// One piece of work that somebody got is done.
    ///
    /// # Panics
    ///
    /// If that was said more often than something was put in.
    #[track_caller]
    pub fn task_done(&self) {
        assert!(
            self.shared.unfinished.get() > 0,
            "`task_done` was called more often than something was put into the queue: call it once for each `get`"
        );
        self.shared.finish();
    }

    /// Waits until all that was put in is done.
    pub async fn join(&self) {
        let shared = &*self.shared;
        shared.joining.wait((), || (shared.unfinished.get() == 0).then_some(()), |_| {}).await;
    }

    /// How many pieces of work are not done.
    pub fn unfinished(&self) -> usize {
        self.shared.unfinished.get()
    }

    /// Nothing goes in any more. What is in can still be fetched.
    pub fn close(&self) {
        self.shared.line.close();
    }

    /// Whether nothing goes in any more.
    pub fn is_closed(&self) -> bool {
        self.shared.line.is_closed()
    }

    /// How many values are in.
    pub fn len(&self) -> usize {
        self.shared.line.len()
    }

    /// Whether nothing is in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values there is room for; `None` if there is no limit.
    pub fn capacity(&self) -> Option<usize> {
        self.shared.line.capacity()
    }

    fn count(&self) -> Counted<'_, T> {
        self.shared.unfinished.set(self.shared.unfinished.get() + 1);
        Counted(&self.shared)
    }
}

impl<T> Shared<T> {
    fn finish(&self) {
        let left = self.unfinished.get() - 1;
        self.unfinished.set(left);
        if left == 0 {
            self.joining.call_all(());
        }
    }
}

/// One piece of work that has been counted; dropped, it has not been put in after all.
struct Counted<'a, T>(&'a Shared<T>);

impl<T> Drop for Counted<'_, T> {
    fn drop(&mut self) {
        // Nothing to take off if `task_done` was called too often meanwhile.
        if self.0.unfinished.get() > 0 {
            self.0.finish();
        }
    }
}

/// See [`Queue::put`].
#[must_use = "futures do nothing unless awaited"]
pub struct Put<'a, T> {
    counted: Option<Counted<'a, T>>,
    send: Send<'a, T>,
}

impl<T> Future for Put<'_, T> {
    type Output = Result<(), Closed<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.send).poll(cx));
        match self.counted.take() {
            // From here on it is for a worker to finish.
            Some(counted) if result.is_ok() => std::mem::forget(counted),
            counted => drop(counted),
        }
        Poll::Ready(result)
    }
}

impl<T> Drop for Put<'_, T> {
    fn drop(&mut self) {
        if !self.send.give_up() {
            std::mem::forget(self.counted.take());
        }
    }
}

impl<T> fmt::Debug for Put<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Put").field(&self.send).finish()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue { shared: Rc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("line", &self.shared.line)
            .field("unfinished", &self.unfinished())
            .finish_non_exhaustive()
    }
}
