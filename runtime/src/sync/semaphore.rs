//! At most so many at once.
//!
//! Facts. A thousand requests that start together exhaust the server, the descriptors, or both. N jobs of `t`
//! seconds with K permits take `ceil(N / K) · t`.
//!
//! Contract. First come, first served, also for those who want several permits: nobody overtakes one that waits
//! for more than is free. A permit goes back when it is dropped, however that comes about.
//!
//! What is not promised. A semaphore limits how many, not how often: for that see
//! [`RateLimiter`](crate::sync::RateLimiter).
//!
//! | method | cancel safe |
//! |---|---|
//! | `acquire`, `acquire_many` | yes: dropped, it has no permit; one that was on its way to it goes to the next |

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::channel::Closed;
use crate::core::context;
use crate::sync::permits::{Held, Permits, Take};

/// A number of permits, to be taken and given back.
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
    permits: Permits,
}

impl Semaphore {
    /// A semaphore with `permits` free permits.
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore { permits: Permits::new(permits, "semaphore") }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, or is closed meanwhile.
    #[inline]
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_many(1)
    }

    /// Waits for `n` permits, which come together.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, or is closed meanwhile.
    #[inline]
    pub fn acquire_many(&self, n: usize) -> Acquire<'_> {
        Acquire { permits: &self.permits, n, take: self.permits.take(n) }
    }

    /// Takes a permit if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// If not, or if the semaphore is closed.
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if they are free and nobody waits.
    ///
    /// # Errors
    ///
    /// If not, or if the semaphore is closed.
    pub fn try_acquire_many(&self, n: usize) -> Result<Permit<'_>, TryAcquireError> {
        if self.permits.is_closed() {
            Err(TryAcquireError::Closed)
        } else if self.permits.try_take(n) {
            Ok(Permit { held: Held { permits: &self.permits, n } })
        } else {
            Err(TryAcquireError::NoPermits)
        }
    }

    /// Puts `n` more permits in.
    ///
    /// # Panics
    ///
    /// If there would be more than `usize` can count.
    #[track_caller]
    pub fn add_permits(&self, n: usize) {
        self.permits.give(n);
    }

    /// No more permits, for those who wait and those who come. Permits that are held stay good.
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    /// How many permits are free.
    ///
    /// A waiter that wants several takes none of them before it gets all, so while it waits in line, those that are free count
    /// here, and yet [`try_acquire`](Semaphore::try_acquire) fails. (In tokio, such a waiter collects them one by one.)
    pub fn available(&self) -> usize {
        self.permits.free()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.permits.waiting()
    }
}

/// See [`Semaphore::acquire`].
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct Acquire<'a> {
    permits: &'a Permits,
    n: usize,
    take: Take<'a>,
}

impl<'a> Future for Acquire<'a> {
    type Output = Result<Permit<'a>, Closed>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Closed, it gives no permits, also if some are free; but one that was given before is good.
        if self.permits.is_closed() && !self.take.is_in_line() {
            return context::spend(cx.waker()).map(|()| Err(Closed(())));
        }
        let Acquire { permits, n, take } = &mut *self;
        let taken = ready!(Pin::new(take).poll(cx));
        Poll::Ready(if taken { Ok(Permit { held: Held { permits, n: *n } }) } else { Err(Closed(())) })
    }
}

/// A permit, or several; they go back when this is dropped.
#[must_use = "a permit that is dropped at once permits nothing"]
#[derive(Debug)]
pub struct Permit<'a> {
    held: Held<'a>,
}

impl Permit<'_> {
    /// How many permits these are.
    pub fn count(&self) -> usize {
        self.held.n
    }

    /// Never gives them back.
    pub fn forget(self) {
        std::mem::forget(self.held);
    }
}

/// Why there was no permit at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// All are taken, or others wait already.
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

/// A semaphore whose permits are given back by hand, and which notices if one is given back too often.
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
    /// How many permits are out, to be given back by hand.
    kept: Cell<usize>,
}

impl BoundedSemaphore {
    /// A semaphore with `permits` permits, and never more.
    pub const fn new(permits: usize) -> BoundedSemaphore {
        BoundedSemaphore { semaphore: Semaphore::new(permits), kept: Cell::new(0) }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, or is closed meanwhile.
    pub async fn acquire(&self) -> Result<BoundedPermit<'_>, Closed> {
        Ok(BoundedPermit { permit: self.semaphore.acquire().await?, kept: &self.kept })
    }

    /// Takes a permit if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// If not, or if the semaphore is closed.
    pub fn try_acquire(&self) -> Result<BoundedPermit<'_>, TryAcquireError> {
        Ok(BoundedPermit { permit: self.semaphore.try_acquire()?, kept: &self.kept })
    }

    /// Gives back a permit that was [kept](BoundedPermit::keep).
    ///
    /// # Errors
    ///
    /// If none is out.
    pub fn release(&self) -> Result<(), OverRelease> {
        let kept = self.kept.get().checked_sub(1).ok_or(OverRelease(()))?;
        self.kept.set(kept);
        self.semaphore.add_permits(1);
        Ok(())
    }

    /// No more permits, for those who wait and those who come.
    pub fn close(&self) {
        self.semaphore.close();
    }

    /// How many permits are free.
    pub fn available(&self) -> usize {
        self.semaphore.available()
    }
}

/// A permit of a [`BoundedSemaphore`]; it goes back when this is dropped, unless it is kept.
#[must_use = "a permit that is dropped at once permits nothing"]
#[derive(Debug)]
pub struct BoundedPermit<'a> {
    permit: Permit<'a>,
    kept: &'a Cell<usize>,
}

impl BoundedPermit<'_> {
    /// Keeps the permit until somebody calls [`BoundedSemaphore::release`].
    pub fn keep(self) {
        self.kept.set(self.kept.get() + 1);
        self.permit.forget();
    }
}

/// [`BoundedSemaphore::release`] was called when no permit was out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverRelease(());

impl fmt::Display for OverRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a permit was given back that nobody had kept: `release` was called too often")
    }
}

impl std::error::Error for OverRelease {}
