//! Lab 10, wrong: the second is polled when the first is over.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use labs::select::{Either, Select};

/// Where the function belongs to.
pub struct Race;

impl Select for Race {
    async fn select<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
        let mut a = pin!(a);
        let mut looked = false;
        let first = poll_fn(|cx| match a.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // One look at the first, then it is the turn of the second.
            Poll::Pending if looked => Poll::Pending,
            Poll::Pending => {
                looked = true;
                Poll::Ready(None)
            }
        });
        match first.await {
            Some(output) => Either::First(output),
            None => Either::Second(b.await),
        }
    }
}
