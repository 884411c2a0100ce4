//! What a subscriber of the crate `tracing` is told: a span for each task, and the warnings.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::future::pending;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use roundel::{Builder, Runtime, Warnings, spawn, spawn_named, task, time, yield_now};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, info, info_span};

/// Writes down what it is told, a line for each thing.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    /// How many spans there have been.
    spans: u64,
    /// The spans that are entered, the innermost last.
    entered: Vec<u64>,
    open: Vec<u64>,
}

/// Fields as text.
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

fn fields(record: impl FnOnce(&mut Fields)) -> String {
    let mut fields = Fields(String::new());
    record(&mut fields);
    // Where the tests stand in this file is of no interest.
    let words = fields.0.split(' ').map(|word| if word.contains("tracing.rs:") { "place" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

impl Notes {
    fn add(&self, line: impl FnOnce(&mut Lines) -> String) {
        let mut lines = self.0.lock().unwrap();
        let line = line(&mut lines);
        lines.lines.push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().lines)
    }
}

impl Subscriber for Notes {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let fields = fields(|fields| span.record(fields));
        let meta = span.metadata();
        self.add(|lines| {
            lines.spans += 1;
            lines.open.push(lines.spans);
            let parent = if span.is_contextual() { lines.entered.last().copied() } else { None };
            let parent = parent.map_or(String::new(), |parent| format!(" in {parent}"));
            format!("{} {} {} is {}{parent}:{fields}", meta.level(), meta.target(), meta.name(), lines.spans)
        });
        Id::from_u64(self.0.lock().unwrap().spans)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let fields = fields(|fields| values.record(fields));
        self.add(|_| format!("{} has{fields}", span.into_u64()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let fields = fields(|fields| event.record(fields));
        let meta = event.metadata();
        self.add(|lines| format!("{} {} in {:?}:{fields}", meta.level(), meta.target(), lines.entered));
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        assert_eq!(self.0.lock().unwrap().entered.pop(), Some(span.into_u64()), "not the innermost span");
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.0.lock().unwrap().open.push(span.into_u64());
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut lines = self.0.lock().unwrap();
        let at = lines.open.iter().position(|open| *open == span.into_u64());
        lines.open.remove(at.expect("only an open span is closed"));
        let is_over = !lines.open.contains(&span.into_u64());
        if is_over {
            lines.lines.push(format!("{} is closed", span.into_u64()));
        }
        is_over
    }
}

/// What the subscriber hears while this runs, with the runtime's end.
fn heard(builder: Builder, main: impl Future) -> Vec<String> {
    let notes = Notes::default();
    tracing::subscriber::with_default(notes.clone(), || {
        let runtime = builder.virtual_time(true).tracing(true).build().unwrap();
        runtime.block_on(main);
        drop(runtime);
    });
    let lines = notes.0.lock().unwrap();
    assert!(lines.open.is_empty() && lines.entered.is_empty(), "spans are left: {:?}", lines.lines);
    drop(lines);
    notes.take()
}

#[test]
fn each_task_has_a_span_that_is_entered_around_its_polls_and_closed_at_its_end() {
    let lines = heard(Runtime::builder(), async {
        let greeter = spawn_named("greeter", async {
            info!("first poll");
            yield_now().await;
            info!("second poll");
        });
        info!("spawned");
        greeter.await.unwrap();
    });
    let text = lines.join("\n");
    let expected = "\
INFO roundel task is 1: task=#0.1
INFO roundel task is 2: task=#1.1 place spawned_by=#0.1
2 has name=\"greeter\"
INFO tracing in [1]: message=spawned
INFO tracing in [2]: message=first poll
INFO tracing in [2]: message=second poll
2 is closed
1 is closed";
    assert_eq!(text, expected);
}

#[test]
fn only_the_future_of_a_block_on_stands_in_the_span_around_it() {
    let notes = Notes::default();
    tracing::subscriber::with_default(notes.clone(), || {
        let _outer = info_span!("outer").entered();
        let runtime = Runtime::builder().tracing(true).build().unwrap();
        runtime.block_on(async { spawn(async {}).await.unwrap() });
    });
    let lines = notes.take();
    assert_eq!(
        lines[..3],
        [
            "INFO tracing outer is 1:",
            "INFO roundel task is 2 in 1: task=#0.1",
            "INFO roundel task is 3: task=#1.1 place spawned_by=#0.1",
        ]
    );
}

/// Tasks that panic, are cancelled, or are left at the end: no span stays open or entered, as `heard` looks.
#[test]
fn no_span_outlives_its_task_however_that_ends() {
    let lines = heard(Runtime::builder().warnings(Warnings::none()), async {
        assert!(spawn(async { panic!("on purpose") }).await.is_err());
        let cancelled = spawn(pending::<()>());
        spawn(pending::<()>()).detach();
        yield_now().await;
        cancelled.cancel();
        info!("between");
    });
    let closed = |number: u32| lines.iter().position(|line| *line == format!("{number} is closed")).unwrap();
    let between = lines.iter().position(|line| line.contains("between")).unwrap();
    assert!(closed(2) < between && closed(3) < between && closed(4) > between, "{lines:#?}");
}

#[test]
fn warnings_are_events_and_the_program_is_told_as_well() {
    let told: Rc<RefCell<Vec<String>>> = Rc::default();
    let note = Rc::clone(&told);
    let builder = Runtime::builder().warnings(Warnings::none().unheard_errors(true).cancelled_at_end(true));
    let builder = builder.on_warning(move |warning| note.borrow_mut().push(warning.to_string()));
    let lines = heard(builder, async {
        spawn_named("fails", async { Err::<(), _>(()) }).detach();
        spawn(pending::<()>()).detach();
        time::sleep(std::time::Duration::from_secs(1)).await;
    });
    let events: Vec<_> = lines.iter().filter(|line| line.starts_with("WARN")).collect();
    let [error, end] = &events[..] else { panic!("{lines:#?}") };
    assert!(
        error.starts_with("WARN roundel in []: message=task #1.1 \"fails\" (spawned at place"),
        "{error}"
    );
    assert!(error.ends_with(" task=#1.1 name=\"fails\" place"), "{error}");
    assert!(end.starts_with("WARN roundel in []: message=the shutdown cancelled task #2.1"), "{end}");
    assert!(!end.contains("task=") && !end.contains("name="), "{end}");
    assert_eq!(told.borrow().len(), 2);
}

#[test]
fn without_the_option_a_subscriber_hears_nothing() {
    let notes = Notes::default();
    tracing::subscriber::with_default(notes.clone(), || {
        Runtime::builder().build().unwrap().block_on(async { spawn(async {}).await.unwrap() });
    });
    assert!(notes.take().is_empty());
}

/// A subscriber that panics in `enter`, as a sink that panics.
struct Panics;

impl Subscriber for Panics {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        panic!("an event that panics, on purpose");
    }

    fn enter(&self, _: &Id) {
        panic!("a span that panics, on purpose");
    }

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_subscriber_that_panics_harms_no_task() {
    let told = Rc::new(RefCell::new(0));
    let count = Rc::clone(&told);
    tracing::subscriber::with_default(Panics, || {
        let builder = Runtime::builder().virtual_time(true).tracing(true);
        let builder = builder.warnings(Warnings::none().unheard_errors(true));
        let runtime = builder.on_warning(move |_| *count.borrow_mut() += 1).build().unwrap();
        runtime.block_on(async {
            for _ in 0..3 {
                spawn(async { Err::<(), _>(()) }).detach();
                time::sleep(std::time::Duration::from_secs(1)).await;
            }
            assert_eq!(task::count(), 1);
        });
    });
    assert_eq!(*told.borrow(), 3);
}
