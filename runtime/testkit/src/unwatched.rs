//! The methods that a builder lacks without the feature `diagnostics`.
//!
//! Facts. The same tests run with the feature and without it. If a type has a method of its own, that comes before the method
//! of a trait with the same name.
//!
//! What follows. A trait has these methods, too, and here they do nothing. A test calls the builder's own if it is there.

use roundel::Builder;
use roundel::probe::Event;

/// What a test asks of a loop that may be one that cannot be watched.
pub trait Unwatched: Sized {
    /// Nothing hears of any event.
    #[must_use]
    fn probe(self, _: impl FnMut(Event) + 'static) -> Self {
        self
    }

    /// Nothing looks for deadlocks.
    #[must_use]
    fn detect_deadlocks(self, _: bool) -> Self {
        self
    }
}

impl Unwatched for Builder {}
