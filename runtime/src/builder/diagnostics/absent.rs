//! The diagnostics of a program that has none: no loop is watched.
//!
//! Facts. Without the feature `diagnostics`, a program cannot ask for a watcher, and the environment is not asked.
//!
//! What it does not know: all that could be watched.

use crate::core::context::Context;
use crate::core::probe::Watcher;

pub(super) struct Diagnostics;

impl Diagnostics {
    pub(super) fn from_environment() -> Diagnostics {
        Diagnostics
    }

    /// No watcher, and nothing to do once the loop is there.
    pub(super) fn watch(self, _: bool, _: bool) -> (Option<Watcher>, Opening) {
        (None, Opening)
    }
}

pub(super) struct Opening;

impl Opening {
    pub(super) fn open(self, _: &Context) {}
}
