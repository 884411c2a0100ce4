//! The options of a runtime that concern what watches it.
//!
//! Contract. They are there with the feature `diagnostics`. A loop that is watched does the same as one that is not, but slower.
//! What the program has called counts before what the environment asks for.

use crate::builder::Builder;
use crate::core::probe::Event;
use crate::deadlock::Deadlock;
use crate::inspect::Metrics;
use crate::record::Recorder;
use crate::runtime::Runtime;
use crate::warnings::{Warning, Warnings};

#[cfg_attr(docsrs, doc(cfg(feature = "diagnostics")))]
impl Builder {
    /// Debug mode: the loop warns, on standard error, of polls that hold it up, of errors that no handle reports, and of
    /// other mistakes ([`Warnings`]), and reports [deadlocks](crate::deadlock). The environment variable `ROUNDEL_DEBUG=1`
    /// switches this on if the program does not call this.
    pub fn debug(mut self, on: bool) -> Builder {
        self.diagnostics.warnings = on.then(Warnings::default);
        self
    }

    /// Debug mode with these warnings.
    pub fn warnings(mut self, warnings: Warnings) -> Builder {
        self.diagnostics.warnings = Some(warnings);
        self
    }

    /// Calls `told` with each warning, which then does not go to standard error. If no warnings were chosen, all are on.
    ///
    /// It is called after the polls of the turn in which the mistake was noticed, at the latest when `block_on` returns.
    /// Warnings that come outside of the loop, such as when a handle is dropped there, are told in its next turn, or when the
    /// runtime is dropped. If `told` panics, the panic hook reports it, and the next warning is told all the same.
    pub fn on_warning(mut self, told: impl FnMut(&Warning) + 'static) -> Builder {
        self.diagnostics.on_warning = Some(Box::new(told));
        self
    }

    /// Calls `told` with each [deadlock](crate::deadlock), once: tasks that wait for each other for ever.
    ///
    /// It may break the deadlock, for example by cancelling one of the tasks. If it makes a task ready, `block_on` goes on
    /// also on virtual time.
    pub fn on_deadlock(mut self, told: impl FnMut(&Deadlock) + 'static) -> Builder {
        self.diagnostics.on_deadlock = Some(Box::new(told));
        self
    }

    /// Whether the loop looks for [deadlocks](crate::deadlock). If not set, it does with [`debug`](Builder::debug),
    /// [`virtual_time`](Builder::virtual_time) or [`on_deadlock`](Builder::on_deadlock).
    pub fn detect_deadlocks(mut self, on: bool) -> Builder {
        self.diagnostics.detects = Some(on);
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
        self.diagnostics.inspect = on;
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
        self.diagnostics.metrics = on;
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
        self.diagnostics.tracing = on;
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
        self.diagnostics.sinks.push(Box::new(move |event, _| {
            sink(*event);
            true
        }));
        self
    }

    /// Records what the loop does; see [`record`](crate::record). Called several times, it adds several recorders. The
    /// environment variable `ROUNDEL_TRACE=FILE` adds one that records into a file.
    pub fn record(mut self, recorder: Recorder) -> Builder {
        self.diagnostics.recorders.push(recorder);
        self
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "diagnostics")))]
impl Runtime {
    /// The loop in numbers. From inside the loop, use [`metrics`](crate::metrics).
    ///
    /// ```
    /// let runtime = roundel::Runtime::new().unwrap();
    /// runtime.block_on(async { roundel::spawn(std::future::pending::<()>()).detach() });
    /// assert_eq!(runtime.metrics().tasks, 1);
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::of(self.context())
    }

    /// Records what the loop does from its next turn on, as [`record::start`](crate::record::start) does inside of it.
    ///
    /// ```
    /// use roundel::{Runtime, record::Recorder};
    ///
    /// let runtime = Runtime::new().unwrap();
    /// runtime.block_on(async { roundel::spawn(std::future::pending::<()>()).detach() });
    /// let recorder = Recorder::in_memory();
    /// runtime.record(&recorder);
    /// runtime.block_on(async {});
    /// assert_eq!(recorder.trace().unwrap().tasks().len(), 2);
    /// ```
    pub fn record(&self, recorder: &Recorder) {
        recorder.join(self.context());
    }
}
