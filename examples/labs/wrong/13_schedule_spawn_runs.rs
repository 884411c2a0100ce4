//! Lab 13, wrong: a spawned task runs at once.

use labs::schedule::Predicts;

/// Your prediction.
pub struct Guess;

impl Predicts for Guess {
    /// The name of each task that is polled, in order, as often as it is polled.
    fn polls() -> Vec<&'static str> {
        vec!["a", "b", "c", "d", "main", "a", "b", "main", "d", "c", "main"]
    }
}
