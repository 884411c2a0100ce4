//! The tables for readers.
//!
//! There is one for each group: our figure, and for each contender how many times as much it costs, with the spread. A
//! star marks the best of a row, whichever contender it is. If the noise hides the best, the row names those that are
//! tied.

use std::fmt::Write;

use crate::faceoff::figures::Figure;
use crate::faceoff::report::{FLOOR, Report, Row, Unit, Verdict};

/// The contender whose figure is shown as it is; the others' are ratios to it.
pub const OURS: &str = "roundel";
/// The first column is as wide as the longest name, but not less than this.
const FIRST: usize = 44;
const CELL: usize = 15;
/// A count per operation that is smaller than this is zero, and zero has no multiples.
const NEXT_TO_NOTHING: f64 = 0.05;

/// The legend of the tables.
pub const LEGEND: &str = "\
Our figure as it is, the others as ratios to it: above 1 costs more than we do; = marks a figure as it is, where ours is
almost zero. ± half the width of the middle half of the rounds. * the best of the row, whichever it is; (tied) lists those
that the noise does not tell apart. mio is a bare loop without a runtime: the floor, not a contender.";

/// All groups, one table after the other. A table that is wider than `width` is printed row by row.
pub fn tables(report: &Report, width: usize) -> String {
    let fits = |table: &String| table.lines().all(|line| line.chars().count() <= width);
    let of = |group| Some(table(report, group)).filter(fits).unwrap_or_else(|| list(report, group, width));
    report.groups().into_iter().map(of).collect()
}

fn table(report: &Report, group: &str) -> String {
    let columns = report.contenders(group);
    let head = |name: &str| match name {
        FLOOR => "mio (floor)".to_owned(),
        name => name.to_owned(),
    };
    let names: String = columns.iter().map(|name| right(&head(name), CELL)).collect();
    let rows = || report.rows.iter().filter(|row| row.group == group);
    let first = rows().map(|row| row.name.chars().count()).fold(FIRST, usize::max);
    let lines: String = rows().map(|row| line(row, first, &columns)).collect();
    format!("\n{}{names}\n{lines}", left(group, first))
}

/// The same for a narrow screen: each row is a name, and below it the figures of all contenders.
fn list(report: &Report, group: &str, width: usize) -> String {
    let rows = report.rows.iter().filter(|row| row.group == group);
    let text: String = rows.map(|row| format!("{}\n{}", row.name, entry(row, width))).collect();
    format!("\n{group}\n{text}")
}

fn entry(row: &Row, width: usize) -> String {
    let verdict = row.verdict();
    let cells =
        wrapped(row.contenders().map(|name| format!("{name} {}", cell(row, name, &verdict))), "  ", width);
    match verdict {
        Verdict::Tied(names) => {
            cells
                + &wrapped(format!("(tied: {})", names.join(", ")).split(' ').map(str::to_owned), " ", width)
        }
        _ => cells,
    }
}

/// In lines that begin with a space and are no longer than the width, unless a piece is longer.
fn wrapped(pieces: impl Iterator<Item = String>, gap: &str, width: usize) -> String {
    let (mut text, mut line) = (String::new(), String::new());
    for piece in pieces {
        if !line.is_empty() && 1 + line.chars().count() + gap.len() + piece.chars().count() > width {
            let _ = writeln!(text, " {}", std::mem::take(&mut line));
        }
        line = if line.is_empty() { piece } else { line + gap + &piece };
    }
    text + " " + &line + "\n"
}

/// Padded by characters, not by bytes.
fn left(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

fn right(text: &str, width: usize) -> String {
    format!(" {text:>width$}")
}

fn line(row: &Row, first: usize, columns: &[&str]) -> String {
    let verdict = row.verdict();
    let mut text = left(&row.name, first);
    columns.iter().for_each(|name| text.push_str(&right(&cell(row, name, &verdict), CELL)));
    if let Verdict::Tied(names) = &verdict {
        let _ = write!(text, "  (tied: {})", names.join(", "));
    }
    text + "\n"
}

/// One figure, or the ratio to ours.
pub fn cell(row: &Row, name: &str, verdict: &Verdict<'_>) -> String {
    let Some(figure) = row.figures.get(name) else { return "-".into() };
    let star = if *verdict == Verdict::Best(name) { "*" } else { "" };
    let is_nothing =
        |ours: &Figure| matches!(row.unit, Unit::Count | Unit::Bytes) && ours.median < NEXT_TO_NOTHING;
    let (text, spread) = match row.cost(name, OURS) {
        Some(_) if name != OURS && row.figures.get(OURS).is_some_and(is_nothing) => {
            (format!("= {}", row.unit.shown(figure.median)), figure.spread())
        }
        Some(cost) if name != OURS => (number(cost.median), cost.spread()),
        _ => (row.unit.shown(figure.median), figure.spread()),
    };
    match (spread * 100.0).round() {
        _ if figure.samples.len() == 1 => format!("{text}{star}"),
        spread => format!("{text}{star} ±{spread}%"),
    }
}

/// A ratio with as many digits as it needs.
pub fn number(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 1e6 => "∞".into(),
        ratio if ratio >= 100.0 => format!("{ratio:.0}"),
        ratio if ratio >= 10.0 => format!("{ratio:.1}"),
        ratio => format!("{ratio:.2}"),
    }
}

/// The rows of the harness itself, and of roundel with one mechanism less: they have no winner.
pub const CONTROL: &str = "control";
pub const ABLATIONS: &str = "ablations";

/// Whether the contenders compete in this row.
pub fn contested(row: &Row) -> bool {
    row.group != CONTROL && row.group != ABLATIONS
}

/// The contenders that are better than we are in this row, and how many times as much we cost as the best.
pub fn lost(row: &Row) -> Option<(String, f64)> {
    let better = match row.verdict() {
        Verdict::Best(name) => vec![name],
        Verdict::Tied(names) => names,
        Verdict::Nobody => return None,
    };
    if !contested(row) || better.contains(&OURS) {
        return None;
    }
    Some((better.join(", "), row.cost(OURS, better[0])?.median))
}

/// How much more we cost than the best; there is no multiple of zero.
pub fn dearer(row: &Row, cost: f64) -> String {
    match row.figures.get(OURS) {
        Some(ours) if cost >= 1e6 && ours.median < 0.1 => format!("{:.4} instead of nothing", ours.median),
        Some(ours) if cost >= 1e6 => format!("{} instead of nothing", row.unit.shown(ours.median)),
        _ => format!("{}×", number(cost)),
    }
}

/// The rows in which another contender is best, and by how much.
pub fn losses(report: &Report) -> Vec<String> {
    let rows = report.rows.iter().filter_map(|row| lost(row).map(|(who, cost)| (row, who, cost)));
    rows.map(|(row, who, cost)| format!("{}, {}: {who}; we cost {}", row.group, row.name, dearer(row, cost)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: usize = usize::MAX;

    fn report(figures: &[(&str, &[f64])]) -> Report {
        let figures = figures.iter().map(|(name, samples)| (name.to_string(), Figure::new(samples.to_vec())));
        let row =
            Row { group: "g".into(), name: "n".into(), unit: Unit::Nanoseconds, figures: figures.collect() };
        Report { rows: vec![row], ..Report::default() }
    }

    #[test]
    fn the_best_is_marked_also_when_it_is_not_us() {
        let report = report(&[("roundel", &[20.0, 20.0]), ("tokio", &[10.0, 10.0]), ("smol", &[40.0, 40.0])]);
        let text = tables(&report, WIDE);
        assert!(
            text.contains("20.0 ns ±0%") && text.contains("0.50* ±0%") && text.contains(" 2.00 ±0%"),
            "{text}"
        );
        assert_eq!(losses(&report), ["g, n: tokio; we cost 2.00×"]);
    }

    #[test]
    fn nothing_is_a_multiple_of_nothing() {
        let mut report = report(&[("roundel", &[0.002]), ("tokio", &[1.0])]);
        for (unit, shown) in [(Unit::Count, " = 1.00\n"), (Unit::Bytes, " = 1 B\n")] {
            report.rows[0].unit = unit;
            let text = tables(&report, WIDE);
            assert!(text.contains("0.00*") || text.contains("0 B*"), "{text}");
            assert!(text.contains(shown), "{text}");
        }
    }

    #[test]
    fn a_narrow_screen_has_the_same_cells_and_no_longer_line() {
        let samples = [10.0, 20.0];
        let everyone = crate::contenders::NAMES.map(|name| (name, &samples[..]));
        let (wide, narrow) = (tables(&report(&everyone), WIDE), tables(&report(&everyone), 40));
        assert!(wide.lines().any(|line| line.chars().count() > 120), "{wide}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
        let cells = |text: &str| text.matches("1.00 ±0%").count();
        assert_eq!((cells(&wide), cells(&narrow)), (9, 9));
        let tied = |text: &str| text.split_once("(tied: ").unwrap().1.split_whitespace().collect::<String>();
        assert_eq!(tied(&wide), tied(&narrow));
    }

    #[test]
    fn a_tie_is_named_and_no_cell_is_marked() {
        let report = report(&[("roundel", &[10.0, 11.0]), ("tokio", &[11.0, 10.0])]);
        let text = tables(&report, WIDE);
        assert!(text.contains("(tied: roundel, tokio)") && !text.contains('*'), "{text}");
        assert!(losses(&report).is_empty());
    }

    #[test]
    fn nothing_has_no_multiples() {
        let mut report = report(&[("roundel", &[0.25]), ("tokio", &[0.0])]);
        report.rows[0].unit = Unit::Count;
        assert_eq!(losses(&report), ["g, n: tokio; we cost 0.25 instead of nothing"]);
    }

    #[test]
    fn no_contender_wins_where_there_is_no_contest() {
        let mut report = report(&[("roundel", &[20.0, 20.0]), ("tokio", &[10.0, 10.0])]);
        for group in [CONTROL, ABLATIONS] {
            report.rows[0].group = group.into();
            assert!(losses(&report).is_empty());
        }
    }
}
