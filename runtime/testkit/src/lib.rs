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
mod watchdog;

use std::time::Duration;

use roundel::{Builder, time};

pub use log::Log;
pub use random::{Random, noise};
pub use watchdog::{Watchdog, say, watchdog, watchdog_of, watchdog_that};

/// A builder of a loop, and the log that its loop is to fill. This crate cannot join the two, because it is built without the
/// features of its users.
pub type Logged = (Builder, Log);

/// Runs `body` on a virtual clock, which notices a hang at once.
///
/// # Panics
///
/// If nothing can run and nothing has happened, but `body` is not done.
pub fn on_virtual_time((builder, log): Logged, body: &impl AsyncFn(Log)) {
    // First, because it may have to wait for other tests.
    let _nothing_starts = alone::nothing_starts();
    let _watchdog = watchdog();
    let is_done = run((builder.virtual_time(true), log), Duration::from_secs(3600), body);
    assert!(is_done, "a hang: nothing can run, nothing has happened, and the test is not done");
}

/// Runs `body` on the real clock, where the loop really parks.
///
/// # Panics
///
/// If `body` is not done after 100 seconds.
pub fn really(logged: Logged, body: impl AsyncFn(Log)) {
    let _watchdog = watchdog();
    let limit = Duration::from_secs(100);
    assert!(run(logged, limit, &body), "a hang: the test was not done in {limit:?}");
}

/// Runs `body`, and returns whether it was done within `limit`.
fn run((builder, log): Logged, limit: Duration, body: &impl AsyncFn(Log)) -> bool {
    let runtime = builder.build().expect("a loop");
    runtime.block_on(async { time::timeout(limit, body(log)).await }).is_ok()
}

/// Lets everything happen that can happen. On a virtual clock this is exact, because time passes only when nothing else
/// can happen. On the real clock, the loop looks at the kernel at least three times.
pub async fn settle() {
    for _ in 0..3 {
        time::sleep(Duration::from_millis(1)).await;
    }
}
