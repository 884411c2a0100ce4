//! Lab 2: find the lost wake-up.
//!
//! The statement is `docs/labs/02-lost-wake.md`. To grade this file: `cargo run -p labs -- 2`.

use labs::lost_wake::Orders;
use labs::lost_wake::Step::{self, Ask, Look, Mark, Park, Push, Ring};

/// The orders that you found.
pub struct Found;

impl Orders for Found {
    /// The six steps in an order in which the wake-up is lost. In this one, it is not.
    fn lost() -> Vec<Step> {
        vec![Look, Mark, Park, Push, Ask, Ring]
    }

    /// The loop's three steps in an order in which no wake-up can be lost. In this one, it can.
    fn repaired() -> [Step; 3] {
        [Look, Mark, Park]
    }
}
