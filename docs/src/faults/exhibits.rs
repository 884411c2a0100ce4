//! The exhibits of the bug gallery, run on a sound runtime and on a faulty one.
//!
//! Facts. What a program prints on a faulty runtime cannot be known without running it. It may panic, abort, or never end.
//! The numbers of threads differ from run to run, and those of lines with each edit. A loop that is recorded takes other
//! paths, on which a fault may not show.
//!
//! What follows. The text beside each program, `examples/labs/gallery/NAME.txt`, is made by running it: once on the
//! runtime as it is, and once with its fault. A trace is made in a run of its own. The program `faults` of this package
//! writes the texts with `--gallery`, and checks them when it runs without options.
//!
//! What it does not know: the answers.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::faults::Fault;
use crate::faults::copy::{Copy, Ended};
use crate::faults::gallery::Exhibit;
use crate::root;

/// A program that takes longer does not end. Some with a fault do not, and each time this is waited for.
const LIMIT: Duration = Duration::from_secs(30);
/// Without a fault, all of them do; a busy machine may need longer for it.
const SOUND: Duration = Duration::from_secs(300);

/// Where the programs and their texts are.
const FOLDER: &str = "examples/labs/gallery";

/// The text beside a program, as it was written.
#[must_use]
pub fn text(exhibit: &Exhibit) -> String {
    fs::read_to_string(file(exhibit, "txt")).unwrap_or_default()
}

/// Writes the text beside a program.
///
/// # Errors
///
/// If that cannot be done.
pub fn write_text(exhibit: &Exhibit, text: &str) -> Result<(), String> {
    let file = file(exhibit, "txt");
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
}

fn file(exhibit: &Exhibit, ending: &str) -> PathBuf {
    root().join(FOLDER).join(format!("{}.{ending}", exhibit.program))
}

/// What should stand beside a program that prints the one on a sound runtime, and the other with its fault.
#[must_use]
pub fn side_by_side(sound: &str, faulty: &str) -> String {
    format!("As it should be:\n\n{}\nWith the fault:\n\n{}", indented(sound), indented(faulty))
}

/// Runs the program of an exhibit, with a fault or without one. Returns what it prints and how it ends.
///
/// # Errors
///
/// If it cannot be built or run.
pub fn run(copy: &Copy, exhibit: &Exhibit, fault: Option<&Fault>) -> Result<String, String> {
    let program = build(copy, exhibit, fault)?;
    let ended = copy.run_program(&program, &[], &[], if fault.is_some() { LIMIT } else { SOUND })?;
    Ok(sentence(&ended).into_iter().fold(plain(&copy.said()), |said, line| said + line + "\n"))
}

/// Runs the program of an exhibit with its fault, and records its loop. Returns the file, if the program has left one.
///
/// # Errors
///
/// If it cannot be built or run.
pub fn record(copy: &Copy, exhibit: &Exhibit, fault: &Fault) -> Result<Option<PathBuf>, String> {
    let program = build(copy, exhibit, Some(fault))?;
    let trace = copy.folder().join(exhibit.program).with_extension("trace");
    let _ = fs::remove_file(&trace);
    copy.run_program(&program, &[], &[("ROUNDEL_TRACE", &trace)], LIMIT)?;
    let has_events = fs::metadata(&trace).is_ok_and(|trace| trace.len() > 0);
    Ok(has_events.then_some(trace))
}

fn build(copy: &Copy, exhibit: &Exhibit, fault: Option<&Fault>) -> Result<PathBuf, String> {
    let source = file(exhibit, "rs");
    let program = fs::read_to_string(&source).map_err(|error| format!("{}: {error}", source.display()))?;
    let mut texts = copy.texts().clone();
    fault.map_or(Ok(()), |fault| fault.plant(&mut texts))?;
    texts.insert(format!("runtime/examples/{}.rs", exhibit.program), program);
    copy.write(&texts)?;
    copy.build_example(exhibit.program)
}

/// How a program has ended, unless it ended as it should.
fn sentence(ended: &Ended) -> Option<&'static str> {
    match ended {
        Ended::Hung => Some("(It does not end.)"),
        Ended::With(status) if status.success() => None,
        Ended::With(status) if status.code().is_some() => Some("(It fails.)"),
        Ended::With(_) => Some("(A signal ends the process.)"),
    }
}

/// What a program has said, without what differs from run to run.
fn plain(said: &str) -> String {
    let mut plain = String::new();
    let is_frame = |line: &&str| !line.starts_with(' ') && !line.starts_with("stack backtrace");
    for line in said.lines().filter(is_frame).filter(|line| !line.starts_with("note: ")) {
        // `thread 'main' (123) panicked at runtime/src/core/timers.rs:45:9:`
        let line = match line.split_once(" panicked at ") {
            Some(("", _)) | None => line.to_owned(),
            Some((thread, place)) => {
                let thread = thread.rsplit_once(" (").map_or(thread, |(name, _)| name);
                let file = place.split_once(".rs:").map_or(place, |(file, _)| file);
                // The sources of `std` are below a folder that changes with the compiler.
                let file = file.find("library/").map_or(file, |start| &file[start..]);
                format!("{thread} panicked at {file}.rs:")
            }
        };
        let _ = writeln!(plain, "{line}");
    }
    plain.trim_start_matches('\n').to_owned()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        let said = "\nthread 'main' (123) panicked at runtime/src/core/timers.rs:45:9:\nalready borrowed\nnote: run with\n\
            stack backtrace:\n   0: std\n";
        let plain = plain(said);
        assert_eq!(plain, "thread 'main' panicked at runtime/src/core/timers.rs:\nalready borrowed\n");
        assert_eq!(indented("a\n\nb\n"), "    a\n\n    b\n");
    }
}
