//! How a report is laid out: what was tried, what was expected, what was seen, and an idea.
//!
//! Contract. No line is wider than the terminal, unless one word is. What was tried is cut to its end, because that is
//! where it went wrong.

use examples::status::cut;
use rustix::termios::tcgetwinsize;

use crate::desk::State;
use crate::judge::{Failure, Report, What};
use crate::list::Lab;
use crate::outcome::Trouble;

/// More acts than this are cut.
const MOST_ACTS: usize = 14;
/// Wider lines are harder to read.
const WIDEST: usize = 80;

/// The columns of the terminal, and at most what can be read well.
#[must_use]
pub fn columns() -> usize {
    let columns = tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col);
    if columns == 0 { WIDEST } else { usize::from(columns).min(WIDEST) }
}

/// What the judge has found, as the learner reads it.
#[must_use]
pub fn page(lab: &Lab, report: &Report, width: usize) -> String {
    let title = format!("{}  {}", lab.title, lab.stars());
    let mut lines = wrap(&title, &format!("Lab {}: ", lab.number), width);
    lines.push(String::new());
    for passed in &report.passed {
        lines.extend(wrap(passed.check, "  ok    ", width));
        lines.extend(passed.remarks.iter().flat_map(|remark| wrap(remark, "          ", width)));
    }
    match &report.failure {
        Some(failure) => lines.extend(failed(failure, report.left, width)),
        None => lines.extend(solved(lab, report, width)),
    }
    lines.join("\n")
}

fn solved(lab: &Lab, report: &Report, width: usize) -> Vec<String> {
    let text = format!("All {} checks pass. Lab {} is solved.", report.passed.len(), lab.number);
    let (answer, statement) = (lab.file_name(), lab.statement());
    let then = format!(
        "Compare it with `examples/labs/answers/{answer}`. The end of `docs/{statement}` says what to read next."
    );
    [vec![String::new()], wrap(&text, "", width), wrap(&then, "", width)].concat()
}

fn failed(failure: &Failure, left: usize, width: usize) -> Vec<String> {
    let mut lines = wrap(failure.check, "  FAIL  ", width);
    lines.push(String::new());
    lines.extend(tried(&failure.tried, width));
    for (label, text) in outcome(&failure.what) {
        lines.extend(wrap(&text, label, width));
    }
    lines.push(String::new());
    // A part that is not written needs no idea: the statement tells what it does.
    match failure.what {
        What::Trouble(Trouble::NotWritten { .. }) => lines.extend(wrap(READ_FIRST, "    ", width)),
        _ => lines.extend(wrap(failure.idea, "    Idea: ", width)),
    }
    if left > 0 {
        let checks = if left == 1 { "check comes" } else { "checks come" };
        lines.push(String::new());
        lines.extend(wrap(&format!("{left} more {checks} after this one."), "  ", width));
    }
    lines
}

const READ_FIRST: &str =
    "Write it, and run this command again. The statement is named at the top of the file.";

/// The rows `expected` and `seen`.
fn outcome(what: &What) -> Vec<(&'static str, String)> {
    match what {
        What::Unexpected(miss) => {
            vec![("    expected  ", miss.expected.clone()), ("    seen      ", miss.seen.clone())]
        }
        What::Trouble(trouble) => vec![("    seen      ", trouble.to_string())],
    }
}

/// The row `tried`, one line for each act.
fn tried(acts: &[String], width: usize) -> Vec<String> {
    let cut = acts.len().saturating_sub(MOST_ACTS);
    let before = (cut > 0).then(|| format!("… after {cut} earlier steps:"));
    let mut label = "    tried     ";
    let mut lines = Vec::new();
    for act in before.iter().chain(&acts[cut..]) {
        lines.extend(wrap(act, label, width));
        label = "              ";
    }
    lines
}

/// A text in lines of this width. The first begins with the label, the others below the text after it.
#[must_use]
pub fn wrap(text: &str, label: &str, width: usize) -> Vec<String> {
    let indent = label.chars().count();
    // In a very narrow terminal a deep indent would leave no room for words.
    let below = " ".repeat(if width < indent + 24 { 2 } else { indent });
    let (mut lines, mut line, mut is_empty) = (Vec::new(), label.to_owned(), true);
    for word in text.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut line, below.clone()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

/// A lab's row in the list. A narrow terminal gets the number, a mark and the title.
#[must_use]
pub fn row(lab: &Lab, state: State, width: usize) -> String {
    let (mark, word) = match state {
        State::Fresh => (' ', ""),
        State::Begun => ('…', "begun"),
        State::Solved => ('x', "solved"),
        State::Changed => ('?', "changed since it passed"),
    };
    let (number, title, minutes) = (lab.number, lab.title, lab.minutes);
    let whole = format!("{number:>3}  {title:<36}{:<5}{minutes:>3} min  {word}", lab.stars());
    if whole.trim_end().chars().count() < width {
        return whole.trim_end().to_owned();
    }
    cut(&format!("{number:>2} {mark} {title}"), width)
}
