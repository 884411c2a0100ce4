//! Any number of futures of one kind: all of them, the first, or one after the other as they end.
//!
//! Facts. Often the number of futures is known only at run time. asyncio's `gather` returns at the first error and lets
//! the others run on, although many people believe that it cancels them.
//!
//! Contract. The futures run inside the future that awaits them, and are dropped with it. [`gather`] gives all outputs
//! in the order of the arguments; results and errors stay side by side. [`try_gather`] returns at the first error and
//! *drops* the others. (To let them run on, as asyncio does, `spawn` them and gather the handles.) A panic in one of
//! them is a panic of the whole; [`gather_outcomes`] turns it into a value.
//!
//! | function | cancel safe |
//! |---|---|
//! | `gather`, `try_gather`, `gather_outcomes`, `race`, `for_each_concurrent` | as the children: they and their outputs are dropped |
//! | `AsCompleted::next` | yes: outputs that are there stay until they are fetched |

use std::collections::VecDeque;
use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::core::context::budget;
use crate::core::panics::{contain, swallow};
use crate::error::JoinError;
use crate::group::children::Children;

/// Runs all futures at once, and gives their outputs in the order of the arguments.
///
/// ```
/// use std::time::Duration;
/// use roundel::{group::gather, time};
///
/// let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let start = time::now();
///     let delays = [2, 3, 1].map(|seconds| async move {
///         time::sleep(Duration::from_secs(seconds)).await;
///         seconds
///     });
///     assert_eq!(gather(delays).await, [2, 3, 1]);
///     assert_eq!(time::now() - start, Duration::from_secs(3));
/// });
/// ```
pub fn gather<I>(futures: I) -> Gather<I::Item>
where
    I: IntoIterator<Item: Future>,
{
    let mut children = Children::new();
    for future in futures {
        children.add(Box::pin(future));
    }
    let outputs = (0..children.len()).map(|_| None).collect();
    Gather { children, outputs }
}

/// See [`gather`].
#[must_use = "futures do nothing unless awaited"]
pub struct Gather<F: Future> {
    children: Children<F>,
    /// The output of each child, by its place; `None` until the child has ended.
    outputs: Vec<Option<F::Output>>,
}

// The children are boxed; the fields are never pinned.
impl<F: Future> Unpin for Gather<F> {}

impl<F: Future> Gather<F> {
    /// Polls the children that were woken. An output goes to its place, unless `check` returns `None`: then this stops.
    fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        mut check: impl FnMut(F::Output) -> Option<F::Output>,
    ) -> ControlFlow<()> {
        let Gather { children, outputs } = self;
        children.poll(cx, |place, output| {
            outputs[place] = check(output);
            if outputs[place].is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    }

    fn take(&mut self) -> Vec<F::Output> {
        std::mem::take(&mut self.outputs).into_iter().flatten().collect()
    }
}

impl<F: Future> Future for Gather<F> {
    type Output = Vec<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<F::Output>> {
        ready!(budget::spend(cx.waker()));
        let _ = self.poll_with(cx, Some);
        if self.children.is_empty() { Poll::Ready(self.take()) } else { Poll::Pending }
    }
}

/// Runs all futures at once, and gives their outputs in the order of the arguments. If one fails, it returns that error
/// at once and drops the others.
///
/// ```
/// use roundel::group::try_gather;
/// roundel::run(async {
///     let good = ["1", "2"].map(|text| async move { text.parse::<i32>() });
///     assert_eq!(try_gather(good).await, Ok(vec![1, 2]));
///     let bad = ["1", "two"].map(|text| async move { text.parse::<i32>() });
///     assert!(try_gather(bad).await.is_err());
/// });
/// ```
///
/// # Errors
///
/// The first error that comes.
pub async fn try_gather<I, T, E>(futures: I) -> Result<Vec<T>, E>
where
    I: IntoIterator<Item: Future<Output = Result<T, E>>>,
{
    let mut all = gather(futures);
    let mut error = None;
    std::future::poll_fn(|cx| {
        ready!(budget::spend(cx.waker()));
        // The first error is kept, and stops the poll.
        let flow = all.poll_with(cx, |output| match output {
            Ok(value) => Some(Ok(value)),
            Err(first) => {
                error = Some(first);
                None
            }
        });
        if flow.is_break() || all.children.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    match error {
        Some(error) => Err(error),
        None => all.take().into_iter().collect(),
    }
}

/// As [`gather`], but a panic in one of the futures is an error at its place among the outputs.
///
/// ```
/// use roundel::group::gather_outcomes;
/// roundel::run(async {
///     let outcomes = gather_outcomes((0..3).map(|i| async move {
///         assert!(i != 1, "no ones");
///         i
///     }))
///     .await;
///     assert_eq!(outcomes[0].as_ref().unwrap(), &0);
///     assert!(outcomes[1].as_ref().unwrap_err().is_panic());
///     assert_eq!(outcomes[2].as_ref().unwrap(), &2);
/// });
/// ```
pub fn gather_outcomes<I>(futures: I) -> Gather<Outcome<I::Item>>
where
    I: IntoIterator<Item: Future>,
{
    gather(futures.into_iter().map(|future| Outcome { future: Some(future) }))
}

pin_project! {
    /// A future whose panic is a value.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Outcome<F> {
        // `None` when it is over.
        #[pin]
        future: Option<F>,
    }
}

impl<F: Future> Future for Outcome<F> {
    type Output = Result<F::Output, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut place = self.project().future;
        let future =
            place.as_mut().as_pin_mut().expect("an outcome is not polled again after it has been given");
        // Poll it; then drop it, which may panic as well.
        let output = match contain(|| future.poll(cx)) {
            Ok(poll) => Ok(ready!(poll)),
            Err(payload) => Err(payload),
        };
        let dropped = contain(|| place.set(None));
        Poll::Ready(match (output, dropped) {
            (Ok(output), Ok(())) => Ok(output),
            (Ok(output), Err(payload)) => {
                swallow(|| drop(output));
                Err(JoinError::job_panicked(payload))
            }
            // Of two panics, the first is the cause and the second a consequence.
            (Err(payload), dropped) => {
                swallow(|| drop(dropped));
                Err(JoinError::job_panicked(payload))
            }
        })
    }
}

/// Runs all futures at once, and gives the output of the first that ends. The others are dropped.
///
/// If two are ready in the same turn, the one that was woken first wins.
///
/// # Panics
///
/// If there are no futures: a race without runners has no winner.
#[track_caller]
pub fn race<I>(futures: I) -> Race<I::Item>
where
    I: IntoIterator<Item: Future>,
{
    let all = gather(futures);
    assert!(!all.children.is_empty(), "`race` was given no futures: a race without runners has no winner");
    Race { children: all.children }
}

/// See [`race`].
#[must_use = "futures do nothing unless awaited"]
pub struct Race<F> {
    children: Children<F>,
}

impl<F> Unpin for Race<F> {}

impl<F: Future> Future for Race<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        ready!(budget::spend(cx.waker()));
        let mut winner = None;
        let _ = self.children.poll(cx, |_, output| {
            winner = Some(output);
            ControlFlow::Break(())
        });
        if winner.is_some() {
            self.children.clear_but(None);
        }
        winner.map_or(Poll::Pending, Poll::Ready)
    }
}

/// Runs all futures at once, and gives their outputs in the order in which they end.
///
/// ```
/// use std::time::Duration;
/// use roundel::{group::as_completed, time};
///
/// let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let mut ends = as_completed([2, 1, 3].map(|seconds| async move {
///         time::sleep(Duration::from_secs(seconds)).await;
///         seconds
///     }));
///     let mut order = Vec::new();
///     while let Some(seconds) = ends.next().await {
///         order.push(seconds);
///     }
///     assert_eq!(order, [1, 2, 3]);
/// });
/// ```
pub fn as_completed<I>(futures: I) -> AsCompleted<I::Item>
where
    I: IntoIterator<Item: Future>,
{
    AsCompleted { children: gather(futures).children, ended: VecDeque::new() }
}

/// See [`as_completed`]. It is a [`Stream`].
#[must_use = "streams do nothing unless they are asked for the next item"]
pub struct AsCompleted<F: Future> {
    children: Children<F>,
    /// The outputs that have not been fetched, in the order in which they came.
    ended: VecDeque<F::Output>,
}

impl<F: Future> Unpin for AsCompleted<F> {}

impl<F: Future> AsCompleted<F> {
    /// The output of the next future that ends; `None` when all have been fetched.
    pub async fn next(&mut self) -> Option<F::Output> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// How many outputs have not been fetched.
    pub fn len(&self) -> usize {
        self.children.len() + self.ended.len()
    }

    /// Whether all outputs have been fetched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<F: Future> Stream for AsCompleted<F> {
    type Item = F::Output;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        ready!(budget::spend(cx.waker()));
        let AsCompleted { children, ended } = &mut *self;
        if ended.is_empty() {
            let _ = children.poll(cx, |_, output| {
                ended.push_back(output);
                ControlFlow::Continue(())
            });
        }
        match ended.pop_front() {
            None if !children.is_empty() => Poll::Pending,
            output => Poll::Ready(output),
        }
    }
}

/// Calls `f` with each item and runs the futures that it returns, at most `limit` at a time. The next item is taken
/// when there is room for its future. At most 128 futures begin in one poll, so that other tasks have their turn.
///
/// ```
/// use std::{cell::Cell, time::Duration};
/// use roundel::{group::for_each_concurrent, time};
///
/// let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let (start, done) = (time::now(), &Cell::new(0));
///     for_each_concurrent(50, 0..1000, async |_| {
///         time::sleep(Duration::from_secs(1)).await;
///         done.set(done.get() + 1);
///     })
///     .await;
///     assert_eq!((done.get(), time::now() - start), (1000, Duration::from_secs(20)));
/// });
/// ```
///
/// # Panics
///
/// If `limit` is zero.
#[track_caller]
pub fn for_each_concurrent<I, F, Fut>(limit: usize, items: I, f: F) -> ForEachConcurrent<I::IntoIter, F, Fut>
where
    I: IntoIterator,
    F: FnMut(I::Item) -> Fut,
    Fut: Future<Output = ()>,
{
    assert!(limit > 0, "`for_each_concurrent` with a limit of zero would never begin: give it at least 1");
    ForEachConcurrent { limit, items: Some(items.into_iter()), f, children: Children::new() }
}

/// At most this many futures begin in one poll, so that a high limit does not hold up other tasks.
const MOST_BEGUN: usize = 128;

/// See [`for_each_concurrent`].
#[must_use = "futures do nothing unless awaited"]
pub struct ForEachConcurrent<I, F, Fut> {
    limit: usize,
    /// `None` when it has given its last item.
    items: Option<I>,
    f: F,
    children: Children<Fut>,
}

impl<I, F, Fut> Unpin for ForEachConcurrent<I, F, Fut> {}

impl<I, F, Fut> ForEachConcurrent<I, F, Fut>
where
    I: Iterator,
    F: FnMut(I::Item) -> Fut,
    Fut: Future<Output = ()>,
{
    /// Begins as many futures as there is room for, but at most `most`. Returns how many.
    fn fill(&mut self, most: usize) -> usize {
        let before = self.children.len();
        let full = self.limit.min(before + most);
        while self.children.len() < full
            && let Some(items) = &mut self.items
        {
            let Some(item) = items.next() else {
                self.items = None;
                break;
            };
            self.children.add(Box::pin((self.f)(item)));
        }
        self.children.len() - before
    }
}

impl<I, F, Fut> Future for ForEachConcurrent<I, F, Fut>
where
    I: Iterator,
    F: FnMut(I::Item) -> Fut,
    Fut: Future<Output = ()>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(budget::spend(cx.waker()));
        let this = &mut *self;
        let begun = this.fill(MOST_BEGUN);
        let mut ended = false;
        let _ = this.children.poll(cx, |_, ()| {
            ended = true;
            ControlFlow::Continue(())
        });
        // Futures that begin now are polled next time, so that each is polled once in a turn. Ask for that poll.
        if begun == MOST_BEGUN || ended && this.fill(MOST_BEGUN - begun) > 0 {
            cx.waker().wake_by_ref();
        }
        if this.children.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<F: Future> fmt::Debug for Gather<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gather").field(&self.children).finish()
    }
}

impl<F> fmt::Debug for Race<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Race").field(&self.children).finish()
    }
}

impl<F: Future> fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsCompleted").field(&self.children).finish()
    }
}

impl<I, F, Fut> fmt::Debug for ForEachConcurrent<I, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForEachConcurrent").field(&self.children).finish()
    }
}
