//! Lab 8: another answer. A permit is not handed over: the first that are woken look again, by their numbers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use labs::semaphore::Semaphore;

/// Permits, and those that wait for one, by the numbers that they drew.
pub struct Fair {
    free: Cell<usize>,
    next: Cell<u64>,
    line: RefCell<BTreeMap<u64, Option<Waker>>>,
}

/// A number that leaves the line when it is dropped.
struct Number<'a>(&'a Fair, u64);

impl Fair {
    /// Wakes as many of the first as there are permits.
    fn wake_first(&self) {
        let mut line = self.line.borrow_mut();
        let wakers: Vec<Waker> = line.values_mut().take(self.free.get()).filter_map(Option::take).collect();
        drop(line);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Number<'_> {
    fn drop(&mut self) {
        let gone = self.0.line.borrow_mut().remove(&self.1);
        drop(gone);
        self.0.wake_first();
    }
}

impl Semaphore for Fair {
    fn new(permits: usize) -> Fair {
        Fair { free: Cell::new(permits), next: Cell::new(0), line: RefCell::default() }
    }

    async fn acquire(&self) {
        let number = Number(self, self.next.replace(self.next.get() + 1));
        poll_fn(|cx| {
            let before = self.line.borrow().range(..number.1).count();
            if before < self.free.get() {
                self.free.set(self.free.get() - 1);
                return Poll::Ready(());
            }
            let old = self.line.borrow_mut().insert(number.1, Some(cx.waker().clone()));
            drop(old);
            Poll::Pending
        })
        .await;
    }

    fn release(&self) {
        self.free.set(self.free.get() + 1);
        self.wake_first();
    }
}
