//! The budget of a poll, counted by hand.

use crate::core::context::budget::{self, BUDGET};

#[test]
fn a_poll_does_128_operations_and_the_next_one_gives_way() {
    for _poll in 0..2 {
        budget::refill();
        for operation in 0..BUDGET {
            assert!(budget::try_spend(), "operation {operation}");
        }
        assert!(!budget::try_spend() && !budget::is_left(1));
    }
    assert_eq!(BUDGET, 128);
}
