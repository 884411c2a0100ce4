//! Sleeping, timeouts and intervals.
//!
//! Facts. A sleep is a deadline and a waker; nothing runs while it waits. Most timeouts are dropped before they end. A
//! duration can be longer than any clock can count.
//!
//! Contract. Invariant 9: a sleep never ends early, whatever `Duration` it is given. Nothing is registered before the
//! first poll, and a dropped sleep leaves nothing behind. Every sleep gives way at least once, even a sleep of zero, so
//! a loop of sleeps does not starve other tasks. A deadline is kept in nanoseconds; on a quiet machine a task runs
//! about ten microseconds after it. On Linux without the feature `exact` that becomes up to a millisecond. With
//! `Builder::virtual_time` it runs exactly at its deadline.
//!
//! What is not promised. Time goes on while a task computes: a deadline that passes in that time is noticed afterwards.
//! A deadline more than 584 years after the runtime was built does not come.
//!
//! | method | cancel safe |
//! |---|---|
//! | `sleep`, `sleep_until` | yes |
//! | `timeout`, `timeout_at` | as the inner future: it is dropped with the timeout |
//! | `Interval::tick` | yes: a tick that was not returned is the next one to be returned |

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::core::clock::{NEVER, Nanos, saturating_nanos};
use crate::core::context::{self, budget};
use crate::core::probe::{Event, Resource};
use crate::core::timers::{Key, Timers};
use crate::share;
use crate::waits;

/// The time of the running loop; on virtual time, the virtual time.
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
#[must_use]
pub fn now() -> Instant {
    let context = context::expect("time::now");
    context.clock.instant(context.clock.now())
}

/// Waits for `duration`, and not a nanosecond less. With [`Duration::MAX`], or any duration over 584 years, it never
/// ends. (In tokio, such a sleep ends after about 30 years.)
///
/// ```
/// use std::time::Duration;
/// use roundel::{Runtime, time};
///
/// let runtime = Runtime::builder().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let start = time::now();
///     time::sleep(Duration::from_secs(50 * 365 * 24 * 3600)).await;
///     assert_eq!(time::now() - start, Duration::from_secs(50 * 365 * 24 * 3600));
/// });
/// ```
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    context::with("time::sleep", |context| {
        let now = context.clock.now();
        Sleep::new(&context.timers, now.saturating_add(saturating_nanos(duration)), now)
    })
}

/// Waits until `deadline`. If that has already passed, it gives way once, so that a loop of such sleeps does not hold
/// up other tasks. (In tokio, it is ready at once.)
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    context::with("time::sleep_until", |context| {
        Sleep::new(&context.timers, context.clock.nanos(deadline), context.clock.now())
    })
}

/// See [`sleep`].
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    timers: Rc<Timers>,
    deadline: Nanos,
    state: SleepState,
}

#[derive(Clone, Copy)]
enum SleepState {
    /// Not polled yet, or a sleep without end, which is never registered. `due` is true if the deadline had passed when
    /// the sleep was made.
    New { due: bool },
    /// A sleep without end, of which a watcher was told under this number.
    Endless(u64),
    /// Registered with the timers, from the first poll until the sleep is over, reset or dropped.
    Pending(Key),
    /// It has ended.
    Over,
}

impl Sleep {
    fn new(timers: &Rc<Timers>, deadline: Nanos, now: Nanos) -> Sleep {
        Sleep { timers: Rc::clone(timers), deadline, state: SleepState::New { due: deadline <= now } }
    }

    /// Gives the sleep another deadline, even if it is over. From now on it belongs to the running loop.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn reset(&mut self, deadline: Instant) {
        let context = context::expect("Sleep::reset");
        let deadline = context.clock.nanos(deadline);
        self.stop();
        *self = Sleep::new(&context.timers, deadline, context.clock.now());
    }

    /// Whether it has never been polled and its deadline had passed when it was made.
    fn is_due(&self) -> bool {
        matches!(self.state, SleepState::New { due: true })
    }

    fn stop(&mut self) {
        match self.state {
            SleepState::Pending(key) if self.timers.probe.is_on() => self.cancel_and_report(key),
            SleepState::Pending(key) => self.timers.cancel(key),
            SleepState::Endless(number) => self.report_endless(number, false),
            SleepState::New { .. } | SleepState::Over => {}
        }
        self.state = SleepState::Over;
    }

    #[track_caller]
    fn start(&mut self, cx: &mut Context<'_>) {
        if self.timers.is_closed_before(NEVER) {
            gone();
        }
        if self.deadline == NEVER {
            return self.start_endless();
        }
        let key = self.timers.insert(self.deadline, cx.waker().clone());
        self.state = SleepState::Pending(key);
        if self.timers.probe.is_on() {
            self.report_start(key);
        }
    }

    #[cold]
    #[track_caller]
    fn start_endless(&mut self) {
        if self.timers.probe.is_on() {
            let number = self.timers.probe.next_number();
            self.state = SleepState::Endless(number);
            self.report_endless(number, true);
        }
    }

    #[cold]
    #[track_caller]
    fn report_start(&self, key: Key) {
        let deadline = Duration::from_nanos(self.deadline);
        self.timers.probe.tell(Event::TimerSet { timer: key.serial, deadline }, 0);
        self.report(key, true);
    }

    /// Takes a timer out, and tells a watcher of that, if it has not fired. To give it another waker is the way to ask.
    #[cold]
    fn cancel_and_report(&self, key: Key) {
        if self.timers.renew(key, Waker::noop()) {
            self.timers.probe.tell(Event::TimerUnset { timer: key.serial }, 0);
        }
        self.timers.cancel(key);
        self.report(key, false);
    }

    /// Tells a watcher of a wait that no timer will end.
    #[cold]
    #[track_caller]
    fn report_endless(&self, number: u64, begins: bool) {
        let on = Resource::Line { what: "endless sleep", number };
        waits::tell(&self.timers.probe, on, 0, None, begins);
    }

    #[inline]
    #[track_caller]
    fn report(&self, key: Key, begins: bool) {
        waits::tell(&self.timers.probe, Resource::Timer(key.serial), 0, None, begins);
    }
}

impl Future for Sleep {
    type Output = ();

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.state {
            SleepState::Over => return budget::spend(cx.waker()),
            SleepState::New { .. } => self.start(cx),
            SleepState::Pending(key) => {
                // The timers no longer have it: it is over, or its loop was shut down before the deadline.
                if !self.timers.renew(key, cx.waker()) {
                    if self.timers.is_closed_before(self.deadline) {
                        gone();
                    }
                    self.state = SleepState::Over;
                    self.report(key, false);
                    return Poll::Ready(());
                }
                // Perhaps another task waits from now on.
                self.report(key, true);
            }
            SleepState::Endless(number) => self.report_endless(number, true),
        }
        Poll::Pending
    }
}

#[cold]
#[track_caller]
fn gone() -> ! {
    panic!("a sleep was awaited whose runtime had been dropped: make it on the loop that awaits it")
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = matches!(self.state, SleepState::Over);
        f.debug_struct("Sleep")
            .field("deadline_ns", &self.deadline)
            .field("over", &over)
            .finish_non_exhaustive()
    }
}

/// Gives `future` this long; after that it is dropped.
///
/// The future is polled first: a result that is ready at the deadline wins, even with a timeout of zero.
///
/// ```
/// use std::time::Duration;
/// use roundel::{Runtime, time};
///
/// let runtime = Runtime::builder().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let slow = time::sleep(Duration::from_secs(10));
///     assert!(time::timeout(Duration::from_secs(2), slow).await.is_err());
///     assert_eq!(time::timeout(Duration::ZERO, async { 7 }).await, Ok(7));
/// });
/// ```
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep(duration) }
}

/// Gives `future` until `deadline`. See [`timeout`].
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep_until(deadline) }
}

pin_project! {
    /// See [`timeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F> Timeout<F> {
    /// Moves the deadline.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.project().sleep.reset(deadline);
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // First the future, with enough budget, and only then the clock, so that a result that is ready wins.
        // It is polled here and not in a closure, so that it can tell where the program waits.
        let polled = if share::may_poll_child() {
            this.future.poll(cx)
        } else {
            ready!(share::poll_child_with_little(cx, |cx| this.future.poll(cx)))
        };
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        // A timeout of zero does not give way: it returns what the one poll has found.
        if this.sleep.is_due() {
            return Poll::Ready(Err(Elapsed(())));
        }
        // A timeout without end is nothing that the task waits for, so it is not reported as a wait.
        if this.sleep.deadline == NEVER && !this.sleep.timers.is_closed_before(NEVER) {
            return Poll::Pending;
        }
        Pin::new(this.sleep).poll(cx).map(|()| Err(Elapsed(())))
    }
}

/// The deadline of a [`timeout`] has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline has passed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for std::io::Error {
    fn from(elapsed: Elapsed) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed)
    }
}

/// Ticks at once, and then every `period`.
///
/// ```
/// use std::time::Duration;
/// use roundel::{Runtime, time};
///
/// let runtime = Runtime::builder().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let start = time::now();
///     let mut interval = time::interval(Duration::from_millis(100));
///     for _ in 0..4 {
///         interval.tick().await;
///     }
///     assert_eq!(time::now() - start, Duration::from_millis(300));
/// });
/// ```
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(now(), period)
}

/// Ticks at `start`, and then every `period`.
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    let sleep = sleep_until(start);
    Interval { next: sleep.deadline, sleep, period, missed: MissedTick::Burst }
}

/// What an [`Interval`] does with ticks that were not awaited in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissedTick {
    /// Returns the missed ticks one after the other until it has caught up: the number of ticks is right.
    #[default]
    Burst,
    /// Counts from the late tick on: there is always a whole period between two ticks.
    Delay,
    /// Leaves out the missed ticks and stays in step with the start.
    Skip,
}

/// See [`interval`].
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    /// When the next tick is due.
    next: Nanos,
    period: Duration,
    missed: MissedTick,
}

impl Interval {
    /// Waits for the next tick; returns the time for which it was due.
    pub async fn tick(&mut self) -> Instant {
        std::future::poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// The same as a poll function.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        if Pin::new(&mut self.sleep).poll(cx).is_pending() {
            return Poll::Pending;
        }
        let context = context::expect("Interval::tick");
        let now = context.clock.now();
        // Another loop counts time from another start, so an interval that has moved there goes on from now.
        let moved = !Rc::ptr_eq(&context.timers, &self.sleep.timers);
        let due = if moved { now } else { self.next };
        self.next = self.after(due, now);
        self.sleep = Sleep::new(&context.timers, self.next, now);
        Poll::Ready(context.clock.instant(due))
    }

    /// When the next tick is due, after one that was due at `due` and was returned at `now`.
    fn after(&self, due: Nanos, now: Nanos) -> Nanos {
        let period = saturating_nanos(self.period);
        let next = due.saturating_add(period);
        match self.missed {
            _ if next > now => next,
            MissedTick::Burst => next,
            MissedTick::Delay => now.saturating_add(period),
            MissedTick::Skip => {
                // With a period of zero no tick is ever missed.
                let late = (now - due).checked_rem(period).unwrap_or(0);
                (now - late).saturating_add(period)
            }
        }
    }

    /// The same interval with another policy for ticks that were missed.
    #[must_use]
    pub fn missed(mut self, policy: MissedTick) -> Interval {
        self.missed = policy;
        self
    }

    /// The time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Starts again, on the running loop: the next tick comes one period from now.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn reset(&mut self) {
        let context = context::expect("Interval::reset");
        let now = context.clock.now();
        self.next = now.saturating_add(saturating_nanos(self.period));
        self.sleep = Sleep::new(&context.timers, self.next, now);
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }
}
