//! Lab 3: a bell that loses no wake.
//!
//! The statement is `docs/labs/03-bell.md`. To grade this file: `cargo run -p labs -- 3`.

use labs::bell::{Bell, Parts};
use labs::not_written;

/// Wakes the loop, if it sleeps.
pub struct Doorbell {
    parts: Parts,
}

impl Bell for Doorbell {
    /// A bell on these parts: `inbox`, `flag` and `parker`.
    fn new(parts: Parts) -> Doorbell {
        Doorbell { parts }
    }

    /// Called by any thread: gives the loop a message, and rings if the loop needs it.
    fn send(&self, message: u32) {
        not_written("`send`")
    }

    /// Called by the loop's thread: takes the next message, and sleeps while there is none.
    fn recv(&self) -> u32 {
        not_written("`recv`")
    }
}
