//! The parts of a chapter that are written from a report, between the words of an author.
//!
//! ```text
//! <!-- faceoff: machine -->          where, when and with what it was measured
//! <!-- faceoff: losses -->           the rows in which another contender is ahead
//! <!-- faceoff: notes -->            what was left out
//! <!-- faceoff: table scheduler -->  the table of a group
//! what is written from the report
//! <!-- end -->
//! ```
//!
//! Contract. Everything between such marks is replaced; everything outside of them stays. Each group of the report must
//! have its mark, because a reader would miss its figures otherwise; the error says which mark to add, and where.

use crate::faceoff::report::{Report, Row, Verdict};
use crate::faceoff::tables::{OURS, cell, losses, lost};

const BEGIN: &str = "<!-- faceoff: ";
const END: &str = "<!-- end -->";
const DISCUSSED: &str = "<!-- discussed -->";

/// The chapter with the figures of the report.
///
/// # Errors
///
/// If a mark is not understood or has no end, or if a group has no mark.
pub fn chapter(text: &str, report: &Report) -> Result<String, String> {
    let mut written = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (what, after) = after.split_once(" -->").ok_or("a mark `<!-- faceoff: ` has no ` -->`")?;
        let (_, after) = after.split_once(END).ok_or(format!("the mark `{what}` has no `{END}` after it"))?;
        written += &format!("{before}{BEGIN}{what} -->\n\n{}\n{END}", part(what, report)?);
        rest = after;
    }
    let missing = report.groups().into_iter().find(|group| !text.contains(&mark(group)));
    match missing {
        Some(group) => {
            Err(format!("there is no table of the group {group}: add `{}` and `{END}`", mark(group)))
        }
        None => Ok(written + rest),
    }
}

fn mark(group: &str) -> String {
    format!("{BEGIN}table {group} -->")
}

fn part(what: &str, report: &Report) -> Result<String, String> {
    match what {
        "machine" => Ok(machine(report)),
        "losses" => Ok(list(&losses(report), "In no row is another contender ahead beyond the noise.")),
        "notes" => Ok(list(&report.notes, "Nothing was left out.")),
        _ => match what.strip_prefix("table ") {
            Some(group) if report.groups().contains(&group) => Ok(table(report, group)),
            Some(_) => Ok("This run has no such group.\n".into()),
            None => Err(format!("the mark `{what}` is not understood")),
        },
    }
}

fn machine(report: &Report) -> String {
    let machine = &report.machine;
    let pinned = if machine.pinned { ", server and client on a core each" } else { "" };
    let versions: Vec<String> =
        report.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "{}{}, {:.0} s, `{}`, on {}, {} cores, {:.0} GiB, {}{pinned}.\n\nVersions: {}.\n",
        if report.interrupted { "Ended before its end: " } else { "" },
        report.date,
        report.seconds,
        report.command,
        plain(&machine.cpu),
        machine.cores,
        machine.memory as f64 / f64::from(1 << 30),
        plain(&machine.kernel),
        plain(&versions.join(", ")),
    )
}

fn list(lines: &[String], nothing: &str) -> String {
    let lines: String = lines.iter().map(|line| format!("- {}\n", plain(line))).collect();
    if lines.is_empty() { format!("{nothing}\n") } else { lines }
}

/// Text without a meaning in Markdown.
fn plain(text: &str) -> String {
    let mut safe = String::new();
    for character in text.chars() {
        if "|*_<`\\".contains(character) {
            safe.push('\\');
        }
        safe.push(character);
    }
    safe
}

fn table(report: &Report, group: &str) -> String {
    let columns = report.contenders(group);
    let heads: String = columns.iter().map(|name| format!(" {} |", plain(name))).collect();
    let rows = report.rows.iter().filter(|row| row.group == group);
    let lines: String = rows.map(|row| line(row, &columns)).collect();
    format!("| {group} |{heads} tied |\n|---|{}---|\n{lines}", "--:|".repeat(columns.len()))
}

fn line(row: &Row, columns: &[&str]) -> String {
    let verdict = row.verdict();
    let shown = |name: &&str| match cell(row, name, &verdict) {
        best if best.contains('*') => format!(" **{}** |", best.replace('*', " ★")),
        other => format!(" {} |", plain(&other)),
    };
    let cells: String = columns.iter().map(shown).collect();
    let tied = match &verdict {
        Verdict::Tied(names) => plain(&names.join(", ")),
        _ => String::new(),
    };
    format!("| {} |{cells} {tied} |\n", plain(&row.name))
}

/// The lost rows that the author's words do not name.
///
/// # Errors
///
/// If there is no place for such words.
pub fn not_discussed<'a>(text: &str, report: &'a Report) -> Result<Vec<&'a str>, String> {
    let words = text.split_once(DISCUSSED).and_then(|(_, after)| after.split_once(END));
    let (words, _) = words.ok_or(format!("there is no `{DISCUSSED}` with `{END}` after it"))?;
    let unbroken = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let silent = |row: &&Row| lost(row).is_some() && !unbroken.contains(row.name.as_str());
    Ok(report.rows.iter().filter(silent).map(|row| row.name.as_str()).collect())
}

/// Whether this chapter can be rewritten: its marks are understood, and losses can be discussed in it.
///
/// # Errors
///
/// If it cannot be read or understood.
pub fn readable(file: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let empty = Report::default();
    let understood = chapter(&text, &empty).and_then(|_| not_discussed(&text, &empty).map(drop));
    understood.map_err(|why| format!("{file}: {why}"))
}

/// Rewrites a chapter in its place.
///
/// # Errors
///
/// If it cannot be read, written, or understood.
pub fn rewrite(file: &str, report: &Report) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let written = chapter(&text, report).map_err(|why| format!("{file}: {why}"))?;
    std::fs::write(file, written).map_err(|error| format!("cannot write {file}: {error}"))?;
    let silent = not_discussed(&text, report).map_err(|why| format!("{file}: {why}"))?;
    silent.iter().for_each(|row| eprintln!("{file} does not discuss what {OURS} has lost: {row}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faceoff::figures::Figure;
    use crate::faceoff::report::Unit;

    fn report() -> Report {
        let figures = [("roundel", 2.0), ("tokio_local", 1.0)];
        let figures = figures.map(|(name, value)| (name.to_string(), Figure::new(vec![value])));
        let row = Row {
            group: "g".into(),
            name: "a | b".into(),
            unit: Unit::Nanoseconds,
            figures: figures.into_iter().collect(),
        };
        Report { rows: vec![row], ..Report::default() }
    }

    const TEXT: &str = "before\n<!-- faceoff: table g -->\nold\n<!-- end -->\nbetween\n<!-- discussed -->\nthe row a\n| b\n<!-- end -->";

    #[test]
    fn what_stands_between_marks_is_written_and_nothing_else() {
        let once = chapter(TEXT, &report()).unwrap();
        assert!(
            once.starts_with("before\n") && once.contains("\nbetween\n") && !once.contains("old"),
            "{once}"
        );
        assert!(once.contains("| a \\| b | 2.0 ns | **0.50 ★** |  |"), "{once}");
        assert!(once.contains("| tokio\\_local |"), "{once}");
        assert_eq!(chapter(&once, &report()).unwrap(), once);
    }

    #[test]
    fn a_group_that_was_not_run_is_missing_and_says_so() {
        let text =
            chapter("<!-- faceoff: table h --><!-- end --><!-- faceoff: table g --><!-- end -->", &report());
        assert!(text.unwrap().contains("table h -->\n\nThis run has no such group.\n"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let why = |text: &str| chapter(text, &report()).unwrap_err();
        assert!(why("nothing").contains("add `<!-- faceoff: table g -->`"));
        assert!(why("<!-- faceoff: h --><!-- end -->").contains("`h` is not understood"));
        assert!(why("<!-- faceoff: machine -->").contains("has no `<!-- end -->`"));
    }

    #[test]
    fn a_lost_row_must_be_named() {
        assert!(not_discussed(TEXT, &report()).unwrap().is_empty());
        assert_eq!(not_discussed(&TEXT.replace("| b", "| c"), &report()).unwrap(), ["a | b"]);
        assert!(not_discussed("", &report()).is_err());
    }
}
