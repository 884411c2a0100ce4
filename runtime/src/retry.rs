//! Trying again, with growing and spread delays.
//!
//! Facts. A request that failed because the other side was overloaded fails again if it is repeated at once. If a
//! thousand clients fail together and each waits one second, they come back together.
//!
//! What follows. Each delay is longer than the one before (`base · factor^k`, up to `max`), and a *jitter* spreads it:
//! full jitter takes any time between zero and the whole delay. n attempts without jitter wait
//! `base · (factor^(n-1) - 1) / (factor - 1)` in all, as long as `max` is not reached.
//!
//! Contract. The first attempt is made at once. The error of the last attempt is returned. Under a virtual clock, all
//! delays are exact; with a seed (`Builder::shuffle`), the random numbers are the same each time as well.
//!
//! | function | cancel safe |
//! |---|---|
//! | `retry`, `retry_if` | as the attempt: it is dropped |

use std::time::Duration;

use crate::core::context;
use crate::core::random::Random;
use crate::task::spend_budget;
use crate::time;

/// How often to try, and how long to wait in between.
///
/// ```
/// use roundel::retry::Backoff;
/// use std::time::Duration;
/// let delays: Vec<u64> = Backoff::exponential(Duration::from_secs(2))
///     .max(Duration::from_secs(10))
///     .attempts(5)
///     .delays()
///     .map(|delay| delay.as_secs())
///     .collect();
/// assert_eq!(delays, [2, 4, 8, 10]);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a backoff does nothing until it is given to `retry`"]
pub struct Backoff {
    base: Duration,
    factor: f64,
    max: Duration,
    attempts: u32,
    jitter: Jitter,
}

/// How a delay is spread, so that many clients that fail together do not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// It is not spread.
    #[default]
    None,
    /// Any time from zero to the whole delay.
    Full,
    /// Half of the delay, plus any time from zero to the other half.
    Equal,
    /// Any time from the base to three times the delay before, up to the maximum.
    Decorrelated,
}

impl Backoff {
    /// Delays of `base`, twice `base`, four times `base`, and so on; five attempts, no jitter.
    pub fn exponential(base: Duration) -> Backoff {
        Backoff { base, factor: 2.0, max: Duration::MAX, attempts: 5, jitter: Jitter::None }
    }

    /// Delays of `base` each time.
    pub fn constant(base: Duration) -> Backoff {
        Backoff::exponential(base).factor(1.0)
    }

    /// By how much each delay is longer than the one before.
    ///
    /// # Panics
    ///
    /// If `factor` is not a number of at least one.
    #[track_caller]
    pub fn factor(mut self, factor: impl Into<f64>) -> Backoff {
        self.factor = factor.into();
        assert!(
            self.factor >= 1.0,
            "the delays of a backoff must not shrink: give it a factor of at least 1"
        );
        self
    }

    /// No delay is longer than this.
    pub fn max(mut self, max: Duration) -> Backoff {
        self.max = max;
        self
    }

    /// How many attempts there are, the first included.
    ///
    /// # Panics
    ///
    /// If `attempts` is zero.
    #[track_caller]
    pub fn attempts(mut self, attempts: u32) -> Backoff {
        assert!(attempts > 0, "zero attempts would have no result: make it at least 1");
        self.attempts = attempts;
        self
    }

    /// How the delays are spread.
    pub fn jitter(mut self, jitter: Jitter) -> Backoff {
        self.jitter = jitter;
        self
    }

    /// The delays between the attempts, with their jitter.
    pub fn delays(&self) -> Delays {
        Delays { backoff: self.clone(), made: 0, last: self.base }
    }
}

/// See [`Backoff::delays`].
#[derive(Clone, Debug)]
pub struct Delays {
    backoff: Backoff,
    /// How many delays have been returned.
    made: u32,
    /// The last delay with its jitter; the base before the first.
    last: Duration,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let Backoff { base, factor, max, attempts, jitter } = self.backoff;
        if self.made + 1 >= attempts {
            return None;
        }
        // The delay without jitter, then the jitter.
        let whole = scaled(base, factor.powf(f64::from(self.made))).min(max);
        self.made += 1;
        self.last = match jitter {
            Jitter::None => whole,
            Jitter::Full => scaled(whole, random()),
            Jitter::Equal => scaled(whole, 0.5 + random() / 2.0),
            Jitter::Decorrelated => {
                let longest = scaled(self.last, 3.0).min(max).max(base);
                (base + scaled(longest - base, random())).min(max)
            }
        };
        Some(self.last)
    }
}

/// A number from zero up to, and without, one: from the running loop's generator, if there is a loop.
fn random() -> f64 {
    context::current().map_or_else(|| Random::unseeded().fraction(), |context| context.random.fraction())
}

/// A duration times a factor. Saturates, but zero stays zero even if the factor is infinite.
fn scaled(duration: Duration, by: f64) -> Duration {
    if duration.is_zero() {
        return duration;
    }
    Duration::try_from_secs_f64(duration.as_secs_f64() * by).unwrap_or(Duration::MAX)
}

/// Calls `attempt` until it succeeds, with a delay after each failure.
///
/// ```
/// use roundel::retry::{Backoff, retry};
/// use std::time::Duration;
///
/// let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let (start, mut attempts) = (roundel::time::now(), Vec::new());
///     let result: Result<(), &str> = retry(Backoff::exponential(Duration::from_secs(2)).attempts(4), async || {
///         attempts.push((roundel::time::now() - start).as_secs());
///         Err("no answer")
///     })
///     .await;
///     assert_eq!((result, attempts), (Err("no answer"), vec![0, 2, 6, 14]));
/// });
/// ```
///
/// # Errors
///
/// The error of the last attempt.
///
/// # Panics
///
/// Outside a loop, when it has to wait.
pub async fn retry<T, E>(backoff: Backoff, attempt: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E> {
    retry_if(backoff, attempt, |_| true).await
}

/// As [`retry`], but only for errors for which `is_transient` returns true; other errors are returned at once.
///
/// # Errors
///
/// The error of the last attempt.
///
/// # Panics
///
/// Outside a loop, when it has to wait.
pub async fn retry_if<T, E>(
    backoff: Backoff,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
    mut is_transient: impl FnMut(&E) -> bool,
) -> Result<T, E> {
    let mut delays = backoff.delays();
    spend_budget().await;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        // Wait and try again, unless this was the last attempt or the error will not go away.
        match delays.next() {
            Some(delay) if is_transient(&error) => time::sleep(delay).await,
            _ => return Err(error),
        }
    }
}
