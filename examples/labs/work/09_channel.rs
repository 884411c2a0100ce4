//! Lab 9: a channel on a line of waiters.
//!
//! The statement is `docs/labs/09-channel.md`. To grade this file: `cargo run -p labs -- 9`.

use labs::channel::{Channel, Line};
use labs::not_written;

/// Values, a line of senders that wait for room, and a line of receivers that wait for values.
#[derive(Default)]
pub struct Bounded {
    senders: Line,
    receivers: Line,
}

impl Channel for Bounded {
    /// A channel with room for this number of values.
    fn new(capacity: usize) -> Bounded {
        not_written("`new`")
    }

    /// Waits for room, and puts the value into the channel. If the channel is closed, returns the value.
    async fn send(&self, value: u32) -> Result<(), u32> {
        not_written("`send`")
    }

    /// Waits for a value, and takes the oldest. `None` if the channel is closed and empty.
    async fn recv(&self) -> Option<u32> {
        not_written("`recv`")
    }

    /// Closes the channel: no value comes in any more.
    fn close(&self) {
        not_written("`close`")
    }
}
