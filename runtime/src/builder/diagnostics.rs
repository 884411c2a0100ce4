//! What a program wants to be told of its loop, and the watcher that sees to it.
//!
//! Facts. Warnings, the search for deadlocks, recordings, the questions of other processes and the program's own sinks all
//! come from one watcher. The environment may ask for most of them, so a program contains them even if it calls none of them.
//! They are three quarters of what this crate adds to a small program.
//!
//! What follows. The builder reaches all of that here, and nowhere else. Without the feature `diagnostics`,
//! `diagnostics/absent.rs` is compiled in place of this file: no loop is watched, and all that only serves a watcher is left
//! out.
//!
//! What it does not know: what a watcher does with an event.

mod own_sinks;

use std::sync::Arc;

use self::own_sinks::OwnSinks;
use crate::core::context::Context;
use crate::core::probe::Watcher;
use crate::deadlock::{self, Detector};
use crate::debug::{self, Debug};
use crate::inspect::{self, Observer, Seen};
use crate::record::{self, Recorder};
#[cfg(feature = "tracing")]
use crate::spans;
use crate::waits::{self, Sink};
use crate::warnings::Warnings;

/// What was asked for. `builder/watching.rs` sets it.
#[derive(Default)]
pub(super) struct Diagnostics {
    pub(super) warnings: Option<Warnings>,
    pub(super) on_warning: Option<debug::Callback>,
    pub(super) detects: Option<bool>,
    pub(super) on_deadlock: Option<deadlock::Callback>,
    pub(super) inspect: bool,
    pub(super) metrics: bool,
    #[cfg(feature = "tracing")]
    pub(super) tracing: bool,
    pub(super) sinks: Vec<Sink>,
    pub(super) recorders: Vec<Recorder>,
}

impl Diagnostics {
    /// What the environment asks for, apart from recorders.
    pub(super) fn from_environment() -> Diagnostics {
        Diagnostics {
            warnings: Warnings::from_environment(),
            inspect: inspect::is_wanted(),
            ..Diagnostics::default()
        }
    }

    /// The watcher of a loop that is being built, if there is anything to watch for, and what has to be done once the loop is
    /// there.
    pub(super) fn watch(self, is_virtual: bool, is_shuffled: bool) -> (Option<Watcher>, Opening) {
        let this = self.with_spans();
        // A sink can do anything, so those that only look come first.
        let recorders = this.recorders.into_iter().chain(record::from_environment());
        let mut sinks: Vec<Sink> =
            recorders.filter_map(|recorder| recorder.sink(is_virtual, is_shuffled)).collect();
        sinks.extend(this.sinks);
        let seen = (this.inspect || this.metrics).then(|| Seen::new(is_virtual, this.inspect));
        let debug = this.warnings.is_some();
        let all = this.on_warning.is_some().then(Warnings::default);
        let warnings = this.warnings.or(all);
        let looks = debug || is_virtual || this.on_deadlock.is_some();
        let finds_deadlocks = this.detects.unwrap_or(looks);
        let own = OwnSinks {
            observer: seen.as_ref().map(Observer::new),
            debug: warnings.map(|warnings| Debug::new(warnings, this.on_warning)),
            detector: finds_deadlocks.then(|| Detector::new(is_virtual, debug, this.on_deadlock)),
        };
        let skips_known = seen.is_none() && sinks.is_empty();
        (waits::watch(own.sink(), sinks), Opening { finds_deadlocks, skips_known, seen })
    }

    /// With the sink and the callback that tell subscribers.
    #[cfg(feature = "tracing")]
    fn with_spans(mut self) -> Diagnostics {
        if self.tracing {
            self.sinks.insert(0, spans::sink());
            self.on_warning = Some(spans::callback(self.on_warning.take()));
        }
        self
    }

    #[cfg(not(feature = "tracing"))]
    fn with_spans(self) -> Diagnostics {
        self
    }
}

/// What the loop is told once it is there, and what is opened to other processes then.
pub(super) struct Opening {
    finds_deadlocks: bool,
    /// Whether the watcher has no use for waits that the loop itself knows.
    skips_known: bool,
    seen: Option<Arc<Seen>>,
}

impl Opening {
    pub(super) fn open(self, context: &Context) {
        context.probe.finds_deadlocks.set(self.finds_deadlocks);
        context.probe.skips_known.set(self.skips_known);
        self.seen.into_iter().for_each(|seen| inspect::open(context.runtime, seen));
    }
}
