//! Traces of the programs of the chapters, as pages that a reader steps through.
//!
//! Facts. A chapter on the order of things is about a program. What that program did can be recorded, and `see` makes a
//! page of it. A trace has hundreds of events, so a reader has to know where to begin.
//!
//! What follows. [`TRACES`] names the programs, and of each the line of `see --log` to look at first. The heading of the
//! log is line 0 and each event has one line, so the number of a line tells the number of its event. [`page`] records a
//! program, makes its page, and returns the address of that event. [`index`] makes a page of links to all of them.
//!
//! What it does not know: what the chapters say of the programs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::programs::{built, record, run};

/// A program to record.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// The program, and the page.
    pub name: &'static str,
    /// Its arguments.
    pub args: &'static [&'static str],
    /// Which of its loops is shown; the first one is 1.
    pub number: usize,
    /// The end of the first line of `see --log` to look at.
    pub first: &'static str,
    /// The chapter that tells about it.
    pub chapter: &'static str,
}

/// In the order of the chapters.
pub const TRACES: &[Shown] = &[
    shown("journey", &[], 1, "is readable and writable", "05-one-bytes-journey.md"),
    shown("greedy", &[], 1, "#1.1 runs", "07-the-ready-queue.md"),
    shown("timeouts", &["query", "--virtual"], 1, "timer 2 fires", "08-time.md"),
    shown("fetches", &["concurrent", "--virtual"], 1, "timer 2 wakes #0.1 main", "11-many-as-one.md"),
    shown("lost_wake", &[], 1, "timer 2 fires", "12-waiting-for-each-other.md"),
    shown(
        "deadlock",
        &[],
        1,
        "#2.1 bob waits for mutex 2 \"a\", held by #1.1",
        "12-waiting-for-each-other.md",
    ),
    shown("breakfast", &[], 1, "#1.1 coffee wakes #0.1 main", "15-seeing-the-loop.md"),
    shown("lanes", &[], 2, "wakes #17.1", "17-pacing-and-lanes.md"),
];

const fn shown(
    name: &'static str,
    args: &'static [&'static str],
    number: usize,
    first: &'static str,
    chapter: &'static str,
) -> Shown {
    Shown { name, args, number, first, chapter }
}

/// Records a program and makes its page in this folder. Returns the name of the page with the event to look at first.
///
/// # Errors
///
/// If the program or `see` fails, or if the trace has no such event.
pub fn page(shown: &Shown, folder: &Path) -> Result<String, String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let trace = folder.join(format!("{}.trace", shown.name));
    let words: Vec<String> = [shown.name].iter().chain(shown.args).map(|&word| word.to_owned()).collect();
    record(&words, &trace)?;
    let all = loops(&trace);
    let wanted = all.get(shown.number - 1).ok_or(format!("{} has no loop {}", shown.name, shown.number))?;
    let page = folder.join(format!("{}.html", shown.name)).display().to_string();
    let log = see(&[wanted.clone(), "--log".into(), "--html".into(), page])?;
    all.iter().for_each(|file| drop(fs::remove_file(file)));
    let line = log.lines().position(|line| line.ends_with(shown.first));
    let line = line.ok_or(format!("the trace of {} has no line `… {}`", shown.name, shown.first))?;
    Ok(format!("{}.html#event={}", shown.name, line - 1))
}

/// The files in which the loops of a program were recorded.
fn loops(trace: &Path) -> Vec<String> {
    let first = trace.display().to_string();
    let others = (2..).map(|number| format!("{first}.{number}")).take_while(|file| Path::new(file).exists());
    std::iter::once(first.clone()).chain(others).collect()
}

fn see(words: &[String]) -> Result<String, String> {
    run(&[&["see".to_owned()], words].concat(), &mut Command::new(built("see")?))
}

/// A page with links to these pages.
#[must_use]
pub fn index(pages: &[(Shown, String)]) -> String {
    let entry = |(shown, page): &(Shown, String)| {
        let chapter = shown.chapter.trim_end_matches(".md");
        let (name, first) = (shown.name, shown.first);
        format!("<li><a href=\"{page}\"><code>{name}</code></a> ({chapter}): <code>{first}</code></li>\n")
    };
    let entries: String = pages.iter().map(entry).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Traces of the book</title>\n\
         <h1>Traces of the book</h1>\n<p>Each link opens a trace at the event to look at first.</p>\n\
         <ul>\n{entries}</ul>\n</html>\n"
    )
}
