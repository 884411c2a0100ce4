//! A limit on how many tasks do something at the same time.
//!
//! Facts. A thousand requests that start together exhaust the server, the descriptors, or both. N jobs of `t`
//! seconds with K permits take `ceil(N / K) · t`.
//!
//! Contract. First come, first served, also for tasks that want several permits: no task overtakes one that waits for
//! more permits than are free. A permit goes back when it is dropped, whatever the reason.
//!
//! What is not promised. A semaphore limits how many things happen at once, not how often they happen: for that see
//! [`RateLimiter`](crate::sync::RateLimiter).
//!
//! | method | cancel safe |
//! |---|---|
//! | `acquire`, `acquire_many` | yes: a dropped future has no permit; a permit on its way to it goes to the next waiter |

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::channel::Closed;
use crate::core::context::budget;
use crate::sync::permits::{Held, Permits, Take};

/// A number of permits that tasks take and give back.
///
/// ```
/// use std::{rc::Rc, time::Duration};
/// use roundel::{sync::Semaphore, time};
///
/// let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let (start, two_at_once) = (time::now(), Semaphore::new(2));
///     let jobs = (0..5).map(|_| async {
///         let _permit = two_at_once.acquire().await.unwrap();
///         time::sleep(Duration::from_secs(1)).await;
///     });
///     roundel::group::gather(jobs).await;
///     assert_eq!(time::now() - start, Duration::from_secs(3));
/// });
/// ```
#[derive(Debug)]
pub struct Semaphore {
    pub(super) permits: Permits,
}

impl Semaphore {
    /// A semaphore with `permits` free permits.
    #[track_caller]
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore { permits: Permits::new(permits, &"semaphore") }
    }

    /// Gives it a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> Semaphore {
        self.permits.set_name(name);
        self
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, or is closed during the wait.
    #[inline]
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_many(1)
    }

    /// Waits for `n` permits, which come all together.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, or is closed during the wait.
    #[inline]
    pub fn acquire_many(&self, n: usize) -> Acquire<'_> {
        Acquire { take: self.permits.take(n) }
    }

    /// Takes a permit if one is free and no task waits.
    ///
    /// # Errors
    ///
    /// If none is free, if a task waits, or if the semaphore is closed.
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if they are free and no task waits.
    ///
    /// # Errors
    ///
    /// If fewer are free, if a task waits, or if the semaphore is closed.
    pub fn try_acquire_many(&self, n: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.try_take(n)?;
        Ok(Permit { held: Held { permits: &self.permits, n } })
    }

    pub(super) fn try_take(&self, n: usize) -> Result<(), TryAcquireError> {
        if self.permits.is_closed() {
            Err(TryAcquireError::Closed)
        } else if self.permits.try_take(n) {
            Ok(())
        } else {
            Err(TryAcquireError::NoPermits)
        }
    }

    /// Adds `n` permits.
    ///
    /// # Panics
    ///
    /// If there would be more permits than `usize` can count.
    #[track_caller]
    pub fn add_permits(&self, n: usize) {
        self.permits.give(n);
    }

    /// Closes the semaphore: every `acquire`, now waiting or made later, fails. Permits that are held stay valid.
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether the semaphore is closed.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    /// How many permits are free.
    ///
    /// A waiter that wants several permits takes none of them before it gets all. While it waits, the free ones count
    /// here, and yet [`try_acquire`](Semaphore::try_acquire) fails. (In tokio, such a waiter collects them one by one.)
    pub fn available(&self) -> usize {
        self.permits.free()
    }

    /// How many tasks wait.
    pub fn waiting(&self) -> usize {
        self.permits.waiting()
    }
}

/// See [`Semaphore::acquire`].
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct Acquire<'a> {
    take: Take<&'a Permits>,
}

impl<'a> Future for Acquire<'a> {
    type Output = Result<Permit<'a>, Closed>;

    #[inline]
    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll_open(&mut self.take, cx).map_ok(|held| Permit { held })
    }
}

/// Waits for permits of a semaphore, which may be closed.
#[inline]
#[track_caller]
pub(super) fn poll_open<P>(take: &mut Take<P>, cx: &mut Context<'_>) -> Poll<Result<Held<P>, Closed>>
where
    P: Deref<Target = Permits> + Clone,
{
    // A closed semaphore gives no permits, even if some are free. But a permit that was given before is valid.
    if take.permits.is_closed() && !take.is_in_line() {
        return budget::spend(cx.waker()).map(|()| Err(Closed(())));
    }
    let taken = ready!(Pin::new(&mut *take).poll(cx));
    Poll::Ready(if taken { Ok(Held { permits: take.permits.clone(), n: take.n }) } else { Err(Closed(())) })
}

/// One or more permits. They go back when this is dropped.
#[must_use = "a permit that is dropped at once permits nothing"]
#[derive(Debug)]
pub struct Permit<'a> {
    held: Held<&'a Permits>,
}

impl Permit<'_> {
    /// How many permits these are.
    pub fn count(&self) -> usize {
        self.held.n
    }

    /// Never gives the permits back.
    pub fn forget(self) {
        std::mem::forget(self.held);
    }
}

/// Why there was no permit at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// Not enough permits are free, or other tasks are waiting.
    NoPermits,
    /// The semaphore is closed.
    Closed,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryAcquireError::NoPermits => "no permit is free: wait for one with `acquire`",
            TryAcquireError::Closed => "the semaphore is closed",
        })
    }
}

impl std::error::Error for TryAcquireError {}

/// A semaphore whose permits can be given back by hand. It notices if one is given back too often.
///
/// ```
/// use roundel::sync::BoundedSemaphore;
/// roundel::run(async {
///     let seats = BoundedSemaphore::new(1);
///     seats.acquire().await.unwrap().keep(); // given back by hand
///     assert!(seats.release().is_ok());
///     assert!(seats.release().is_err());
/// });
/// ```
#[derive(Debug)]
pub struct BoundedSemaphore {
    semaphore: Semaphore,
    /// How many permits have been kept and are not given back yet.
    kept: Cell<usize>,
}

impl BoundedSemaphore {
    /// A semaphore with `permits` permits, and never more.
    #[track_caller]
    pub const fn new(permits: usize) -> BoundedSemaphore {
        BoundedSemaphore { semaphore: Semaphore::new(permits), kept: Cell::new(0) }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, or is closed during the wait.
    pub async fn acquire(&self) -> Result<BoundedPermit<'_>, Closed> {
        Ok(BoundedPermit { permit: self.semaphore.acquire().await?, kept: &self.kept })
    }

    /// Takes a permit if one is free and no task waits.
    ///
    /// # Errors
    ///
    /// If none is free, if a task waits, or if the semaphore is closed.
    pub fn try_acquire(&self) -> Result<BoundedPermit<'_>, TryAcquireError> {
        Ok(BoundedPermit { permit: self.semaphore.try_acquire()?, kept: &self.kept })
    }

    /// Gives back a permit that was [kept](BoundedPermit::keep).
    ///
    /// # Errors
    ///
    /// If no permit is kept.
    pub fn release(&self) -> Result<(), OverRelease> {
        let kept = self.kept.get().checked_sub(1).ok_or(OverRelease(()))?;
        self.kept.set(kept);
        self.semaphore.add_permits(1);
        Ok(())
    }

    /// Closes the semaphore: every `acquire`, now waiting or made later, fails.
    pub fn close(&self) {
        self.semaphore.close();
    }

    /// How many permits are free.
    pub fn available(&self) -> usize {
        self.semaphore.available()
    }
}

/// A permit of a [`BoundedSemaphore`]. It goes back when this is dropped, unless it is kept.
#[must_use = "a permit that is dropped at once permits nothing"]
#[derive(Debug)]
pub struct BoundedPermit<'a> {
    permit: Permit<'a>,
    kept: &'a Cell<usize>,
}

impl BoundedPermit<'_> {
    /// Keeps the permit until [`BoundedSemaphore::release`] gives it back.
    pub fn keep(self) {
        self.kept.set(self.kept.get() + 1);
        self.permit.forget();
    }
}

/// [`BoundedSemaphore::release`] was called when no permit was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverRelease(());

impl fmt::Display for OverRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no permit was kept that could be given back: `release` was called too often")
    }
}

impl std::error::Error for OverRelease {}
