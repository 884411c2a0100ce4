//! The options of a runtime, all with a default.
//!
//! Contract. An option that is not set changes nothing. With `virtual_time` and `shuffle`, a program without
//! other threads and without I/O runs the same way each time, for ever.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::core::event_loop::Options;
use crate::core::probe::Event;
use crate::deadlock::{self, Deadlock, Detector};
use crate::debug::{self, Debug};
use crate::inspect::{self, Observer, Seen};
use crate::own_pool::OwnPool;
use crate::own_sinks::OwnSinks;
use crate::record::{self, Recorder};
use crate::runtime::Runtime;
#[cfg(feature = "tracing")]
use crate::spans;
use crate::waits::{self, Sink};
use crate::warnings::{Warning, Warnings};

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
    warnings: Option<Warnings>,
    on_warning: Option<debug::Callback>,
    detects: Option<bool>,
    on_deadlock: Option<deadlock::Callback>,
    inspect: bool,
    metrics: bool,
    #[cfg(feature = "tracing")]
    tracing: bool,
    sinks: Vec<Sink>,
    recorders: Vec<Recorder>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            virtual_time: false,
            shuffle: None,
            blocking_threads: None,
            shutdown_timeout: Duration::from_secs(1),
            warnings: Warnings::from_environment(),
            on_warning: None,
            detects: None,
            on_deadlock: None,
            inspect: inspect::is_wanted(),
            metrics: false,
            #[cfg(feature = "tracing")]
            tracing: false,
            sinks: Vec::new(),
            recorders: Vec::new(),
        }
    }
}

impl Builder {
    /// Time that costs no time: whenever no task can run and neither the kernel nor another thread has anything to
    /// report, the clock jumps to the next deadline. Sleeps are exact, and last no time at all.
    ///
    /// While a job of [`blocking`](crate::blocking) from this loop waits or runs, no time passes. In other cases the loop
    /// cannot know that another thread or process is about to answer, so timeouts run out at once.
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

    /// Debug mode: the loop warns, on standard error, of polls that hold it up, of errors that no handle reports, and of
    /// other mistakes ([`Warnings`]), and reports [deadlocks](crate::deadlock). The environment variable `ROUNDEL_DEBUG=1`
    /// switches this on if the program does not call this.
    pub fn debug(mut self, on: bool) -> Builder {
        self.warnings = on.then(Warnings::default);
        self
    }

    /// Debug mode with these warnings.
    pub fn warnings(mut self, warnings: Warnings) -> Builder {
        self.warnings = Some(warnings);
        self
    }

    /// Calls `told` with each warning, which then does not go to standard error. If no warnings were chosen, all are on.
    ///
    /// It is called after the polls of the turn in which the mistake was noticed, at the latest when `block_on` returns.
    /// Warnings that come outside of the loop, such as when a handle is dropped there, are told in its next turn, or when the
    /// runtime is dropped. If `told` panics, the panic hook reports it, and the next warning is told all the same.
    pub fn on_warning(mut self, told: impl FnMut(&Warning) + 'static) -> Builder {
        self.on_warning = Some(Box::new(told));
        self
    }

    /// Calls `told` with each [deadlock](crate::deadlock), once: tasks that wait for each other for ever.
    ///
    /// It may break the deadlock, for example by cancelling one of the tasks. If it makes a task ready, `block_on` goes on
    /// also on virtual time.
    pub fn on_deadlock(mut self, told: impl FnMut(&Deadlock) + 'static) -> Builder {
        self.on_deadlock = Some(Box::new(told));
        self
    }

    /// Whether the loop looks for [deadlocks](crate::deadlock). If not set, it does with [`debug`](Builder::debug),
    /// [`virtual_time`](Builder::virtual_time) or [`on_deadlock`](Builder::on_deadlock).
    pub fn detect_deadlocks(mut self, on: bool) -> Builder {
        self.detects = Some(on);
        self
    }

    /// Lets other processes of this user ask what the loop does: the program `ps` shows its tasks. See
    /// [`inspect`](crate::inspect). The environment variable `ROUNDEL_INSPECT=1` switches this on if the program does not call
    /// this.
    ///
    /// If the socket cannot be made, one sentence on standard error says why, and the program goes on.
    ///
    /// ```no_run
    /// let runtime = roundel::Runtime::builder().inspect(true).build().unwrap();
    /// runtime.block_on(async { println!("ps {}", std::process::id()) });
    /// ```
    pub fn inspect(mut self, on: bool) -> Builder {
        self.inspect = on;
        self
    }

    /// Watches what the loop does, so that [`Metrics::counts`](crate::inspect::Metrics::counts) is there, and so that
    /// [`dump`](crate::dump) knows what it cannot know otherwise. [`inspect`](Builder::inspect) does this, too.
    ///
    /// ```
    /// let runtime = roundel::Runtime::builder().metrics(true).build().unwrap();
    /// runtime.block_on(roundel::yield_now());
    /// assert_eq!(runtime.metrics().counts.unwrap().polls, 2);
    /// ```
    pub fn metrics(mut self, on: bool) -> Builder {
        self.metrics = on;
        self
    }

    /// Tells the subscribers of the crate `tracing`, with the target `roundel`, of
    ///
    /// - each task: a span `task` on the level `INFO`, which is entered around its polls. Its fields are `task`, `name`,
    ///   `place` (where the task was spawned) and `spawned_by`. All that the task logs stands inside of it.
    /// - each warning: an event on the level `WARN`, with the fields `task`, `name` and `place`. Warnings then do not go to
    ///   standard error. If no warnings were chosen, all are on.
    ///
    /// The span of a task has no parent, except that of the future of a `block_on`, which stands in the span that is current
    /// there. A subscriber is called like a sink of [`probe`](Builder::probe).
    ///
    /// ```
    /// use tracing::info;
    ///
    /// let runtime = roundel::Runtime::builder().tracing(true).build().unwrap();
    /// runtime.block_on(async {
    ///     // A subscriber shows: INFO task{task=#1.1 name="greeter" place=src/main.rs:6:5 spawned_by=#0.1}: hello
    ///     roundel::spawn_named("greeter", async { info!("hello") }).await.unwrap();
    /// });
    /// ```
    #[cfg(feature = "tracing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
    pub fn tracing(mut self, on: bool) -> Builder {
        self.tracing = on;
        self
    }

    /// With the sink and the callback that tell subscribers.
    #[cfg(feature = "tracing")]
    fn with_spans(mut self) -> Builder {
        if self.tracing {
            self.sinks.insert(0, spans::sink());
            self.on_warning = Some(spans::callback(self.on_warning.take()));
        }
        self
    }

    #[cfg(not(feature = "tracing"))]
    fn with_spans(self) -> Builder {
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

    /// Calls `sink` with everything the loop does; see [`Event`]. What the loop does while `sink` runs, because
    /// of it, is not reported. Called several times, it adds several sinks, and each is called with everything.
    ///
    /// ```
    /// use roundel::{Runtime, probe::Event};
    /// let polls = std::rc::Rc::new(std::cell::Cell::new(0));
    /// let count = polls.clone();
    /// let sink = move |event| {
    ///     if let Event::PollBegin { .. } = event {
    ///         count.set(count.get() + 1);
    ///     }
    /// };
    /// let runtime = Runtime::builder().probe(sink).build().unwrap();
    /// runtime.block_on(roundel::yield_now());
    /// assert_eq!(polls.get(), 2);
    /// ```
    pub fn probe(mut self, sink: impl FnMut(Event) + 'static) -> Builder {
        let mut sink = sink;
        self.sinks.push(Box::new(move |event, _| {
            sink(*event);
            true
        }));
        self
    }

    /// Records what the loop does; see [`record`](crate::record). Called several times, it adds several recorders. The
    /// environment variable `ROUNDEL_TRACE=FILE` adds one that records into a file.
    pub fn record(mut self, recorder: Recorder) -> Builder {
        self.recorders.push(recorder);
        self
    }

    /// Builds the runtime.
    ///
    /// # Errors
    ///
    /// If the operating system refuses the descriptors, or 65,536 runtimes exist already.
    pub fn build(self) -> io::Result<Runtime> {
        let this = self.with_spans();
        // A sink can do anything, so those that only look come first.
        let sink = |recorder: Recorder| recorder.sink(this.virtual_time, this.shuffle.is_some());
        let recorders = this.recorders.into_iter().chain(record::from_environment());
        let mut sinks: Vec<Sink> = recorders.filter_map(sink).collect();
        sinks.extend(this.sinks);
        let seen = (this.inspect || this.metrics).then(|| Seen::new(this.virtual_time, this.inspect));
        let debug = this.warnings.is_some();
        let all = this.on_warning.is_some().then(Warnings::default);
        let warnings = this.warnings.or(all);
        let looks = debug || this.virtual_time || this.on_deadlock.is_some();
        let detects = this.detects.unwrap_or(looks);
        let own = OwnSinks {
            observer: seen.as_ref().map(Observer::new),
            debug: warnings.map(|warnings| Debug::new(warnings, this.on_warning)),
            detector: detects.then(|| Detector::new(this.virtual_time, debug, this.on_deadlock)),
        };
        let needs_known_waits = seen.is_some() || !sinks.is_empty();
        let runtime = Runtime::build(Options {
            virtual_time: this.virtual_time,
            shuffle: this.shuffle,
            shutdown_timeout: this.shutdown_timeout,
            watcher: waits::watch(own.sink(), sinks),
            helpers: Box::new(OwnPool::new(this.blocking_threads)),
        })?;
        runtime.watch_for(detects, needs_known_waits);
        seen.into_iter().for_each(|seen| inspect::open(runtime.number(), seen));
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
