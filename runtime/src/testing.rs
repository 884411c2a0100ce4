//! Finding out what a program does when it is dropped, delayed or run in another order.
//!
//! Facts. A future can be dropped at each of its `.await`s, before it is woken there or after. Those are few places,
//! and a test can try all of them. Waiting "a little" for other tasks is slow and proves nothing.
//!
//! Contract. [`at_every_await`] runs a program once for each place. [`settle`] returns when no other task can go on. A
//! [`Sequencer`] makes tasks go on in a fixed order.
//!
//! See also `Builder::virtual_time` and `Builder::shuffle`.

use std::cell::Cell;
use std::pin::pin;
use std::task::{Poll, ready};

use crate::core::context::{self, budget};
use crate::task::{spend_budget, yield_now};
use crate::waiting::WaitQueue;

/// Runs `program` again and again, each time with a [`Cut`] at another place. The future that the program runs through
/// the cut is dropped at its first `.await`, before or after it was woken there; the next time at its second; and so
/// on, until it comes to its end. Returns the number of places.
///
/// ```
/// use roundel::{channel, group, testing};
/// # let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
/// # runtime.block_on(async {
/// // A receiver that is dropped loses no value.
/// let places = testing::at_every_await(async |cut| {
///     let (sender, receiver) = channel::bounded(1);
///     let (received, sent) = group::join!(cut.run(receiver.recv()), sender.send(7));
///     sent.unwrap();
///     match received {
///         Some(value) => assert_eq!(value, Ok(7)),
///         None => assert_eq!(receiver.try_recv(), Ok(7)),
///     }
/// })
/// .await;
/// assert!(places > 0);
/// # });
/// ```
pub async fn at_every_await(mut program: impl AsyncFnMut(&Cut)) -> usize {
    let mut place = 0;
    loop {
        spend_budget().await;
        let cut = Cut::at(place);
        program(&cut).await;
        if !cut.made.get() {
            return place;
        }
        place += 1;
    }
}

/// Where to drop a future; see [`at_every_await`].
#[derive(Debug)]
pub struct Cut {
    /// The place to cut. 0: before the first poll. Odd numbers: when a poll returns `Pending`. Even numbers: when the
    /// future would be polled again.
    place: usize,
    /// The place that has been reached, counted on from one future to the next.
    at: Cell<usize>,
    /// Set when the cut has been made, never cleared: no second future is cut.
    made: Cell<bool>,
}

impl Cut {
    /// A cut at this place only. At place 0 the future is dropped before it is polled; at place 1 when it first returns
    /// `Pending`, at place 2 when it has been woken after that, and so on.
    pub fn at(place: usize) -> Cut {
        Cut { place, at: Cell::new(0), made: Cell::new(false) }
    }

    /// Runs `future` up to the place of the cut. `None` if it was dropped there. (Futures that run after that are not
    /// cut.)
    pub async fn run<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(Some(future));
        std::future::poll_fn(|cx| {
            ready!(budget::spend(cx.waker()));
            // Poll, unless the cut is just before this poll.
            if !self.is_here()
                && let Some(future) = future.as_mut().as_pin_mut()
            {
                let poll = future.poll(cx);
                self.at.set(self.at.get() + 1);
                if let Poll::Ready(output) = poll {
                    return Poll::Ready(Some(output));
                }
            }
            // Cut before the poll, or after it has returned `Pending`.
            if self.is_here() {
                self.made.set(true);
                future.set(None);
                return Poll::Ready(None);
            }
            self.at.set(self.at.get() + 1);
            Poll::Pending
        })
        .await
    }

    fn is_here(&self) -> bool {
        self.at.get() == self.place && !self.made.get()
    }

    /// Whether the cut has been made.
    pub fn is_made(&self) -> bool {
        self.made.get()
    }
}

/// Waits until no other task can go on, because each waits for a deadline, the kernel, another thread or the caller.
///
/// Only one task at a time may settle: of two tasks that do, each keeps the other from settling, and neither returns.
///
/// ```
/// roundel::run(async {
///     let task = roundel::spawn(async {
///         for _ in 0..100 {
///             roundel::yield_now().await;
///         }
///     });
///     roundel::testing::settle().await;
///     assert!(task.is_finished());
/// });
/// ```
///
/// # Panics
///
/// Outside a loop.
pub async fn settle() {
    loop {
        yield_now().await;
        if !context::expect("testing::settle").executor.has_ready() {
            return;
        }
    }
}

/// Makes tasks go on in a given order: [`turn`](Sequencer::turn) waits until all lower numbers have had their turn.
///
/// ```
/// use roundel::{group, testing::Sequencer};
/// let order = std::cell::RefCell::new(Vec::new());
/// let sequencer = Sequencer::new();
/// roundel::run(group::gather([2, 0, 1].map(async |number| {
///     sequencer.turn(number).await;
///     order.borrow_mut().push(number);
/// })));
/// assert_eq!(*order.borrow(), [0, 1, 2]);
/// ```
#[derive(Debug)]
pub struct Sequencer {
    /// The number whose turn it is.
    next: Cell<usize>,
    queue: WaitQueue,
}

impl Sequencer {
    /// A sequencer that begins with number 0.
    pub const fn new() -> Sequencer {
        Sequencer { next: Cell::new(0), queue: WaitQueue::new(&"sequencer") }
    }

    /// Waits for the turn of this number, and ends it. The next number has its turn when the task gives way.
    pub async fn turn(&self, number: usize) {
        spend_budget().await;
        while self.next.get() < number {
            let before = self.next.get();
            self.queue.wait((), || (self.next.get() != before).then_some(()), |_| {}).await;
        }
        self.next.set(self.next.get().max(number + 1));
        self.queue.call_all(());
    }
}

impl Default for Sequencer {
    fn default() -> Sequencer {
        Sequencer::new()
    }
}
