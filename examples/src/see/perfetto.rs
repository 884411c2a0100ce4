//! The trace events of Chrome, which `ui.perfetto.dev` opens: a track for each task, its polls as slices, its waits as spans,
//! and arrows from each wake to the poll that it caused.

use std::fmt::Write;

use roundel::record::{Trace, What};

use crate::see::json::text;
use crate::see::names::Names;
use crate::see::story::polls;

/// The JSON.
#[must_use]
pub fn perfetto(trace: &Trace) -> String {
    let mut out = Events { out: String::from("{\"traceEvents\":["), is_first: true };
    let names = Names::new(trace);
    out.push(&format!(
        "\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{{\"name\":{}}}",
        text(trace.program())
    ));
    for task in 0..trace.tasks().len() as u32 {
        let (tid, name) = (task + 1, text(&names.task(task)));
        out.push(&format!(
            "\"ph\":\"M\",\"pid\":1,\"tid\":{tid},\"name\":\"thread_name\",\"args\":{{\"name\":{name}}}"
        ));
    }
    slices(trace, &mut out);
    spans(trace, &mut out);
    out.out.push_str("\n]}\n");
    out.out
}

struct Events {
    out: String,
    is_first: bool,
}

impl Events {
    fn push(&mut self, fields: &str) {
        let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
        let _ = write!(self.out, "{comma}\n{{{fields}}}");
    }
}

/// Microseconds, with three decimals.
fn micros(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1_000, nanos % 1_000)
}

fn slices(trace: &Trace, out: &mut Events) {
    for (number, poll) in polls(trace).into_iter().enumerate() {
        let (tid, begin, took) = (poll.task + 1, micros(poll.begin), micros(poll.took()));
        out.push(&format!(
            "\"ph\":\"X\",\"pid\":1,\"tid\":{tid},\"ts\":{begin},\"dur\":{took},\"name\":\"poll\""
        ));
        let Some(queued) = poll.queued.map(|queued| trace.events()[queued]) else { continue };
        let (by, name) = match queued.what {
            What::Wake { by, .. } => (by, "wake"),
            _ => (trace.tasks()[poll.task as usize].by, "spawn"),
        };
        let Some(by) = by else { continue };
        let at = micros(queued.at);
        let arrow = format!("\"pid\":1,\"id\":{number},\"cat\":\"cause\",\"name\":\"{name}\"");
        out.push(&format!("\"ph\":\"s\",\"tid\":{},\"ts\":{at},{arrow}", by + 1));
        out.push(&format!("\"ph\":\"f\",\"bp\":\"e\",\"tid\":{tid},\"ts\":{begin},{arrow}"));
    }
}

/// Waits, which may overlap; sleeps of the loop; and marks.
fn spans(trace: &Trace, out: &mut Events) {
    let names = Names::new(trace);
    let span = |out: &mut Events, kind: &str, at: u64, task: u32, on: u32| {
        let (name, ts, tid) = (text(&names.resource(on)), micros(at), task + 1);
        let id = u64::from(task) << 32 | u64::from(on);
        out.push(&format!(
            "\"ph\":\"{kind}\",\"cat\":\"wait\",\"pid\":1,\"tid\":{tid},\"id\":{id},\"ts\":{ts},\"name\":{name}"
        ));
    };
    for event in trace.events() {
        let ts = micros(event.at);
        match event.what {
            What::Wait { task: Some(task), on, .. } => span(out, "b", event.at, task, on),
            What::Waited { task: Some(task), on } => span(out, "e", event.at, task, on),
            What::Park { .. } => {
                out.push(&format!(
                    "\"ph\":\"B\",\"pid\":1,\"tid\":0,\"ts\":{ts},\"name\":\"asleep in the kernel\""
                ));
            }
            What::Unpark => out.push(&format!("\"ph\":\"E\",\"pid\":1,\"tid\":0,\"ts\":{ts}")),
            What::Mark { text: mark, task } => {
                let (name, tid) =
                    (text(trace.text(Some(mark)).unwrap_or_default()), task.map_or(0, |task| task + 1));
                out.push(&format!(
                    "\"ph\":\"i\",\"s\":\"p\",\"pid\":1,\"tid\":{tid},\"ts\":{ts},\"name\":{name}"
                ));
            }
            _ => {}
        }
    }
}
