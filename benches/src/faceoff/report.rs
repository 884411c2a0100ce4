//! The results of a run, which the tables, the page and other programs read.
//!
//! ```json
//! { "schema": 1, "date": "2026-01-31T12:00:00Z", "command": "faceoff --quick", "quick": true, "interrupted": false,
//!   "seconds": 51.3, "machine": {"cpu": "…", "cores": 2, "memory": 25165824000, "kernel": "…", "pinned": true},
//!   "versions": {"roundel": "0.1.0", "rustc": "…"},
//!   "rows": [ {"group": "scheduler", "name": "hop between two tasks", "unit": "ns", "figures":
//!               {"roundel": {"median": 1.0, "low": 1.0, "high": 1.0, "samples": [1.0]}}} ],
//!   "curves": [ {"name": "…", "contender": "roundel", "points": [[50.0, 21000.0]]} ],
//!   "notes": ["…"], "errors": [] }
//! ```
//!
//! Contract. Fields are added, but never renamed or removed without a new number of the schema. A contender that has no
//! figure is left out. Samples are in the order of the rounds. Points of a curve are a percentile and nanoseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contenders::NAMES;
use crate::faceoff::figures::{Figure, ratio};

/// The number of the format that this file describes.
pub const SCHEMA: u32 = 1;
/// The contender that is shown for comparison and does not compete, because it is not a runtime.
pub const FLOOR: &str = "mio";
/// A smaller difference than this is no win, however sure it is.
const NEXT_TO_NOTHING: f64 = 0.005;
/// The same for a time that was taken fewer than three times: it varies, but no one knows by how much.
const HALF_AS_MUCH_AGAIN: f64 = 0.5;

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: u32,
    pub date: String,
    pub command: String,
    pub quick: bool,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
    pub seconds: f64,
    pub machine: Machine,
    pub versions: BTreeMap<String, String>,
    pub rows: Vec<Row>,
    pub curves: Vec<Curve>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// Contenders that did not do what they were told.
    pub errors: Vec<String>,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    /// In bytes.
    pub memory: u64,
    pub kernel: String,
    /// Whether server and client had a core each.
    pub pinned: bool,
}

/// One workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub group: String,
    pub name: String,
    pub unit: Unit,
    pub figures: BTreeMap<String, Figure>,
}

/// How long requests took, by percentile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    pub name: String,
    pub contender: String,
    /// A percentile (0 to 100), and nanoseconds.
    pub points: Vec<(f64, f64)>,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "bytes")]
    Bytes,
    #[serde(rename = "count")]
    Count,
    #[serde(rename = "1/s")]
    PerSecond,
}

impl Unit {
    /// A figure for a reader, with its unit.
    pub fn shown(self, value: f64) -> String {
        match self {
            Unit::Nanoseconds => time(value),
            Unit::Seconds => format!("{value:.1} s"),
            Unit::Bytes => size(value),
            Unit::Count if value.abs() >= 100.0 => grouped(value),
            Unit::Count => format!("{value:.2}"),
            Unit::PerSecond => format!("{}/s", grouped(value)),
        }
    }
}

fn time(ns: f64) -> String {
    match ns {
        ns if ns < 100.0 => format!("{ns:.1} ns"),
        ns if ns < 10_000.0 => format!("{ns:.0} ns"),
        ns if ns < 10_000_000.0 => format!("{:.1} µs", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}

fn size(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 10_000.0 => format!("{bytes:.0} B"),
        bytes if bytes < 10_000_000.0 => format!("{:.1} kB", bytes / 1e3),
        bytes => format!("{:.1} MB", bytes / 1e6),
    }
}

/// With a comma after each thousand.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The best of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// This one, in the whole middle half of the rounds.
    Best(&'a str),
    /// These, the least median first; the noise hides the best.
    Tied(Vec<&'a str>),
    /// No contender has a figure.
    Nobody,
}

impl Row {
    /// This cost divided by the other's: above one is worse, whatever the unit.
    pub fn cost(&self, this: &str, other: &str) -> Option<Figure> {
        let (this, other) = (self.figures.get(this)?, self.figures.get(other)?);
        Some(if self.unit == Unit::PerSecond { ratio(other, this) } else { ratio(this, other) })
    }

    /// The contenders that have a figure, in the order of all tables.
    pub fn contenders(&self) -> impl Iterator<Item = &str> {
        let known = NAMES.iter().copied().filter(|name| self.figures.contains_key(*name));
        known.chain(self.figures.keys().map(String::as_str).filter(|name| !NAMES.contains(name)))
    }

    /// The share by which a contender must be better than another to be better at all.
    fn margin(&self) -> f64 {
        let few = self.figures.values().any(|figure| figure.samples.len() < 3);
        let is_counted = matches!(self.unit, Unit::Count | Unit::Bytes);
        if few && !is_counted { HALF_AS_MUCH_AGAIN } else { NEXT_TO_NOTHING }
    }

    pub fn verdict(&self) -> Verdict<'_> {
        let compete = || self.contenders().filter(|name| *name != FLOOR);
        let median = |name: &str| match self.unit {
            Unit::PerSecond => -self.figures[name].median,
            _ => self.figures[name].median,
        };
        let Some(best) = compete().min_by(|a, b| median(a).total_cmp(&median(b))) else {
            return Verdict::Nobody;
        };
        let near = |name: &&str| self.cost(name, best).is_some_and(|cost| cost.low <= 1.0 + self.margin());
        let others: Vec<&str> = compete().filter(|name| *name != best).filter(near).collect();
        match others.is_empty() {
            true => Verdict::Best(best),
            false => Verdict::Tied([&[best], &others[..]].concat()),
        }
    }
}

impl Report {
    /// The groups, in the order of their rows.
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = self.rows.iter().map(|row| &row.group[..]).collect();
        groups.dedup();
        groups
    }

    /// The contenders that have a figure in this group, in the order of all tables.
    pub fn contenders(&self, group: &str) -> Vec<&str> {
        let rows = || self.rows.iter().filter(|row| row.group == group);
        let mut present: Vec<&str> =
            NAMES.iter().copied().filter(|name| rows().any(|row| row.figures.contains_key(*name))).collect();
        for row in rows() {
            for name in row.contenders() {
                if !present.contains(&name) {
                    present.push(name);
                }
            }
        }
        present
    }

    /// # Errors
    ///
    /// If the file is not there, is not a report, or has another schema.
    pub fn read(file: &str) -> Result<Report, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
        let report: Report =
            serde_json::from_str(&text).map_err(|error| format!("{file} is not a report: {error}"))?;
        match report.schema {
            SCHEMA => Ok(report),
            other => Err(format!("{file} has schema {other}; this program reads {SCHEMA}")),
        }
    }

    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, file: &str) -> Result<(), String> {
        let text = serde_json::to_string(self).expect("a report can be written down") + "\n";
        std::fs::write(file, text).map_err(|error| format!("cannot write {file}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn row(unit: Unit, figures: &[(&str, &[f64])]) -> Row {
        let figures = figures.iter().map(|(name, samples)| (name.to_string(), Figure::new(samples.to_vec())));
        Row { group: "g".into(), name: "n".into(), unit, figures: figures.collect() }
    }

    #[test]
    fn the_best_is_named_only_beyond_the_noise() {
        let clear = row(Unit::Nanoseconds, &[("roundel", &[2.0, 2.1]), ("tokio", &[1.0, 1.1])]);
        assert_eq!(clear.verdict(), Verdict::Best("tokio"));
        let noisy = row(Unit::Nanoseconds, &[("roundel", &[2.0, 1.0]), ("tokio", &[1.0, 2.2])]);
        assert_eq!(noisy.verdict(), Verdict::Tied(vec!["roundel", "tokio"]));
        assert_eq!(row(Unit::Count, &[]).verdict(), Verdict::Nobody);
    }

    #[test]
    fn a_time_that_was_taken_once_or_twice_decides_little() {
        let built = |theirs| row(Unit::Seconds, &[("roundel", &[10.0]), ("tokio", &[theirs])]);
        assert_eq!(built(8.0).verdict(), Verdict::Tied(vec!["tokio", "roundel"]));
        assert_eq!(built(5.0).verdict(), Verdict::Best("tokio"));
        let counted = row(Unit::Count, &[("roundel", &[10.0]), ("tokio", &[9.5])]);
        assert_eq!(counted.verdict(), Verdict::Best("tokio"));
    }

    /// What docs/results.md says about the rule: how often one of seven contenders that are equal, but for a tenth of
    /// noise, is called slower.
    #[test]
    fn equals_are_seldom_told_apart() {
        let mut dice = 1_u64;
        let mut sample = || {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            90.0 + 20.0 * (dice >> 33) as f64 / f64::from(1_u32 << 31)
        };
        let mut behind = |rounds: usize| {
            let mut told = || {
                let figures = NAMES[..7]
                    .iter()
                    .map(|name| (name.to_string(), Figure::new((0..rounds).map(|_| sample()).collect())));
                let row = Row { figures: figures.collect(), ..row(Unit::Nanoseconds, &[]) };
                !matches!(row.verdict(), Verdict::Tied(names) if names.contains(&"roundel"))
            };
            (0..2_000).filter(|_| told()).count() as f64 / 2_000.0
        };
        let (fifteen, eleven, quick) = (behind(15), behind(11), behind(5));
        assert!(fifteen < 0.08 && eleven < 0.15 && quick > 0.25, "{fifteen} {eleven} {quick}");
    }

    #[test]
    fn more_a_second_is_better() {
        let row = row(Unit::PerSecond, &[("roundel", &[200.0]), ("tokio", &[100.0])]);
        assert_eq!(row.verdict(), Verdict::Best("roundel"));
        assert_eq!(row.cost("tokio", "roundel").map(|cost| cost.median), Some(2.0));
    }

    #[test]
    fn the_floor_does_not_compete() {
        let row = row(Unit::Count, &[("roundel", &[2.0]), ("mio", &[1.0])]);
        assert_eq!(row.verdict(), Verdict::Best("roundel"));
    }

    #[test]
    fn figures_are_readable() {
        let times = [13.74, 745.4, 18_700.0, 43e6].map(|ns| Unit::Nanoseconds.shown(ns));
        assert_eq!(times, ["13.7 ns", "745 ns", "18.7 µs", "43.0 ms"]);
        assert_eq!(Unit::PerSecond.shown(1_234_567.0), "1,234,567/s");
        assert_eq!([Unit::Bytes.shown(521.0), Unit::Bytes.shown(13_000_000.0)], ["521 B", "13.0 MB"]);
        assert_eq!([Unit::Count.shown(1.0), Unit::Count.shown(636.4)], ["1.00", "636"]);
    }

    #[test]
    fn what_is_written_is_read() {
        let report = Report {
            schema: SCHEMA,
            rows: vec![row(Unit::PerSecond, &[("tokio", &[1.5, 2.5])])],
            ..Report::default()
        };
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.contains(r#""unit":"1/s""#) && text.contains(r#""median":2.0"#), "{text}");
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
