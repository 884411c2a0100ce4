//! The tables that a person reads.
//!
//! One for each group: our figure, and for each contender its ratio to ours with its spread. The best in a row is marked
//! with a star, also when it is not us; if the noise hides who is best, the row says so instead.

use std::fmt::Write;

use crate::faceoff::figures::{Best, Figure, best};
use crate::faceoff::rows::CONTENDERS;

/// A row that was run.
#[derive(Clone, Debug)]
pub struct Done {
    pub group: String,
    pub name: String,
    /// In the order of [`CONTENDERS`]; ours is the first.
    pub figures: Vec<Option<Figure>>,
}

/// Nanoseconds as people read them.
pub fn time(ns: f64) -> String {
    match ns {
        ns if ns < 100.0 => format!("{ns:.1} ns"),
        ns if ns < 10_000.0 => format!("{ns:.0} ns"),
        ns if ns < 10_000_000.0 => format!("{:.1} µs", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}

fn cell(figure: &Figure, ours: &Figure, index: usize, best: Option<Best>) -> String {
    let star = if best == Some(Best::Contender(index)) { "*" } else { " " };
    let spread = (figure.spread() * 100.0).round();
    match index {
        0 => format!("{}{star} ±{spread}%", time(figure.median())),
        _ => format!("{:.2}{star} ±{spread}%", figure.median() / ours.median()),
    }
}

/// All groups, one table after the other.
pub fn tables(rows: &[Done]) -> String {
    let mut text = String::new();
    let mut group = "";
    for row in rows {
        if row.group != group {
            group = &row.group;
            let _ = write!(text, "\n{group:<34}");
            CONTENDERS.iter().for_each(|name| text.push_str(&format!("{name:>17}")));
            text.push('\n');
        }
        line(&mut text, row);
    }
    text
}

fn line(text: &mut String, row: &Done) {
    let winner = best(&row.figures);
    let _ = write!(text, "{:<34}", row.name);
    for (index, figure) in row.figures.iter().enumerate() {
        let cell = match (figure, &row.figures[0]) {
            (Some(figure), Some(ours)) => cell(figure, ours, index, winner),
            _ => "-".into(),
        };
        let _ = write!(text, "{cell:>17}");
    }
    if let Some(Best::TooNoisy(_)) = winner {
        text.push_str("   too noisy to tell");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_marked_also_when_it_is_not_us() {
        let figure = |ns: f64| Some(Figure::new(vec![ns; 3]));
        let row = |figures| Done { group: "g".into(), name: "n".into(), figures };
        let text = tables(&[row(vec![figure(20.0), figure(10.0), None, figure(40.0), None])]);
        assert!(
            text.contains("20.0 ns  ±0%") && text.contains("0.50* ±0%") && text.contains("2.00  ±0%"),
            "{text}"
        );
        let text = tables(&[row(vec![figure(10.0), figure(10.0), None, None, None])]);
        assert!(text.contains("too noisy to tell") && !text.contains('*'), "{text}");
    }

    #[test]
    fn times_are_readable() {
        let texts = [13.74, 745.4, 18_700.0, 43e6].map(time);
        assert_eq!(texts, ["13.7 ns", "745 ns", "18.7 µs", "43.0 ms"]);
    }
}
