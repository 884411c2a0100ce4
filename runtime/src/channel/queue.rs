//! A queue of work: a producer can wait until all of the work is done.
//!
//! Facts. An empty queue does not mean that the work is done: a worker may still be busy with the last piece.
//!
//! Contract. As in asyncio: each `put` counts one piece of work as unfinished, each `task_done` counts one as finished,
//! and `join` waits until none is unfinished. A `put` that waits for room counts, too. Both ends are one object that is
//! cheap to clone, so the queue ends only by `close`. After that the values in the queue can still be fetched, and then
//! comes [`Closed`].
//!
//! | method | cancel safe |
//! |---|---|
//! | `get` | yes: no value is lost |
//! | `put` | the value is dropped with the future unless it was put in |
//! | `join` | yes |

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::channel::buffer::{Buffer, Send};
use crate::channel::closed::{Closed, TryRecvError, TrySendError};
use crate::channel::mpmc::Recv;
use crate::channel::store::Store;
use crate::waiting::WaitQueue;

/// A queue of work for several workers. A task can wait until all of the work is done.
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
    backlog: Rc<Backlog<T>>,
}

/// What the clones of a queue share: the work that is not done.
struct Backlog<T> {
    /// The pieces of work that no worker has fetched.
    buffer: Buffer<T>,
    /// How many pieces were put in, or are being put in, and are not done.
    unfinished: Cell<usize>,
    /// The tasks that wait in `join`.
    joining: WaitQueue,
}

impl<T> Queue<T> {
    /// First in, first out; at most `capacity` at a time.
    #[track_caller]
    pub fn new(capacity: usize) -> Queue<T> {
        Queue::with(Store::fifo(), Some(capacity))
    }

    /// The same as [`new`](Queue::new).
    #[track_caller]
    pub fn bounded(capacity: usize) -> Queue<T> {
        Queue::new(capacity)
    }

    /// First in, first out, without a limit.
    #[track_caller]
    pub fn unbounded() -> Queue<T> {
        Queue::with(Store::fifo(), None)
    }

    /// The newest value first; at most `capacity` at a time.
    #[track_caller]
    pub fn lifo(capacity: usize) -> Queue<T> {
        Queue::with(Store::lifo(), Some(capacity))
    }

    /// The smallest value first; of equal values, the one put in first. At most `capacity` at a time.
    #[track_caller]
    pub fn priority(capacity: usize) -> Queue<T>
    where
        T: Ord + 'static,
    {
        Queue::with(Store::smallest_first(), Some(capacity))
    }

    #[track_caller]
    fn with(store: Store<T>, capacity: Option<usize>) -> Queue<T> {
        let buffer = Buffer::new(store, capacity);
        Queue {
            backlog: Rc::new(Backlog {
                buffer,
                unfinished: Cell::new(0),
                joining: WaitQueue::new(&"queue's end"),
            }),
        }
    }

    /// Gives it a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> Queue<T> {
        self.backlog.buffer.set_name(name);
        self
    }

    /// Puts a value in; waits if there is no room.
    ///
    /// # Errors
    ///
    /// If the queue is closed. The value comes back.
    pub fn put(&self, value: T) -> Put<'_, T> {
        // Counted before a worker can fetch it, or `task_done` could come before the count.
        Put { counted: Some(self.count()), send: self.backlog.buffer.send(value) }
    }

    /// Puts a value in, if there is room.
    ///
    /// # Errors
    ///
    /// If there is no room, or the queue is closed. The value comes back.
    pub fn try_put(&self, value: T) -> Result<(), TrySendError<T>> {
        let counted = self.count();
        self.backlog.buffer.try_send(value)?;
        // The value is in, so its count stays until `task_done`.
        std::mem::forget(counted);
        Ok(())
    }

    /// Waits for a value.
    ///
    /// # Errors
    ///
    /// If the queue is closed and empty.
    pub fn get(&self) -> Recv<'_, T> {
        Recv::new(&self.backlog.buffer)
    }

    /// A value, if there is one.
    ///
    /// # Errors
    ///
    /// If there is no value at the moment; if there is none and the queue is closed.
    pub fn try_get(&self) -> Result<T, TryRecvError> {
        self.backlog.buffer.try_recv()
    }

    /// Counts one piece of work as done; call it once for each value that `get` returned.
    ///
    /// # Panics
    ///
    /// If it is called more often than values were put in.
    #[track_caller]
    pub fn task_done(&self) {
        assert!(
            self.backlog.unfinished.get() > 0,
            "`task_done` was called more often than something was put into the queue: call it once for each `get`"
        );
        self.backlog.finish();
    }

    /// Waits until all work that was put in is done.
    pub async fn join(&self) {
        let backlog = &*self.backlog;
        backlog.joining.wait((), || (backlog.unfinished.get() == 0).then_some(()), |_| {}).await;
    }

    /// How many pieces of work are not done yet.
    pub fn unfinished(&self) -> usize {
        self.backlog.unfinished.get()
    }

    /// Closes the queue. The values in it can still be fetched.
    pub fn close(&self) {
        self.backlog.buffer.close();
    }

    /// Whether the queue is closed.
    pub fn is_closed(&self) -> bool {
        self.backlog.buffer.is_closed()
    }

    /// How many values are in the queue.
    pub fn len(&self) -> usize {
        self.backlog.buffer.len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values the queue can hold; `None` if there is no limit.
    pub fn capacity(&self) -> Option<usize> {
        self.backlog.buffer.capacity()
    }

    fn count(&self) -> Counted<'_, T> {
        self.backlog.unfinished.set(self.backlog.unfinished.get() + 1);
        Counted(&self.backlog)
    }
}

impl<T> Backlog<T> {
    /// Counts one piece as done; the last one ends every `join`.
    fn finish(&self) {
        let left = self.unfinished.get() - 1;
        self.unfinished.set(left);
        if left == 0 {
            self.joining.call_all(());
        }
    }
}

/// One piece of work that is counted but not yet in the queue. Dropping it takes the count back.
struct Counted<'a, T>(&'a Backlog<T>);

impl<T> Drop for Counted<'_, T> {
    fn drop(&mut self) {
        // If `task_done` was called too often in the meantime, the count is zero already.
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

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.send).poll(cx));
        match self.counted.take() {
            // The value is in: its count stays until a worker calls `task_done`.
            Some(counted) if result.is_ok() => std::mem::forget(counted),
            counted => drop(counted),
        }
        Poll::Ready(result)
    }
}

impl<T> Drop for Put<'_, T> {
    fn drop(&mut self) {
        // A value that went in after all stays counted.
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
        Queue { backlog: Rc::clone(&self.backlog) }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("line", &self.backlog.buffer)
            .field("unfinished", &self.unfinished())
            .finish_non_exhaustive()
    }
}
