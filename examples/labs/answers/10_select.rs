//! Lab 10: an answer.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use labs::select::{Either, Select};

/// Where the function belongs to.
pub struct Race;

impl Select for Race {
    async fn select<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
        let (mut a, mut b) = (pin!(a), pin!(b));
        poll_fn(|cx| {
            if let Poll::Ready(output) = a.as_mut().poll(cx) {
                return Poll::Ready(Either::First(output));
            }
            b.as_mut().poll(cx).map(Either::Second)
        })
        .await
    }
}
