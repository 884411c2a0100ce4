//! The top of the page: what was compared, where, when, with what and how.
//!
//! Facts. A figure without its machine, its date and its versions is a rumour; without its method it is advertising.

use crate::contenders::NAMES;
use crate::faceoff::page::text::escape;
use crate::faceoff::page::who;
use crate::faceoff::report::{Report, Row, Verdict};
use crate::faceoff::tables::{CONTROL, OURS, contested};

const METHOD: &str = "\
All contenders run the same programs. Their servers are written as their own users would write them. All are built in \
one go with the same optimisation and the same allocator, and have their own defaults. A row is measured in rounds, or \
once if it is a count. In each round every contender has one turn, and each round begins with another one, so that all \
share the moods of the machine. The first round does not count. The page shows the median, with whiskers from the lower \
to the upper quartile of the rounds; ± is half of that width. Contenders are compared round by round: the star ★ marks \
the best of a row, whichever it is, and only if it is best in the whole middle half of the rounds; otherwise the row \
says which are tied. In the tables, our figure is shown as it is and the others as ratios to it, taken round by round: \
above 1 costs more than we do. (In a noisy row the median of these ratios may differ from the ratio of the medians.)";

pub fn opening(report: &Report) -> String {
    format!(
        "<p class=\"kicker\">roundel</p>\n<h1>The face-off</h1>\n\
         <p class=\"lead\">{} on one thread, in the same programs: {}.</p>\n{}{}{}\
         <details class=\"method\" open><summary>How it was measured, and how to read it</summary><p>{METHOD}</p></details>\n",
        joined(&everyone(report)),
        joined(&report.groups().into_iter().filter(|group| *group != CONTROL).collect::<Vec<_>>()),
        warning(report),
        score(report),
        facts(report)
    )
}

/// All contenders that have a figure or a curve, in the order of all tables. Other columns are not contenders.
fn everyone(report: &Report) -> Vec<&'static str> {
    let measured = |name: &&str| {
        report.rows.iter().any(|row| row.figures.contains_key(*name))
            || report.curves.iter().any(|curve| curve.contender == **name)
    };
    NAMES.iter().copied().filter(measured).collect()
}

fn joined(names: &[&str]) -> String {
    match names {
        [] => "nothing".into(),
        [one] => escape(one),
        [first @ .., last] => escape(&format!("{} and {last}", first.join(", "))),
    }
}

/// What the reader must know before any figure.
fn warning(report: &Report) -> String {
    let mut lines = Vec::new();
    if report.interrupted {
        lines.push("This run was stopped before its end: some rows have fewer rounds, others are missing.");
    }
    if report.quick {
        lines.push("This was a quick run: less work, fewer rounds, more noise.");
    }
    lines.iter().map(|line| format!("<p class=\"warning\" role=\"note\">{line}</p>\n")).collect()
}

/// In how many rows we are best, tied, and behind.
fn score(report: &Report) -> String {
    let (mut best, mut tied, mut behind) = (0, 0, 0);
    let competing =
        |row: &&Row| contested(row) && row.figures.contains_key(OURS) && row.contenders().count() > 1;
    for row in report.rows.iter().filter(competing) {
        match row.verdict() {
            Verdict::Best(OURS) => best += 1,
            Verdict::Tied(names) if names.contains(&OURS) => tied += 1,
            _ => behind += 1,
        }
    }
    let all = best + tied + behind;
    format!(
        "<p class=\"score\">Of {all} rows, roundel is <b>best in {best}</b>, <b>tied in {tied}</b> and \
         <b class=\"lost\"><a href=\"#where-we-lose\">behind in {behind}</a></b>.</p>\n"
    )
}

fn facts(report: &Report) -> String {
    let machine = &report.machine;
    let pinned = if machine.pinned { ", server and client on a core each" } else { "" };
    let memory = machine.memory as f64 / f64::from(1 << 30);
    let versions: Vec<String> =
        report.versions.iter().map(|(name, version)| version_of(name, version)).collect();
    let facts = [
        (
            "Machine",
            escape(&format!(
                "{}, {} cores, {memory:.0} GiB, {}{pinned}",
                machine.cpu, machine.cores, machine.kernel
            )),
        ),
        ("Date", format!("{}, {:.0} s", escape(&report.date), report.seconds)),
        ("Command", format!("<code>{}</code>", escape(&report.command))),
        ("Versions", versions.join(", ")),
    ];
    let facts: String =
        facts.iter().map(|(name, text)| format!("<dt>{name}</dt><dd>{text}</dd>\n")).collect();
    format!("<dl>{facts}</dl>\n")
}

/// Some versions include the name.
fn version_of(name: &str, version: &str) -> String {
    match version.to_lowercase().starts_with(&name.to_lowercase()) {
        true => escape(version),
        false => escape(&format!("{name} {version}")),
    }
}

/// The sign, the name and the description of every contender.
pub fn who_takes_part(report: &Report) -> String {
    let line = |name: &&str| {
        format!(
            "<li>{} <span>{}</span> <small>{}</small></li>\n",
            who::sign(name),
            who::label(name),
            who::about(name)
        )
    };
    let lines: String = everyone(report).iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("<ul class=\"legend\">{lines}</ul>\n") }
}
