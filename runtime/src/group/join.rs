//! A few futures of different kinds: all of them (`join!`), or the first (`select!`).
//!
//! Facts. The futures are known when the program is written, so they need no box: they lie inside the future that
//! awaits them.
//!
//! Contract. `join!` gives the outputs as a tuple, and polls only the futures that were woken. `select!` polls all its
//! arms each time, in the order in which they are written. The first that is ready wins (*biased*). The others are
//! dropped before its expression runs, so the expression can use what they had borrowed.
//!
//! | macro | cancel safe |
//! |---|---|
//! | `join!` | as the futures: they are dropped, and so are the outputs of those that were done |
//! | `select!` | the futures that lose are dropped: see *their* tables for what is lost with them |

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::core::context::budget;
use crate::group::wakes::Wakes;
use crate::share;

/// Runs all the futures at once, and gives their outputs as a tuple in the order of the arguments. At most 12.
///
/// ```
/// use std::time::Duration;
/// use roundel::{group::join, time::sleep};
/// roundel::run(async {
///     let (tea, eggs) = join!(
///         async { sleep(Duration::from_millis(3)).await; "tea" },
///         async { sleep(Duration::from_millis(2)).await; 2 },
///     );
///     assert_eq!((tea, eggs), ("tea", 2));
/// });
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __join {
    ($($future:expr),+ $(,)?) => {
        $crate::group::Join::new(($(::std::pin::pin!($crate::group::MaybeDone::new($future)),)+)).await
    };
}

/// Runs the futures until the first is done, drops the others, and evaluates the expression of the arm that won. If
/// several are ready, the one that is written first wins. At most 12; an arm that ends in a block needs no comma.
///
/// ```
/// use std::time::Duration;
/// use roundel::{channel, group::select, time::sleep};
/// roundel::run(async {
///     let (sender, receiver) = channel::bounded(1);
///     sender.send("news").await.unwrap();
///     let heard = select! {
///         value = receiver.recv() => value.unwrap(),
///         () = sleep(Duration::from_secs(5)) => "nothing",
///     };
///     assert_eq!(heard, "news");
/// });
/// ```
///
/// `break`, `return` and `?` in an expression belong to the function around it. An arm can be switched off with a
/// condition: `if` after the future. If all arms are off, the `else` arm runs; without one, the `select!` waits for
/// ever.
///
/// ```
/// use roundel::group::select;
/// # roundel::run(async {
/// let on = false;
/// let result = select! {
///     value = async { 1 }, if on => value,
///     else => 0,
/// };
/// assert_eq!(result, 0);
/// # });
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // Parses the arms, each into [pattern, future, condition, expression].
    (@arms [$($done:tt)*]) => { $crate::__select!(@run [$($done)*] else ::std::future::pending().await) };
    (@arms [$($done:tt)*] else => $otherwise:expr $(,)?) => { $crate::__select!(@run [$($done)*] else $otherwise) };
    (@arms [$($done:tt)*] $pattern:pat = $future:expr, if $on:expr => $body:block, $($rest:tt)*) => {
        $crate::__select!(@arms [$($done)* [$pattern, $future, $on, $body]] $($rest)*)
    };
    (@arms [$($done:tt)*] $pattern:pat = $future:expr, if $on:expr => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms [$($done)* [$pattern, $future, $on, $body]] $($rest)*)
    };
    (@arms [$($done:tt)*] $pattern:pat = $future:expr, if $on:expr => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms [$($done)* [$pattern, $future, $on, $body]] $($rest)*)
    };
    (@arms [$($done:tt)*] $pattern:pat = $future:expr, if $on:expr => $body:expr) => {
        $crate::__select!(@arms [$($done)* [$pattern, $future, $on, $body]])
    };
    (@arms [$($done:tt)*] $pattern:pat = $future:expr => $body:block, $($rest:tt)*) => {
        $crate::__select!(@arms [$($done)* [$pattern, $future, true, $body]] $($rest)*)
    };
    (@arms [$($done:tt)*] $pattern:pat = $future:expr => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms [$($done)* [$pattern, $future, true, $body]] $($rest)*)
    };
    (@arms [$($done:tt)*] $pattern:pat = $future:expr => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms [$($done)* [$pattern, $future, true, $body]] $($rest)*)
    };
    (@arms [$($done:tt)*] $pattern:pat = $future:expr => $body:expr) => {
        $crate::__select!(@arms [$($done)* [$pattern, $future, true, $body]])
    };
    (@run [$([$pattern:pat, $future:expr, $on:expr, $body:expr])+] else $otherwise:expr) => {{
        // In a block of its own, so that the futures are dropped before the expression runs.
        let won = {
            let arms = ($(
                ::std::pin::pin!(if $on { ::std::option::Option::Some($future) } else { ::std::option::Option::None }),
            )+);
            $crate::group::Select::new(arms).await
        };
        match won {
            ::std::option::Option::Some(won) => $crate::__select!(@match won, $([$pattern, $body])+),
            ::std::option::Option::None => $otherwise,
        }
    }};
    (@match $won:ident, [$pattern:pat, $body:expr] $($rest:tt)*) => {
        match $won {
            $crate::group::Either::This($pattern) => $body,
            $crate::group::Either::Other(other) => $crate::__select!(@match other, $($rest)*),
        }
    };
    (@match $won:ident,) => { match $won {} };
    (@$($unknown:tt)*) => {
        ::std::compile_error!("`select!` expects arms of the form `pattern = future => expression`")
    };
    ($($arms:tt)+) => { $crate::__select!(@arms [] $($arms)+) };
}

pin_project! {
    /// A future until it is done, and then its output.
    #[doc(hidden)]
    #[project = MaybeDoneView]
    #[derive(Debug)]
    pub enum MaybeDone<F: Future> {
        // Not done.
        Future { #[pin] future: F },
        // Done; `None` when the output has been taken.
        Output { output: Option<F::Output> },
    }
}

impl<F: Future> MaybeDone<F> {
    pub fn new(future: F) -> MaybeDone<F> {
        MaybeDone::Future { future }
    }

    /// True if this poll has completed it. A future that is done may still be woken; then this is false.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let MaybeDoneView::Future { future } = self.as_mut().project() else { return false };
        let Poll::Ready(output) = future.poll(cx) else { return false };
        self.set(MaybeDone::Output { output: Some(output) });
        true
    }

    fn take(self: Pin<&mut Self>) -> Option<F::Output> {
        match self.project() {
            MaybeDoneView::Output { output } => output.take(),
            MaybeDoneView::Future { .. } => None,
        }
    }
}

/// A tuple of futures that are pinned in the future around the `join!`.
#[doc(hidden)]
pub trait Members {
    type Outputs;
    const COUNT: usize;
    /// Polls the future with this number; true if this poll has completed it.
    fn poll(&mut self, number: usize, cx: &mut Context<'_>) -> bool;
    fn take(&mut self) -> Option<Self::Outputs>;
}

/// A tuple of futures of which the first that is ready wins.
#[doc(hidden)]
pub trait Arms {
    type Output;
    /// Whether any arm is switched on. It takes `&mut self` because a future that has begun may point into itself. Even
    /// a look through a shared reference would claim that no such pointer exists.
    fn any(&mut self) -> bool;
    #[track_caller]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output>;
}

/// Which arm of a `select!` has won: this one, or one after it.
#[doc(hidden)]
#[derive(Debug)]
pub enum Either<A, B> {
    This(A),
    Other(B),
}

/// What `join!` awaits.
#[doc(hidden)]
#[derive(Debug)]
pub struct Join<M> {
    members: M,
    wakes: Wakes,
    /// The numbers of the members that were woken. Empty between polls.
    batch: Vec<usize>,
    /// How many members are not done.
    left: usize,
}

impl<M: Members> Join<M> {
    pub fn new(members: M) -> Join<M> {
        let wakes = Wakes::new();
        (0..M::COUNT).for_each(|number| wakes.mark_woken(number));
        Join { members, wakes, batch: Vec::new(), left: M::COUNT }
    }
}

impl<M: Members + Unpin> Future for Join<M> {
    type Output = M::Outputs;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<M::Outputs> {
        ready!(budget::spend(cx.waker()));
        let Join { members, wakes, batch, left } = &mut *self;
        wakes.set_parent(cx.waker());
        wakes.take(batch);
        for number in batch.drain(..) {
            let poll = || wakes.poll(number, cx.waker(), |cx| members.poll(number, cx).then_some(()));
            *left -= usize::from(share::share(poll).is_some());
        }
        if *left > 0 {
            return Poll::Pending;
        }
        Poll::Ready(members.take().expect("a join is not polled again after it has given its outputs"))
    }
}

/// What `select!` awaits: the arm that won; `None` if all are switched off.
#[doc(hidden)]
#[derive(Debug)]
pub struct Select<A> {
    arms: A,
}

impl<A: Arms> Select<A> {
    pub fn new(arms: A) -> Select<A> {
        Select { arms }
    }
}

impl<A: Arms + Unpin> Future for Select<A> {
    type Output = Option<A::Output>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<A::Output>> {
        ready!(budget::spend(cx.waker()));
        if !self.arms.any() {
            return Poll::Ready(None);
        }
        self.arms.poll(cx).map(Some)
    }
}

/// `Either<A, Either<B, … Infallible>>`: the output type of a tuple of arms.
macro_rules! nested {
    () => { Infallible };
    ($first:ident $($rest:ident)*) => { Either<$first::Output, nested!($($rest)*)> };
}

/// Polls the arms from the first to the last. Not in closures, so that a future can tell where the `select!` stands.
macro_rules! poll_in_order {
    ($cx:ident,) => { Poll::Pending };
    ($cx:ident, $first:ident $($rest:ident)*) => {
        match {
            let _share = share::begin();
            if let Some(arm) = $first.as_mut().as_pin_mut() { arm.poll($cx) } else { Poll::Pending }
        } {
            Poll::Ready(output) => Poll::Ready(Either::This(output)),
            Poll::Pending => poll_in_order!($cx, $($rest)*).map(Either::Other),
        }
    };
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Future),+> Members for ($(Pin<&mut MaybeDone<$name>>,)+) {
            type Outputs = ($($name::Output,)+);
            const COUNT: usize = [$(stringify!($name)),+].len();

            #[allow(non_snake_case, reason = "a variable for each type")]
            fn poll(&mut self, number: usize, cx: &mut Context<'_>) -> bool {
                let ($($name,)+) = self;
                let mut index = 0;
                $(
                    if index == number {
                        return $name.as_mut().poll(cx);
                    }
                    index += 1;
                )+
                debug_assert!(number < index);
                false
            }

            #[allow(non_snake_case, reason = "a variable for each type")]
            fn take(&mut self) -> Option<Self::Outputs> {
                let ($($name,)+) = self;
                Some(($($name.as_mut().take()?,)+))
            }
        }

        impl<$($name: Future),+> Arms for ($(Pin<&mut Option<$name>>,)+) {
            type Output = nested!($($name)+);

            #[allow(non_snake_case, reason = "a variable for each type")]
            fn any(&mut self) -> bool {
                let ($($name,)+) = self;
                [$($name.as_mut().as_pin_mut().is_some()),+].contains(&true)
            }

            #[allow(non_snake_case, reason = "a variable for each type")]
            fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let ($($name,)+) = self;
                poll_in_order!(cx, $($name)+)
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J);
tuples!(A B C D E F G H I J K);
tuples!(A B C D E F G H I J K L);
