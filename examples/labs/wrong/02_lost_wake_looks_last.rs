//! Lab 2, wrong: a repair in which the loop looks after it has slept.

use labs::lost_wake::Orders;
use labs::lost_wake::Step::{self, Ask, Look, Mark, Park, Push, Ring};

/// The orders that you found.
pub struct Found;

impl Orders for Found {
    /// The six steps in an order in which the wake-up is lost.
    fn lost() -> Vec<Step> {
        vec![Look, Push, Ask, Ring, Mark, Park]
    }

    /// The loop's three steps in an order in which no wake-up can be lost.
    fn repaired() -> [Step; 3] {
        [Mark, Park, Look]
    }
}
