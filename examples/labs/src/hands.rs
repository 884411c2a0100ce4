//! What the checks use to poll futures by hand: wakers that tell whether they were woken, and a choice for each step.
//!
//! Facts. A schedule is a row of choices: which future is polled next, which is dropped, which permit is given back. If
//! there are few futures and few steps, all schedules can be tried.
//!
//! What follows. [`Flag`] is a waker that only remembers. [`Hand`] is a future with such a waker. [`every_schedule`] calls
//! a case again and again, each time with the next row of choices, short rows first: so the first failure is a short one.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::panicking;

use examples::status::grouped;

use crate::diary::{new_case, open_diary, remark};
use crate::outcome::{Miss, Outcome};

/// A waker that counts.
#[derive(Debug, Default)]
pub struct Flag(AtomicUsize);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Flag {
    /// How often it was woken since the last question.
    #[must_use]
    pub fn take(&self) -> usize {
        self.0.swap(0, SeqCst)
    }

    /// How often it was woken since the last `take`.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

thread_local! {
    static CALL: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A waker that calls back into the code that wakes it, as a foreign runtime's may.
struct Callback;

impl Wake for Callback {
    fn wake(self: Arc<Self>) {
        let call = CALL.take();
        call.into_iter().for_each(|call| call());
    }
}

/// A waker of this thread that calls `f` when it is woken first.
pub fn calls(f: impl FnOnce() + 'static) -> Waker {
    CALL.set(Some(Box::new(f)));
    Arc::new(Callback).into()
}

/// A future that is polled by hand.
pub struct Hand<T> {
    /// `None` when it is over, or was dropped.
    future: Option<Pin<Box<dyn Future<Output = T>>>>,
    flag: Arc<Flag>,
    polls: usize,
    /// What it returned.
    pub output: Option<T>,
}

impl<T> Hand<T> {
    /// A future that has not been polled.
    pub fn new(future: impl Future<Output = T> + 'static) -> Hand<T> {
        Hand { future: Some(Box::pin(future)), flag: Arc::default(), polls: 0, output: None }
    }

    /// Polls it once. Says whether it is over now.
    pub fn poll(&mut self) -> bool {
        self.poll_with(&self.flag.clone().into())
    }

    /// The same with another waker.
    pub fn poll_with(&mut self, waker: &Waker) -> bool {
        let _ = self.flag.take();
        self.polls += 1;
        let Some(future) = &mut self.future else { return true };
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
            self.future = None;
            self.output = Some(output);
        }
        self.future.is_none()
    }

    /// Whether it was woken since its last poll, and is not over.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.is_pending() && self.flag.count() > 0
    }

    /// Whether it has begun.
    #[must_use]
    pub fn was_polled(&self) -> bool {
        self.polls > 0
    }

    /// Whether it is neither over nor dropped.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.future.is_some()
    }

    /// Drops the future.
    pub fn drop_future(&mut self) {
        self.future = None;
    }
}

/// After a miss, a future is left as it is: its destructor belongs to an answer that is wrong, and could hide the miss, or end
/// the process.
impl<T> Drop for Hand<T> {
    fn drop(&mut self) {
        if panicking() || open_diary().miss().is_some() {
            std::mem::forget(self.future.take());
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Hand<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.is_pending();
        f.debug_struct("Hand")
            .field("pending", &pending)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

/// The choices of one schedule.
#[derive(Debug, Default)]
pub struct Choices {
    /// Each choice that was made, with the number of things that could be chosen.
    made: Vec<(usize, usize)>,
    next: usize,
}

impl Choices {
    /// One of `0..of`.
    pub fn choose(&mut self, of: usize) -> usize {
        if self.next == self.made.len() {
            self.made.push((0, of));
        }
        self.made[self.next].1 = of;
        self.next += 1;
        self.made[self.next - 1].0
    }

    /// The next row of choices, if there is one.
    fn advance(&mut self) -> bool {
        self.made.truncate(self.next);
        self.next = 0;
        while let Some((made, of)) = self.made.pop() {
            if made + 1 < of {
                self.made.push((made + 1, of));
                return true;
            }
        }
        false
    }
}

/// Tries all schedules of up to `longest` steps, short ones first. `case` gets the length of a schedule and its choices.
///
/// # Errors
///
/// The first of a case.
pub fn every_schedule(longest: usize, case: impl Fn(usize, &mut Choices) -> Outcome) -> Outcome {
    let tried = (1..=longest).map(|length| each_choice(|choices| case(length, choices)));
    told(tried.sum::<Result<usize, Miss>>()?)
}

/// Calls `case` once for each row of choices, and remarks how many there are.
///
/// # Errors
///
/// The first of a case.
pub fn every_choice(case: impl Fn(&mut Choices) -> Outcome) -> Outcome {
    told(each_choice(case)?)
}

fn told(tried: usize) -> Outcome {
    remark(format_args!("{} schedules were tried", grouped(tried as u64)));
    Ok(())
}

/// Calls `case` once for each row of choices, and counts the calls.
fn each_choice(case: impl Fn(&mut Choices) -> Outcome) -> Result<usize, Miss> {
    let (mut choices, mut tried) = (Choices::default(), 0);
    loop {
        new_case();
        case(&mut choices)?;
        tried += 1;
        if !choices.advance() {
            return Ok(tried);
        }
    }
}

/// Numbers that look random and are the same in each run (xorshift).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// One of `0..below`.
    pub fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}
