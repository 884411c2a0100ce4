//! Lab 7, wrong: the work that cancelled itself is dropped while the place is borrowed.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use labs::cancel::{Cancellable, Cancelled, Work};

struct Shared {
    work: Option<Work>,
    waker: Option<Waker>,
    /// Ended or cancelled.
    is_over: bool,
}

/// A future that owns the work.
pub struct Task(Rc<RefCell<Shared>>);

/// What cancels the work.
pub struct Handle(Weak<RefCell<Shared>>);

impl Future for Task {
    type Output = Result<u32, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let work = self.0.borrow_mut().work.take();
        let Some(mut work) = work else { return Poll::Ready(Err(Cancelled)) };
        let waker = cx.waker().clone();
        let old = self.0.borrow_mut().waker.replace(waker);
        drop(old);
        let polled = work.as_mut().poll(cx);
        let mut shared = self.0.borrow_mut();
        if shared.is_over {
            drop(work);
            return Poll::Ready(Err(Cancelled));
        }
        match polled {
            Poll::Pending => {
                shared.work = Some(work);
                Poll::Pending
            }
            Poll::Ready(output) => {
                shared.is_over = true;
                drop(shared);
                drop(work);
                Poll::Ready(Ok(output))
            }
        }
    }
}

impl Cancellable for Task {
    type Handle = Handle;

    /// The work, and a handle to cancel it. Nothing is polled yet.
    fn new(work: Work) -> (Task, Handle) {
        let shared = Rc::new(RefCell::new(Shared { work: Some(work), waker: None, is_over: false }));
        let handle = Handle(Rc::downgrade(&shared));
        (Task(shared), handle)
    }

    /// Drops the work at once, or right after its poll if it runs now. Wakes the task that awaits it.
    fn cancel(handle: &Handle) {
        let Some(shared) = handle.0.upgrade() else { return };
        let mut borrowed = shared.borrow_mut();
        if borrowed.is_over {
            return;
        }
        borrowed.is_over = true;
        let work = borrowed.work.take();
        let waker = borrowed.waker.take();
        drop(borrowed);
        drop(work);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
