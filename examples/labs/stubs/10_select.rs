//! Lab 10: select without a macro.
//!
//! The statement is `docs/labs/10-select.md`. To grade this file: `cargo run -p labs -- 10`.

use labs::not_written;
use labs::select::{Either, Select};

/// Where your function belongs to.
pub struct Race;

impl Select for Race {
    /// Polls both futures until one is ready. If both are, the first wins. The other one is dropped.
    async fn select<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
        not_written("`select`")
    }
}
