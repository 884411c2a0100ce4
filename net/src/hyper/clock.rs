//! The loop's clock, as `hyper` asks for it.
//!
//! Facts. `hyper` asks that its timers are `Send` and `Sync`. Those of the loop are not, and cannot be made so without
//! `unsafe`. `hyper` does not send a timer to another thread by itself: it stays in the connection.
//!
//! What follows. The timers stay in a list of their thread. `hyper` gets a [`Place`] in that list, which is only a
//! number and so can be sent.
//!
//! Contract. A place that is polled on another thread panics with a sentence. One that is dropped there leaves its number,
//! and the next timer of the home thread removes what is left.
//!
//! Invariant. The list is not borrowed while a timer is polled or dropped, because that runs foreign wakers (4).
//!
//! What it does not know: HTTP.

use std::cell::RefCell;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::hyper::rt::{self, Sleep};
use roundel::time;
use slab::Slab;

thread_local! {
    static TIMERS: Timers = Timers::default();
}

/// The timers of one thread.
#[derive(Default)]
struct Timers {
    /// `None` while the timer is polled.
    list: RefCell<Slab<Option<time::Sleep>>>,
    home: Arc<Home>,
}

/// What other threads may see of a list.
#[derive(Default)]
struct Home {
    /// The places that were dropped on other threads.
    left: Mutex<Vec<usize>>,
}

impl Home {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timers {
    fn add(&self, timer: time::Sleep) -> Place {
        let left = mem::take(&mut *self.home.lock());
        left.into_iter().for_each(|key| self.remove(key));
        let key = self.list.borrow_mut().insert(Some(timer));
        Place { home: Arc::clone(&self.home), key }
    }

    fn remove(&self, key: usize) {
        let timer = self.list.borrow_mut().try_remove(key);
        drop(timer);
    }

    /// Takes the timer out of the list, uses it and puts it back.
    fn with<R>(&self, key: usize, work: impl FnOnce(&mut time::Sleep) -> R) -> R {
        let taken = self.list.borrow_mut()[key].take();
        let mut timer = taken.expect("a timer is used by one connection at a time");
        let result = work(&mut timer);
        self.list.borrow_mut()[key] = Some(timer);
        result
    }
}

/// The clock of the running loop. The timeouts of `hyper` follow it, on virtual time, too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(TIMERS.with(|timers| timers.add(time::sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(TIMERS.with(|timers| timers.add(time::sleep_until(deadline))))
    }

    fn now(&self) -> Instant {
        time::now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Place>() {
            Some(place) => place.with(|timer| timer.reset(deadline)),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// A timer's place in the list of its thread.
struct Place {
    home: Arc<Home>,
    key: usize,
}

impl Place {
    fn with<R>(&self, work: impl FnOnce(&mut time::Sleep) -> R) -> R {
        TIMERS.with(|timers| {
            assert!(
                Arc::ptr_eq(&timers.home, &self.home),
                "a timer of `roundel_net::hyper` was used on another thread than that of its loop"
            );
            timers.with(self.key, work)
        })
    }
}

impl Future for Place {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|timer| Pin::new(timer).poll(cx))
    }
}

impl Sleep for Place {}

impl Drop for Place {
    fn drop(&mut self) {
        let (home, key) = (&self.home, self.key);
        let is_here = TIMERS.try_with(|timers| {
            let is_here = Arc::ptr_eq(&timers.home, home);
            if is_here {
                timers.remove(key);
            }
            is_here
        });
        // On another thread. Or this thread is ending, and its list is gone already.
        if is_here != Ok(true) {
            home.lock().push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count() -> usize {
        TIMERS.with(|timers| timers.list.borrow().len())
    }

    /// On a thread of its own, because the list belongs to a thread.
    fn alone(test: impl AsyncFnOnce() + Send + 'static) {
        let body = move || {
            let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
            runtime.block_on(test());
        };
        std::thread::spawn(body).join().unwrap();
    }

    #[test]
    fn a_timer_fires_can_be_set_again_and_leaves_nothing() {
        alone(async || {
            let timer: &dyn rt::Timer = &Timer;
            let (start, second) = (timer.now(), Duration::from_secs(1));
            let mut sleep = timer.sleep(second);
            assert_eq!(count(), 1);
            sleep.as_mut().await;
            assert_eq!(timer.now(), start + second);
            timer.reset(&mut sleep, start + 5 * second);
            assert_eq!(count(), 1, "the same timer");
            sleep.as_mut().await;
            assert_eq!(timer.now(), start + 5 * second);
            timer.sleep_until(start + 7 * second).await;
            assert_eq!(timer.now(), start + 7 * second);
            drop(sleep);
            assert_eq!(count(), 0);
        });
    }

    #[test]
    fn a_timer_that_was_dropped_elsewhere_goes_with_the_next_one() {
        alone(async || {
            let sleep = rt::Timer::sleep(&Timer, Duration::from_secs(1));
            std::thread::spawn(move || drop(sleep)).join().unwrap();
            assert_eq!(count(), 1);
            let next = rt::Timer::sleep(&Timer, Duration::from_secs(1));
            assert_eq!(count(), 1);
            drop(next);
            assert_eq!(count(), 0);
        });
    }

    #[test]
    fn a_timer_that_is_polled_elsewhere_says_so() {
        alone(async || {
            let mut sleep = rt::Timer::sleep(&Timer, Duration::from_secs(1));
            let polled = std::thread::spawn(move || {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let _ = sleep.as_mut().poll(&mut cx);
            });
            let payload = polled.join().unwrap_err();
            let text = payload.downcast_ref::<&str>().unwrap();
            assert!(text.contains("on another thread than that of its loop"), "{text}");
        });
    }
}
