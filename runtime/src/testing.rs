//! Finding out what a program does when it is dropped, delayed or run in another order.
//!
//! Facts. A future can be dropped at each of its `.await`s, before it is woken there or after. That is few places, and a
//! test can try all of them. To wait "a little" for other tasks is slow and proves nothing.
//!
//! Contract. [`at_every_await`] runs a program once for each place. [`settle`] returns when no other task can go on. A
//! [`Sequencer`] has things happen in an order that is written down.
//!
//! See also `Builder::virtual_time` and `Builder::shuffle`.

use std::cell::Cell;
use std::pin::pin;
use std::task::{Poll, ready};

use crate::core::context;
use crate::task::{spend_budget, yield_now};
use crate::waiting::WaitQueue;

/// Runs `program` again and again. Each time it gives its [`Cut`] another place: what the program runs through it is
/// dropped at its first `.await`, before or after it was woken there; then at the second; and so on, until it comes to
/// its end. Returns at how many places it was cut.
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

/// Where to cut; see [`at_every_await`].
#[derive(Debug)]
pub struct Cut {
    /// 0: before the first poll. Odd numbers: when it says `Pending`. Even ones: when it would be polled again.
    place: usize,
    /// The place where we are: counted on from one future to the next.
    at: Cell<usize>,
    made: Cell<bool>,
}

impl Cut {
    /// Cuts here and nowhere else: at place 0 the future is dropped before it is polled, at place 1 when it first says
    /// `Pending`, at place 2 when it has been woken after that, and so on.
    pub fn at(place: usize) -> Cut {
        Cut { place, at: Cell::new(0), made: Cell::new(false) }
    }

    /// Runs `future` up to the place where it is to be cut. `None` if it was dropped there. (What is run after that is not
    /// cut.)
    pub async fn run<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(Some(future));
        std::future::poll_fn(|cx| {
            ready!(context::spend(cx.waker()));
            if !self.is_here()
                && let Some(future) = future.as_mut().as_pin_mut()
            {
                let poll = future.poll(cx);
                self.at.set(self.at.get() + 1);
                if let Poll::Ready(output) = poll {
                    return Poll::Ready(Some(output));
                }
            }
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

    /// Whether it has been cut.
    pub fn is_made(&self) -> bool {
        self.made.get()
    }
}

/// Waits until no other task can go on: all of them wait for time, for the outside world, or for us.
///
/// One at a time: of two tasks that settle, each can go on for the other, so neither comes back.
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

/// Has things happen in a given order: [`turn`](Sequencer::turn) waits until all lower numbers have had theirs.
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
    next: Cell<usize>,
    queue: WaitQueue,
}

impl Sequencer {
    /// It begins with 0.
    pub const fn new() -> Sequencer {
        Sequencer { next: Cell::new(0), queue: WaitQueue::new("sequencer") }
    }

    /// Waits for this number's turn, and ends it: the next number's comes when the task gives way.
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
