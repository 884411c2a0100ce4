//! Lab 8, wrong: a waiter that is dropped stays in the line.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use labs::semaphore::Semaphore;

/// Permits, and a line of those that wait for one.
pub struct Fair {
    /// While there are any, the line is empty.
    free: Cell<usize>,
    line: RefCell<VecDeque<Rc<Place>>>,
}

/// A place in the line.
#[derive(Default)]
struct Place {
    /// Set when a permit was handed to this place, which has then left the line.
    handed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Waits for a permit.
struct Acquire<'a> {
    semaphore: &'a Fair,
    /// From the first poll that had to wait to the end.
    place: Option<Rc<Place>>,
}

impl Semaphore for Fair {
    fn new(permits: usize) -> Fair {
        Fair { free: Cell::new(permits), line: RefCell::default() }
    }

    fn acquire(&self) -> impl Future<Output = ()> {
        Acquire { semaphore: self, place: None }
    }

    fn release(&self) {
        let first = self.line.borrow_mut().pop_front();
        let Some(place) = first else { return self.free.set(self.free.get() + 1) };
        place.handed.set(true);
        let waker = place.waker.take();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Acquire<'_> {
    /// Takes a permit, or a place in the line.
    fn ask(&mut self) -> bool {
        let free = &self.semaphore.free;
        if free.get() > 0 {
            free.set(free.get() - 1);
            return true;
        }
        let place = self.place.insert(Rc::default());
        self.semaphore.line.borrow_mut().push_back(place.clone());
        false
    }
}

impl Future for Acquire<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.place.is_none() && self.ask() {
            return Poll::Ready(());
        }
        match self.place.take_if(|place| place.handed.get()) {
            Some(_) => Poll::Ready(()),
            None => {
                let place = self.place.as_ref().expect("it waits");
                drop(place.waker.replace(Some(cx.waker().clone())));
                Poll::Pending
            }
        }
    }
}
