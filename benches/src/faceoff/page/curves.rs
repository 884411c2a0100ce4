//! How long requests took, by percentile.
//!
//! Facts. If one request in a thousand is slow, every tenth page with a hundred requests is slow. On an even axis from
//! 0 to 100, that request cannot be seen.
//!
//! What follows. The axis is stretched towards its end: from 90 to 99 is as far as from 99 to 99.9. Times are on a log
//! scale.

use crate::faceoff::page::cells::scrolling;
use crate::faceoff::page::plot::{Axis, Line, Plot};
use crate::faceoff::page::scale::Scale;
use crate::faceoff::page::text::{escape, short};
use crate::faceoff::page::who;
use crate::faceoff::report::{Curve, Report, Unit};

/// The labels of the axis, where there is data.
const PERCENTILES: [f64; 6] = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999];

/// One plot for each name, in the order of the report.
pub fn curves(report: &Report) -> Vec<Plot> {
    let mut names: Vec<&str> = Vec::new();
    for curve in report.curves.iter().filter(|curve| drawable(curve).count() >= 2) {
        if !names.contains(&curve.name.as_str()) {
            names.push(&curve.name);
        }
    }
    names.into_iter().map(|name| plot(name, report)).collect()
}

/// No axis reaches the percentile of the very last request, and zero has no logarithm.
fn drawable(curve: &Curve) -> impl Iterator<Item = (f64, f64)> {
    curve.points.iter().copied().filter(|(share, ns)| (0.0..100.0).contains(share) && *ns > 0.0)
}

fn plot(name: &str, report: &Report) -> Plot {
    let curves: Vec<&Curve> = report.curves.iter().filter(|curve| curve.name == name).collect();
    let points: Vec<(f64, f64)> = curves.iter().flat_map(|curve| drawable(curve)).collect();
    let times: Vec<f64> = points.iter().map(|point| point.1).collect();
    let (across, up) = (Stretched::of(&points), Scale::tight(&times));
    let shown = |share: &&f64| across.holds(**share);
    let percentiles: Vec<f64> = PERCENTILES.iter().filter(shown).copied().collect();
    let ticks = percentiles.iter().map(|share| (across.place(*share), format!("{share}")));
    Plot {
        title: name.into(),
        about: "Time of a request by percentile, one line for each contender; lower is better.".into(),
        across: Axis { name: "percentile".into(), ticks: ticks.collect() },
        up: Axis { name: "time, log scale".into(), ticks: times_up(up) },
        lines: curves.iter().map(|curve| line(curve, &across, up, &percentiles)).collect(),
        table: table(name, &curves, &percentiles),
    }
}

fn times_up(up: Scale) -> Vec<(f64, String)> {
    up.ticks(7).into_iter().map(|ns| (up.place(ns), short(Unit::Nanoseconds, ns))).collect()
}

fn line(curve: &Curve, across: &Stretched, up: Scale, percentiles: &[f64]) -> Line {
    let points = drawable(curve).map(|(share, ns)| (across.place(share), up.place(ns))).collect();
    let marked =
        percentiles.iter().filter_map(|share| Some((across.place(*share), up.place(read(curve, *share)?))));
    Line { who: curve.contender.clone(), points, marked: marked.collect(), whiskers: Vec::new() }
}

/// The time at a percentile: that of the first point that reaches it, if any does.
fn read(curve: &Curve, share: f64) -> Option<f64> {
    drawable(curve).find(|point| point.0 >= share - 1e-6).map(|point| point.1)
}

fn table(name: &str, curves: &[&Curve], percentiles: &[f64]) -> String {
    let heads: String = percentiles.iter().map(|share| format!("<th scope=\"col\">p{share}</th>")).collect();
    let cell = |time: Option<f64>| {
        format!("<td>{}</td>", time.map_or("-".into(), |ns| escape(&Unit::Nanoseconds.shown(ns))))
    };
    let line = |curve: &&Curve| {
        let cells: String = percentiles.iter().map(|share| cell(read(curve, *share))).collect();
        format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", who::label(&curve.contender))
    };
    let lines: String = curves.iter().map(line).collect();
    let head = format!("<thead><tr><th scope=\"col\">percentile</th>{heads}</tr></thead>");
    scrolling(&escape(name), &format!("<table>{head}<tbody>{lines}</tbody></table>"))
}

/// An axis of percentiles: each nine takes as much space as the one before it.
struct Stretched {
    first: f64,
    last: f64,
}

impl Stretched {
    fn of(points: &[(f64, f64)]) -> Stretched {
        let nines = || points.iter().map(|point| nines(point.0));
        let (first, last) = (nines().fold(f64::INFINITY, f64::min), nines().fold(0.0, f64::max));
        Stretched { first, last }
    }

    fn place(&self, share: f64) -> f64 {
        if self.last > self.first { (nines(share) - self.first) / (self.last - self.first) } else { 0.0 }
    }

    fn holds(&self, share: f64) -> bool {
        (self.first - 1e-9..=self.last + 1e-9).contains(&nines(share))
    }
}

/// 90 is one, 99 is two, 99.9 is three.
fn nines(share: f64) -> f64 {
    -(1.0 - share / 100.0).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_takes_as_much_room() {
        let axis = Stretched::of(&[(0.0, 1.0), (99.9, 1.0)]);
        let places = [90.0, 99.0, 99.9].map(|share| (axis.place(share) * 300.0).round());
        assert_eq!(places, [100.0, 200.0, 300.0]);
        assert!(axis.holds(99.9) && !axis.holds(99.99));
    }

    #[test]
    fn every_contender_has_its_line_in_the_plot_of_its_name() {
        let curve = |name: &str, contender: &str, points: &[(f64, f64)]| Curve {
            name: name.into(),
            contender: contender.into(),
            points: points.to_vec(),
        };
        let points = [(50.0, 10_000.0), (90.0, 20_000.0), (100.0, 1e9)];
        let curves_of = vec![
            curve("one", "roundel", &points),
            curve("two", "tokio", &points),
            curve("one", "tokio", &points),
            curve("none", "tokio", &[(100.0, 1.0)]),
        ];
        let plots = curves(&Report { curves: curves_of, ..Report::default() });
        let seen: Vec<(&str, usize)> = plots.iter().map(|plot| (&plot.title[..], plot.lines.len())).collect();
        assert_eq!(seen, [("one", 2), ("two", 1)]);
        assert_eq!(plots[0].lines[0].points.len(), 2);
    }
}
