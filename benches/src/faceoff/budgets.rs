//! What roundel may cost: the figures in `benches/budgets.toml`, and the check against them.
//!
//! Facts. A cost that grows by a percent with each change doubles within a year, and it is hard to notice. Another
//! compiler produces other instructions, by a percent or two. Timings depend on moods, and none of them is here.
//!
//! What follows. A budget is a measured figure, with the share by which a new figure may exceed it. The check runs the
//! jobs with budgeted rows for roundel alone, and fails if one is over its budget. If a cost has become much smaller,
//! write that down, or it may grow back. `--write` writes all figures and leaves the comments alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::{fmt, fs};

use serde::Deserialize;

use crate::faceoff::counting::process::root;
use crate::faceoff::groups::counted;
use crate::faceoff::job::Job;
use crate::faceoff::plan::Plan;
use crate::faceoff::progress::Progress;
use crate::faceoff::report::{Report, Unit};
use crate::faceoff::rounds::run_all;
use crate::faceoff::tables::OURS;

/// Differences smaller than what a figure shows do not count.
const NOTHING: f64 = 0.005;

/// What one row may cost.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The row's name in the report.
    pub name: String,
    /// The measured figure.
    pub figure: f64,
    /// The share by which it may grow.
    pub tolerance: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Budgets {
    budget: Vec<Budget>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Over,
    Ok,
    /// So much less that it should be written down.
    Less,
    /// It was not measured.
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Over => "OVER",
            Verdict::Ok => "ok",
            Verdict::Less => "LESS",
            Verdict::Skipped => "SKIPPED",
        })
    }
}

impl Budget {
    pub fn verdict(&self, figure: Option<f64>) -> Verdict {
        let Some(figure) = figure else { return Verdict::Skipped };
        let margin = self.figure * self.tolerance + NOTHING;
        match figure {
            figure if figure > self.figure + margin => Verdict::Over,
            figure if figure < self.figure - margin => Verdict::Less,
            _ => Verdict::Ok,
        }
    }
}

/// # Errors
///
/// If the text is not a list of budgets.
pub fn parse(text: &str) -> Result<Vec<Budget>, String> {
    let budgets: Budgets = toml::from_str(text).map_err(|error| format!("these are no budgets: {error}"))?;
    Ok(budgets.budget)
}

/// The same text with other figures.
pub fn rewritten(text: &str, figures: &BTreeMap<String, f64>) -> String {
    let mut name = String::new();
    let line = |line: &str| {
        if let Some(found) = line.strip_prefix("name = ") {
            name = found.trim_matches('"').to_owned();
        }
        match (line.starts_with("figure = "), figures.get(&name)) {
            (true, Some(figure)) => format!("figure = {}\n", rounded(*figure)),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

/// With as many digits as a change should show.
fn rounded(figure: f64) -> f64 {
    if figure.abs() < 100.0 { (figure * 100.0).round() / 100.0 } else { figure.round() }
}

fn file() -> PathBuf {
    root().join("benches/budgets.toml")
}

/// The jobs that measure a budgeted row, for us alone.
fn jobs(budgets: &[Budget], left_out: &mut Vec<String>) -> Vec<Job> {
    let mut jobs = counted::counts(&Plan { alone: true, ..Plan::new(false) }, left_out);
    jobs.retain(|job| job.rows.iter().any(|row| budgets.iter().any(|budget| budget.name == row.0)));
    jobs
}

fn measure(budgets: &[Budget]) -> Report {
    let mut report = Report::default();
    let jobs = jobs(budgets, &mut report.notes);
    run_all(jobs, &mut report, &mut Progress::new(), &AtomicBool::new(false));
    report
}

/// Measures what is budgeted, and prints one line for each. Returns whether nothing is over its budget, and nothing has
/// failed.
///
/// # Errors
///
/// If the budgets cannot be read or written.
pub fn check(write: bool) -> Result<bool, String> {
    let file = file();
    let text =
        fs::read_to_string(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let budgets = parse(&text)?;
    let report = measure(&budgets);
    let figures: BTreeMap<String, f64> = report
        .rows
        .iter()
        .filter_map(|row| Some((row.name.clone(), row.figures.get(OURS)?.median)))
        .collect();
    let verdicts = budgets.iter().map(|budget| (budget, budget.verdict(figures.get(&budget.name).copied())));
    let verdicts: Vec<_> = verdicts.collect();
    verdicts.iter().for_each(|(budget, verdict)| println!("{}", line(budget, *verdict, &figures)));
    report.notes.iter().chain(&report.errors).for_each(|note| println!("{note}"));
    if write {
        fs::write(&file, rewritten(&text, &figures))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        println!("written: {}", file.display());
    }
    let over = verdicts.iter().any(|(_, verdict)| *verdict == Verdict::Over);
    Ok(report.errors.is_empty() && (write || !over))
}

fn line(budget: &Budget, verdict: Verdict, figures: &BTreeMap<String, f64>) -> String {
    let shown = |figure: f64| Unit::Count.shown(figure);
    let figure = figures.get(&budget.name).map_or("-".into(), |figure| shown(*figure));
    let tolerance = (budget.tolerance * 100.0).round();
    let hint = if verdict == Verdict::Less { "  LESS: lower the budget" } else { "" };
    format!(
        "{verdict:8} {:52} {figure:>9}  budget {} + {tolerance}%{hint}",
        budget.name,
        shown(budget.figure)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(figure: f64, tolerance: f64) -> Budget {
        Budget { name: "row".into(), figure, tolerance }
    }

    #[test]
    fn one_that_has_grown_is_over() {
        let budget = budget(600.0, 0.05);
        assert_eq!(budget.verdict(Some(631.0)), Verdict::Over);
        assert_eq!(budget.verdict(Some(629.0)), Verdict::Ok);
        assert_eq!(budget.verdict(Some(569.0)), Verdict::Less);
        assert_eq!(budget.verdict(None), Verdict::Skipped);
    }

    #[test]
    fn nothing_may_not_become_something() {
        assert_eq!(budget(0.0, 0.1).verdict(Some(0.0)), Verdict::Ok);
        assert_eq!(budget(0.0, 0.1).verdict(Some(0.03)), Verdict::Over);
    }

    #[test]
    fn the_budgets_name_only_rows_that_exist() {
        let budgets = parse(&fs::read_to_string(file()).unwrap()).unwrap();
        assert!(budgets.len() > 10, "{} budgets", budgets.len());
        let rows: Vec<String> =
            counted::all(&Plan::new(false)).into_iter().flat_map(|job| job.rows).map(|row| row.0).collect();
        for (index, budget) in budgets.iter().enumerate() {
            assert!(rows.contains(&budget.name), "no row is called `{}`", budget.name);
            assert!((0.0..0.5).contains(&budget.tolerance), "{budget:?}");
            assert!(budgets[..index].iter().all(|other| other.name != budget.name), "{} twice", budget.name);
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        assert!(parse("[[budget]]\nname = \"a\"\nfigure = 1\n").is_err());
        assert!(parse("[[budget]]\nname = \"a\"\nfigure = 1.0\ntolerance = 0.0\nmood = 3\n").is_err());
    }

    #[test]
    fn figures_are_written_and_comments_stay() {
        let text = "# Why.\n[[budget]]\nname = \"a\"\nfigure = 1.0 \ntolerance = 0.1\n\n[[budget]]\nname = \"b\"\nfigure = 2.0\n";
        let written = rewritten(text, &BTreeMap::from([("a".into(), 635.7)]));
        assert_eq!(
            written,
            "# Why.\n[[budget]]\nname = \"a\"\nfigure = 636\ntolerance = 0.1\n\n[[budget]]\nname = \"b\"\nfigure = 2.0\n"
        );
    }
}
