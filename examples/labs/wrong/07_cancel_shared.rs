//! Lab 7, wrong: a handle keeps the work alive.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use labs::cancel::{Cancellable, Cancelled, Work};

/// A future that owns the work.
pub struct Task(Rc<Place>);

/// What the task has, and handles reach.
pub struct Place {
    /// Empty while the work is polled, and when it is over.
    work: RefCell<Option<Work>>,
    cancelled: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Future for Task {
    type Output = Result<u32, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let place = &self.0;
        let work = place.work.take();
        let Some(mut work) = work else { return Poll::Ready(Err(Cancelled)) };
        drop(place.waker.replace(Some(cx.waker().clone())));
        // The work is out of its place, so it may cancel itself.
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if place.cancelled.get() {
            return Poll::Ready(Err(Cancelled));
        }
        place.work.replace(Some(work));
        Poll::Pending
    }
}

impl Cancellable for Task {
    type Handle = Rc<Place>;

    fn new(work: Work) -> (Task, Self::Handle) {
        let work = RefCell::new(Some(work));
        let place = Rc::new(Place { work, cancelled: Cell::new(false), waker: RefCell::default() });
        (Task(place.clone()), place)
    }

    fn cancel(handle: &Self::Handle) {
        let place = handle;
        if place.cancelled.replace(true) {
            return;
        }
        drop(place.work.take());
        let waker = place.waker.take();
        waker.into_iter().for_each(Waker::wake);
    }
}
