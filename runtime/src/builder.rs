//! The options of a runtime, all with a default.
//!
//! Contract. An option that is not set changes nothing. With `virtual_time` and `shuffle`, a program without
//! other threads and without I/O runs the same way each time, for ever.

// Without the feature, other diagnostics stand in this one's place: none.
#[cfg_attr(not(feature = "diagnostics"), path = "builder/diagnostics/absent.rs")]
mod diagnostics;
#[cfg(feature = "diagnostics")]
mod watching;

use std::fmt;
use std::io;
use std::time::Duration;

use crate::builder::diagnostics::Diagnostics;
use crate::core::event_loop::Options;
use crate::own_pool::OwnPool;
use crate::runtime::Runtime;

impl Runtime {
    /// A runtime with default options.
    ///
    /// # Errors
    ///
    /// If the operating system refuses the descriptors, or 65,536 runtimes exist already.
    pub fn new() -> io::Result<Runtime> {
        Runtime::builder().build()
    }

    /// Options for a runtime.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

/// Builds a [`Runtime`] that is not like the others.
///
/// ```
/// use std::time::Duration;
/// let runtime = roundel::Runtime::builder().virtual_time(true).shuffle(7).build().unwrap();
/// runtime.block_on(async { roundel::time::sleep(Duration::from_secs(3600)).await }); // at once
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    virtual_time: bool,
    shuffle: Option<u64>,
    blocking_threads: Option<usize>,
    shutdown_timeout: Duration,
    diagnostics: Diagnostics,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            virtual_time: false,
            shuffle: None,
            blocking_threads: None,
            shutdown_timeout: Duration::from_secs(1),
            diagnostics: Diagnostics::from_environment(),
        }
    }
}

impl Builder {
    /// Time that costs no time: whenever no task can run and neither the kernel nor another thread has anything to
    /// report, the clock jumps to the next deadline. Sleeps are exact, and last no time at all.
    ///
    /// While a job of [`blocking`](crate::blocking) from this loop waits or runs, no time passes. In other cases the loop
    /// cannot know that another thread or process is about to answer, so timeouts run out at once.
    ///
    /// If the future of a `block_on` can never go on, that is a [`deadlock`](crate::deadlock). Without the feature
    /// `diagnostics` it is not noticed, and the `block_on` does not return.
    pub fn virtual_time(mut self, on: bool) -> Builder {
        self.virtual_time = on;
        self
    }

    /// Runs the tasks that are ready in a random order, the same for the same seed. This finds programs that depend on an
    /// order that is not promised.
    pub fn shuffle(mut self, seed: u64) -> Builder {
        self.shuffle = Some(seed);
        self
    }

    /// At most this many threads for [`unblock`](crate::blocking::unblock). If not set, four more than there are processors,
    /// but not more than 32.
    ///
    /// # Panics
    ///
    /// If `threads` is zero.
    #[track_caller]
    pub fn max_blocking_threads(mut self, threads: usize) -> Builder {
        assert!(threads > 0, "`max_blocking_threads(0)`: what is unblocked would never run");
        self.blocking_threads = Some(threads);
        self
    }

    /// How long the shutdown waits for cleanups, for tasks that the destructors of cancelled tasks have spawned, and for jobs
    /// that [`unblock`](crate::blocking::unblock) has started. One second, if not set.
    ///
    /// On virtual time the wait is over when that much virtual time has passed, or, if the clock stands still, that much
    /// real time, but at least a second. A runtime that is dropped inside another loop does not wait; see [`Runtime`].
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Builder {
        self.shutdown_timeout = timeout;
        self
    }

    /// Builds the runtime.
    ///
    /// # Errors
    ///
    /// If the operating system refuses the descriptors, or 65,536 runtimes exist already.
    pub fn build(self) -> io::Result<Runtime> {
        let (watcher, opening) = self.diagnostics.watch(self.virtual_time, self.shuffle.is_some());
        let runtime = Runtime::build(Options {
            virtual_time: self.virtual_time,
            shuffle: self.shuffle,
            shutdown_timeout: self.shutdown_timeout,
            watcher,
            helpers: Box::new(OwnPool::new(self.blocking_threads)),
        })?;
        opening.open(runtime.context());
        Ok(runtime)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("virtual_time", &self.virtual_time)
            .field("shuffle", &self.shuffle)
            .field("max_blocking_threads", &self.blocking_threads)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .finish_non_exhaustive()
    }
}
