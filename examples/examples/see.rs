//! Shows what a loop has done: reads a trace and says what ran, when and why.
//!
//! Record any program with `ROUNDEL_TRACE=hello.trace cargo run --release --example hello`, and then run
//! `cargo run --release --example see -- hello.trace --log`.
//!
//! A trace that was cut, because its program was killed or is still running, is shown as far as it goes.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::process::ExitCode;

use examples::args::{Args, end};
use examples::see::{folded, json, log, names, page, perfetto, stats, why};
use examples::{println, status};
use roundel::record::Trace;

const USAGE: &str = "\
usage: see TRACE [--stats] [--log] [--why TASK] [--html FILE] [--event N] [--perfetto FILE]
           [--folded FILE]
  --stats     how much, how long, and what stands out
  --log       one line for each event
  --why       why a task was last polled: `#3.1`, or its name
  --html      a page with a viewer, for any browser
  --event     the address at which that page opens at event N; without --html, the page
              is written to TRACE.html
  --perfetto  for ui.perfetto.dev
  --folded    stacks by which task spawned which, for flame graphs
A FILE may be `-`: then the output goes to standard output.
A trace is made by ROUNDEL_TRACE=FILE before a program, or by `Recorder` in it.";

/// What the command line asks for.
struct Wanted {
    path: String,
    stats: bool,
    log: bool,
    why: Option<String>,
    html: Option<String>,
    event: Option<usize>,
    perfetto: Option<String>,
    folded: Option<String>,
}

fn wanted() -> Wanted {
    let mut args = Args::new(USAGE);
    let (stats, log) = (args.flag("--stats"), args.flag("--log"));
    let (why, html) = (args.option("--why"), args.option("--html"));
    let event = args.option("--event");
    let (perfetto, folded) = (args.option("--perfetto"), args.option("--folded"));
    let Some(path) = args.positional("a file") else { args.refuse("TRACE is missing: which file?") };
    args.finish();
    Wanted { path, stats, log, why, html, event, perfetto, folded }
}

fn main() -> ExitCode {
    end(show(&wanted()))
}

fn show(wanted: &Wanted) -> io::Result<()> {
    let trace = read(&wanted.path)?;
    let outputs = [&wanted.html, &wanted.perfetto, &wanted.folded];
    let texts = wanted.stats || wanted.log || wanted.why.is_some() || wanted.event.is_some();
    let nothing = !texts && outputs.iter().all(|path| path.is_none());
    if wanted.stats || nothing {
        stats::stats(&trace).iter().for_each(|line| println!("{line}"));
    }
    if nothing {
        println!("try --log, --why TASK or --html FILE; --help tells of all");
        if let Some((event, what)) = stats::surprise(&trace) {
            println!("worth a look first: --event {event} ({what})");
        }
    }
    if wanted.log {
        println!("{}", log::HEADING);
        log::lines(&trace).for_each(|line| println!("{line}"));
    }
    if let Some(task) = &wanted.why {
        explain(&trace, task)?;
    }
    let html = wanted.html.clone().or(wanted.event.map(|_| format!("{}.html", wanted.path)));
    write(html.as_ref(), || page::page(&json::json(&trace)))?;
    if let (Some(event), Some(page)) = (wanted.event, &html) {
        open_at(&trace, event, page)?;
    }
    write(wanted.perfetto.as_ref(), || perfetto::perfetto(&trace))?;
    write(wanted.folded.as_ref(), || folded::folded(&trace).join("\n") + "\n")
}

fn read(path: &str) -> io::Result<Trace> {
    let about = |error: String| io::Error::other(format!("{path}: {error}"));
    let file = File::open(path).map_err(|error| about(error.to_string()))?;
    let trace = Trace::read(file).map_err(|error| about(error.to_string()))?;
    if trace.is_cut() {
        status::complain(format_args!("warning: the trace ends in the middle of a record"));
    }
    let other = format!("{path}.2");
    if std::path::Path::new(&other).exists() {
        status::complain(format_args!(
            "note: the program had several loops: {other} is the trace of the next one"
        ));
    }
    if trace.dropped() > 0 && trace.begin().is_none() {
        let missing = names::are(trace.dropped(), "event");
        status::complain(format_args!("warning: {missing} missing in the trace"));
    }
    Ok(trace)
}

/// Says at which address a page opens at this event.
fn open_at(trace: &Trace, event: usize, page: &str) -> io::Result<()> {
    let count = trace.events().len();
    if event >= count {
        let last = count.checked_sub(1).map_or("is empty".into(), |last| format!("ends with event {last}"));
        return Err(io::Error::other(format!("there is no event {event}: the trace {last}")));
    }
    println!("{page}#event={event}");
    Ok(())
}

fn explain(trace: &Trace, task: &str) -> io::Result<()> {
    let names = names::Names::new(trace);
    let Some(found) = names.find(task) else {
        return Err(io::Error::other(format!("there is no task `{task}` in the trace: --log names all")));
    };
    let lines = why::why(trace, found);
    if lines.is_empty() {
        println!("{} was never polled", names.task(found));
    }
    lines.iter().for_each(|line| println!("{line}"));
    if !lines.is_empty() {
        println!("--event N makes a page that opens at event N");
    }
    Ok(())
}

fn write(path: Option<&String>, text: impl FnOnce() -> String) -> io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    if path == "-" {
        text().lines().for_each(|line| println!("{line}"));
        return Ok(());
    }
    let about = |error: io::Error| io::Error::other(format!("{path}: {error}"));
    std::fs::write(path, text()).map_err(about)
}
