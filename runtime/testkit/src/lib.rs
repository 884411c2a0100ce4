//! What the tests of several packages share: loops that notice a hang, a log of what the loop did, random numbers,
//! tables of futures that have to be fair, separate processes, and a browser.
//!
//! A hang is the failure that these tests look for most, so it must be cheap to notice. On a virtual clock it costs
//! nothing: when no task can run and no event has come, the clock jumps, and a timeout of an hour is over at once. That
//! needs I/O that arrives without delay, as between the two ends of a Unix socket; tests with TCP run on the real
//! clock. A watchdog stops a loop that spins.

#![forbid(unsafe_code)]

pub mod alone;
pub mod browser;
pub mod fair;
mod log;
mod random;
mod unwatched;
mod watchdog;

use std::time::Duration;

use roundel::{Builder, Runtime, time};

pub use log::Log;
pub use random::{Random, noise};
pub use unwatched::Unwatched;
pub use watchdog::{Watchdog, say, watchdog, watchdog_of, watchdog_that};

/// Runs `body` on a virtual clock, which notices a hang at once.
///
/// # Panics
///
/// If nothing can run and nothing has happened, but `body` is not done.
pub fn on_virtual_time(builder: Builder, body: &impl AsyncFn(Log)) {
    // First, because it may have to wait for other tests.
    let _nothing_starts = alone::nothing_starts();
    let _watchdog = watchdog();
    let is_done = run(builder.virtual_time(true), Duration::from_secs(3600), body);
    assert!(is_done, "a hang: nothing can run, nothing has happened, and the test is not done");
}

/// Runs `body` on the real clock, where the loop really parks.
///
/// # Panics
///
/// If `body` is not done after 100 seconds.
pub fn really(body: impl AsyncFn(Log)) {
    let _watchdog = watchdog();
    let limit = Duration::from_secs(100);
    assert!(run(Runtime::builder(), limit, &body), "a hang: the test was not done in {limit:?}");
}

/// Runs `body`, and returns whether it was done within `limit`.
fn run(builder: Builder, limit: Duration, body: &impl AsyncFn(Log)) -> bool {
    let log = Log::default();
    let sink = log.clone();
    let runtime = builder.probe(move |event| sink.add(event)).build().expect("a loop");
    runtime.block_on(async { time::timeout(limit, body(log)).await }).is_ok()
}

/// Lets everything happen that can happen. On a virtual clock this is exact, because time passes only when nothing else
/// can happen. On the real clock, the loop looks at the kernel at least three times.
pub async fn settle() {
    for _ in 0..3 {
        time::sleep(Duration::from_millis(1)).await;
    }
}
