//! A limit on how often something happens per second, and on how often it happens at once.
//!
//! Facts. Ten permits do not enforce a limit of ten per second: quick requests give them back at once.
//!
//! What follows. A bucket of tokens. It holds at most `burst` tokens, is full at first, and gets a new one every
//! `1 / per_second` seconds. No timer fills it. What it holds now follows from what it lacked when it was last used,
//! and from the time since then.
//!
//! Contract. In any period, at most `burst` tokens plus the tokens of that period are taken. First come, first served.
//! Exact under a virtual clock. The clocks of two runtimes cannot be compared, so on another loop the bucket starts as
//! full as it was left.
//!
//! | method | cancel safe |
//! |---|---|
//! | `acquire` | yes: the poll that takes the token returns |

use std::cell::Cell;
use std::time::Duration;

use crate::core::clock::{NEVER, Nanos};
use crate::core::context;
use crate::moment::Moment;
use crate::sync::permits::{Held, Permits};
use crate::time;

/// Lets a number of operations per second pass.
///
/// ```
/// use std::time::Duration;
/// use roundel::{sync::RateLimiter, time};
///
/// let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let (start, limiter) = (time::now(), RateLimiter::new(10, 10));
///     for _ in 0..30 {
///         limiter.acquire().await; // ten at once, then one every 100 ms
///     }
///     assert_eq!(time::now() - start, Duration::from_secs(2));
/// });
/// ```
#[derive(Debug)]
pub struct RateLimiter {
    /// The time between two new tokens.
    period: Nanos,
    burst: u32,
    /// When the last token was taken, and the time that the bucket needed then to become full. A slow, large bucket may
    /// need more time than the clock can count. `None` before the first token is taken.
    taken: Cell<Option<(Moment, u128)>>,
    /// A single permit: the task that has it waits for the clock, the others wait for that task.
    line: Permits,
}

impl RateLimiter {
    /// At most `per_second` in the long run, `burst` at once.
    ///
    /// # Panics
    ///
    /// If `per_second` is not a positive number, or `burst` is zero.
    #[track_caller]
    pub fn new(per_second: impl Into<f64>, burst: u32) -> RateLimiter {
        let period = 1e9 / per_second.into();
        assert!(
            period.is_finite() && period > 0.0,
            "a RateLimiter needs a rate above zero: how many per second may pass?"
        );
        assert!(burst > 0, "a RateLimiter with a burst of zero would let nothing pass: give it at least 1");
        // Rounded up, to be too slow by a nanosecond rather than too fast. (The cast saturates.)
        let period = period.ceil() as Nanos;
        RateLimiter { period, burst, taken: Cell::new(None), line: Permits::new(1, &"rate limiter") }
    }

    /// Gives it a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> RateLimiter {
        self.line.set_name(name);
        self
    }

    /// Waits for a token, and takes it.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    pub async fn acquire(&self) {
        self.line.take(1).await;
        let _first = Held { permits: &self.line, n: 1 };
        while let Err(wait) = self.take() {
            time::sleep(wait).await;
        }
    }

    /// Takes a token, if there is one and no task waits.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn try_acquire(&self) -> bool {
        self.line.free() == 1 && self.take().is_ok()
    }

    /// Takes a token, or returns the time until there is one.
    #[track_caller]
    fn take(&self) -> Result<(), Duration> {
        let now = context::with("RateLimiter", |context| Moment::now(&context.clock));
        let (then, lacked) = self.taken.get().unwrap_or((now, 0));
        let passed = now.since(then).unwrap_or_else(|| {
            // On another loop than before: count the time from the first use here.
            self.taken.set(Some((now, lacked)));
            0
        });
        // The bucket fills up with time, and lacks one token more when we have ours. It cannot lack more than it holds.
        let lacks = lacked.saturating_sub(passed.into()) + u128::from(self.period);
        let too_early = lacks.saturating_sub(self.depth());
        if too_early > 0 {
            return Err(Duration::from_nanos(too_early.try_into().unwrap_or(NEVER)));
        }
        self.taken.set(Some((now, lacks)));
        Ok(())
    }

    /// The time it takes to fill an empty bucket.
    fn depth(&self) -> u128 {
        u128::from(self.period) * u128::from(self.burst)
    }
}
