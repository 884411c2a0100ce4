//! Lab 10, wrong: both are polled, and then it is decided.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use labs::select::{Either, Select};

/// Where the function belongs to.
pub struct Race;

impl Select for Race {
    async fn select<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
        let (mut a, mut b) = (pin!(a), pin!(b));
        poll_fn(|cx| match (a.as_mut().poll(cx), b.as_mut().poll(cx)) {
            (Poll::Ready(output), _) => Poll::Ready(Either::First(output)),
            (_, Poll::Ready(output)) => Poll::Ready(Either::Second(output)),
            _ => Poll::Pending,
        })
        .await
    }
}
