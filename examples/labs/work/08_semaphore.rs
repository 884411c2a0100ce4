//! Lab 8: a fair semaphore that survives dropped waiters.
//!
//! The statement is `docs/labs/08-semaphore.md`. To grade this file: `cargo run -p labs -- 8`.

use labs::not_written;
use labs::semaphore::Semaphore;

/// Permits, and a line of those that wait for one.
pub struct Fair {}

impl Semaphore for Fair {
    /// A semaphore with this number of permits.
    fn new(permits: usize) -> Fair {
        not_written("`new`")
    }

    /// Waits for a permit. The first that waits is the first that gets one.
    ///
    /// You will want a future of your own here, with a `Drop`.
    async fn acquire(&self) {
        not_written("`acquire`")
    }

    /// Gives a permit back.
    fn release(&self) {
        not_written("`release`")
    }
}
