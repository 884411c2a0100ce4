//! Any number of futures of one kind: all of them, the first, or one after the other as they end.
//!
//! Facts. Often how many there are is known only at run time. asyncio's `gather` returns at the first error and lets the
//! others run on, although many believe that it cancels them.
//!
//! Contract. The futures run inside the one that awaits them: dropped with it, they are gone. [`gather`] gives all
//! outputs in the order of the arguments; results and errors stay side by side. [`try_gather`] returns at the first
//! error and *drops* the others. (To have them run on, as asyncio does: `spawn` them, and gather the handles.) A panic in
//! one of them is a panic of the whole; [`gather_outcomes`] makes it a value.
//!
//! | function | cancel safe |
//! |---|---|
//! | `gather`, `try_gather`, `gather_outcomes`, `race`, `for_each_concurrent` | as the children: they are dropped, and so are the outputs of those that were done |
//! | `AsCompleted::next` | yes: what ended stays there to be fetched |

use std::collections::VecDeque;
use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::core::context;
use crate::core::panics::{contain, swallow};
use crate::error::JoinError;
use crate::group::crowd::Crowd;

/// Runs all of them at once; gives their outputs in the order of the arguments.
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
    let mut crowd = Crowd::new();
    for future in futures {
        crowd.add(Box::pin(future));
    }
    let outputs = (0..crowd.len()).map(|_| None).collect();
    Gather { crowd, outputs }
}

/// See [`gather`].
#[must_use = "futures do nothing unless awaited"]
pub struct Gather<F: Future> {
    crowd: Crowd<F>,
    outputs: Vec<Option<F::Output>>,
}

// The children are boxed; what lies here is never pinned.
impl<F: Future> Unpin for Gather<F> {}

impl<F: Future> Gather<F> {
    /// Polls who was woken; an output goes to its place, unless `check` objects.
    fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        mut check: impl FnMut(F::Output) -> Option<F::Output>,
    ) -> ControlFlow<()> {
        let Gather { crowd, outputs } = self;
        crowd.poll(cx, |place, output| {
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
        ready!(context::spend(cx.waker()));
        let _ = self.poll_with(cx, Some);
        if self.crowd.is_empty() { Poll::Ready(self.take()) } else { Poll::Pending }
    }
}

/// Runs all of them at once; gives their outputs in the order of the arguments, or the first error as soon as it comes.
/// The others are dropped then.
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
/// The first that comes.
pub async fn try_gather<I, T, E>(futures: I) -> Result<Vec<T>, E>
where
    I: IntoIterator<Item: Future<Output = Result<T, E>>>,
{
    let mut all = gather(futures);
    let mut error = None;
    std::future::poll_fn(|cx| {
        ready!(context::spend(cx.waker()));
        let flow = all.poll_with(cx, |output| match output {
            Ok(value) => Some(Ok(value)),
            Err(first) => {
                error = Some(first);
                None
            }
        });
        if flow.is_break() || all.crowd.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    match error {
        Some(error) => Err(error),
        None => all.take().into_iter().collect(),
    }
}

/// As [`gather`], but a panic in one of them is an entry among the others.
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
        // Gone when it is over.
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
            // The first panic is the cause, the other a consequence.
            (Err(payload), dropped) => {
                swallow(|| drop(dropped));
                Err(JoinError::job_panicked(payload))
            }
        })
    }
}

/// Runs all of them at once; gives the output of the first that ends. The others are dropped.
///
/// Of two that are ready in the same turn, the one that was woken first wins.
///
/// # Panics
///
/// If there are none: a race of nobody has no winner.
#[track_caller]
pub fn race<I>(futures: I) -> Race<I::Item>
where
    I: IntoIterator<Item: Future>,
{
    let all = gather(futures);
    assert!(!all.crowd.is_empty(), "`race` was given no futures: a race of nobody has no winner");
    Race { crowd: all.crowd }
}

/// See [`race`].
#[must_use = "futures do nothing unless awaited"]
pub struct Race<F> {
    crowd: Crowd<F>,
}

impl<F> Unpin for Race<F> {}

impl<F: Future> Future for Race<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        ready!(context::spend(cx.waker()));
        let mut winner = None;
        let _ = self.crowd.poll(cx, |_, output| {
            winner = Some(output);
            ControlFlow::Break(())
        });
        if winner.is_some() {
            self.crowd.clear_but(None);
        }
        winner.map_or(Poll::Pending, Poll::Ready)
    }
}

/// Runs all of them at once; gives their outputs in the order in which they end.
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
    AsCompleted { crowd: gather(futures).crowd, ended: VecDeque::new() }
}

/// See [`as_completed`]. It is a [`Stream`].
#[must_use = "streams do nothing unless they are asked for the next item"]
pub struct AsCompleted<F: Future> {
    crowd: Crowd<F>,
    /// What ended and was not fetched.
    ended: VecDeque<F::Output>,
}

impl<F: Future> Unpin for AsCompleted<F> {}

impl<F: Future> AsCompleted<F> {
    /// The output of the next one that ends; `None` when all have ended.
    pub async fn next(&mut self) -> Option<F::Output> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// How many have not been fetched.
    pub fn len(&self) -> usize {
        self.crowd.len() + self.ended.len()
    }

    /// Whether all have been fetched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<F: Future> Stream for AsCompleted<F> {
    type Item = F::Output;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        ready!(context::spend(cx.waker()));
        let AsCompleted { crowd, ended } = &mut *self;
        if ended.is_empty() {
            let _ = crowd.poll(cx, |_, output| {
                ended.push_back(output);
                ControlFlow::Continue(())
            });
        }
        match ended.pop_front() {
            None if !crowd.is_empty() => Poll::Pending,
            output => Poll::Ready(output),
        }
    }
}

/// Calls `f` with each item and runs the futures it makes, at most `limit` at a time. The next item is taken when there
/// is room for it. At most 128 futures begin in one poll, so that other tasks have their turn.
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
    ForEachConcurrent { limit, items: Some(items.into_iter()), f, crowd: Crowd::new() }
}

/// How many futures begin in one poll at most, so that a high limit does not hold up other tasks.
const MOST_BEGUN: usize = 128;

/// See [`for_each_concurrent`].
#[must_use = "futures do nothing unless awaited"]
pub struct ForEachConcurrent<I, F, Fut> {
    limit: usize,
    /// Gone when it has given its last item.
    items: Option<I>,
    f: F,
    crowd: Crowd<Fut>,
}

impl<I, F, Fut> Unpin for ForEachConcurrent<I, F, Fut> {}

impl<I, F, Fut> ForEachConcurrent<I, F, Fut>
where
    I: Iterator,
    F: FnMut(I::Item) -> Fut,
    Fut: Future<Output = ()>,
{
    /// Begins as many as there is room for, at most `most`; returns how many.
    fn fill(&mut self, most: usize) -> usize {
        let before = self.crowd.len();
        let full = self.limit.min(before + most);
        while self.crowd.len() < full
            && let Some(items) = &mut self.items
        {
            let Some(item) = items.next() else {
                self.items = None;
                break;
            };
            self.crowd.add(Box::pin((self.f)(item)));
        }
        self.crowd.len() - before
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
        ready!(context::spend(cx.waker()));
        let this = &mut *self;
        let begun = this.fill(MOST_BEGUN);
        let mut ended = false;
        let _ = this.crowd.poll(cx, |_, ()| {
            ended = true;
            ControlFlow::Continue(())
        });
        // What is begun now is polled next time: one poll for each in one turn.
        if begun == MOST_BEGUN || ended && this.fill(MOST_BEGUN - begun) > 0 {
            cx.waker().wake_by_ref();
        }
        if this.crowd.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<F: Future> fmt::Debug for Gather<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gather").field(&self.crowd).finish()
    }
}

impl<F> fmt::Debug for Race<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Race").field(&self.crowd).finish()
    }
}

impl<F: Future> fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsCompleted").field(&self.crowd).finish()
    }
}

impl<I, F, Fut> fmt::Debug for ForEachConcurrent<I, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForEachConcurrent").field(&self.crowd).finish()
    }
}
