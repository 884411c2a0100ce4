//! The pauses between attempts for which the kernel reports no readiness.
//!
//! Contract. Each pause is twice as long as the one before: from one to 64 milliseconds.
//!
//! What it does not know: what is attempted.

use std::time::Duration;

use roundel::time::sleep;

pub(super) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Pauses {
        Pauses(Duration::from_millis(1))
    }
}

impl Pauses {
    pub(super) async fn next(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_millis(64));
    }
}
