//! What a request costs as connections grow.
//!
//! Facts. Rows of the group `network` are named like `echo 64 B, 1,000 connections: CPU per request`.
//!
//! Contract. There is one plot for each workload that has the same measure at two or more numbers of connections; other
//! names have none.

use std::collections::BTreeMap;

use crate::faceoff::page::cells::scrolling;
use crate::faceoff::page::plot::{Axis, Line, Plot};
use crate::faceoff::page::scale::Scale;
use crate::faceoff::page::text::{escape, short};
use crate::faceoff::page::who;
use crate::faceoff::report::{Report, Row, grouped};

const MEASURE: &str = "CPU per request";
const WIDE: f64 = 5.0;

/// The rows of a workload, by their numbers of connections.
type Steps<'a> = BTreeMap<u64, &'a Row>;

pub fn growth(report: &Report) -> Vec<Plot> {
    let mut workloads: Vec<(&str, Steps<'_>)> = Vec::new();
    for row in report.rows.iter().filter(|row| row.group == "network" && !row.figures.is_empty()) {
        let Some((name, connections)) = parsed(&row.name) else { continue };
        match workloads.iter_mut().find(|known| known.0 == name) {
            Some(known) => drop(known.1.insert(connections, row)),
            None => workloads.push((name, Steps::from([(connections, row)]))),
        }
    }
    workloads.iter().filter(|(_, steps)| steps.len() >= 2).map(|(name, steps)| plot(name, steps)).collect()
}

/// The workload and the number of connections.
fn parsed(name: &str) -> Option<(&str, u64)> {
    let (place, measure) = name.rsplit_once(':')?;
    let (workload, count) = place.rsplit_once(", ")?;
    let count =
        count.trim().strip_suffix("connections").or_else(|| count.trim().strip_suffix("connection"))?;
    let connections = count.trim().replace(',', "").parse().ok().filter(|count| *count > 0)?;
    (measure.trim() == MEASURE).then_some((workload, connections))
}

fn plot(name: &str, steps: &Steps<'_>) -> Plot {
    let up = scale(steps);
    let unit = steps.values().next().map(|row| row.unit).expect("a workload has steps");
    let across = steps.keys().map(|count| (place(*count, steps), grouped(*count as f64)));
    let scale = if matches!(up, Scale::Log(..)) { ", log scale" } else { "" };
    Plot {
        title: format!("{name}: {MEASURE}"),
        about: format!(
            "{MEASURE} of the server, by connections, one line for each contender; lower is better."
        ),
        across: Axis { name: "connections, log scale".into(), ticks: across.collect() },
        up: Axis {
            name: format!("{MEASURE}{scale}"),
            ticks: up.ticks(6).into_iter().map(|value| (up.place(value), short(unit, value))).collect(),
        },
        lines: contenders(steps).into_iter().map(|who| line(who, steps, up)).collect(),
        table: table(name, steps),
    }
}

/// From zero, unless one contender costs so much more that the others could not be told apart.
fn scale(steps: &Steps<'_>) -> Scale {
    let figures = steps.values().flat_map(|row| row.figures.values());
    let medians: Vec<f64> = figures.map(|figure| figure.median).collect();
    let (least, most) =
        medians.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), median| (a.min(*median), b.max(*median)));
    if most > least * WIDE || most <= 0.0 { Scale::tight(&medians) } else { Scale::Linear(most * 1.08) }
}

/// In equal factors from the smallest number of connections to the largest.
fn place(count: u64, steps: &Steps<'_>) -> f64 {
    let log = |count: &u64| (*count as f64).ln();
    let (first, last) = (steps.keys().next().map_or(0.0, log), steps.keys().next_back().map_or(1.0, log));
    (log(&count) - first) / (last - first)
}

fn contenders<'a>(steps: &Steps<'a>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for name in steps.values().flat_map(|row| row.contenders()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn line(who: &str, steps: &Steps<'_>, up: Scale) -> Line {
    let figures =
        || steps.iter().filter_map(|(count, row)| Some((place(*count, steps), row.figures.get(who)?)));
    let points: Vec<(f64, f64)> = figures().map(|(x, figure)| (x, up.place(figure.median))).collect();
    let whiskers = figures().map(|(x, figure)| (x, up.place(figure.low), up.place(figure.high))).collect();
    Line { who: who.into(), marked: points.clone(), points, whiskers }
}

fn table(name: &str, steps: &Steps<'_>) -> String {
    let heads: String =
        steps.keys().map(|count| format!("<th scope=\"col\">{}</th>", grouped(*count as f64))).collect();
    let cell = |row: &Row, who: &str| {
        row.figures.get(who).map_or("-".into(), |figure| row.unit.shown(figure.median))
    };
    let line = |who: &str| {
        let cells = steps.values().map(|row| format!("<td>{}</td>", escape(&cell(row, who))));
        format!("<tr><th scope=\"row\">{}</th>{}</tr>\n", who::label(who), cells.collect::<String>())
    };
    let lines: String = contenders(steps).into_iter().map(line).collect();
    let head = format!("<thead><tr><th scope=\"col\">connections</th>{heads}</tr></thead>");
    scrolling(&escape(name), &format!("<table>{head}<tbody>{lines}</tbody></table>"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faceoff::figures::Figure;
    use crate::faceoff::report::Unit;

    fn row(name: &str) -> Row {
        let figures = [("roundel".to_string(), Figure::new(vec![5_000.0]))].into();
        Row { group: "network".into(), name: name.into(), unit: Unit::Nanoseconds, figures }
    }

    #[test]
    fn names_are_read() {
        assert_eq!(parsed("echo 64 B, 1 connection: CPU per request"), Some(("echo 64 B", 1)));
        assert_eq!(parsed("echo, 1 KiB, 1,000 connections: CPU per request"), Some(("echo, 1 KiB", 1_000)));
        let others = [
            "echo",
            "echo 64 B, 50 connections: p99",
            "a, b: CPU per request",
            "a, 0 connections: CPU per request",
        ];
        assert_eq!(others.map(parsed), [None; 4]);
    }

    #[test]
    fn one_number_of_connections_is_no_growth() {
        let names = [
            "a, 1 connection: CPU per request",
            "a, 50 connections: CPU per request",
            "b, 1 connection: CPU per request",
        ];
        let plots = growth(&Report { rows: names.map(row).to_vec(), ..Report::default() });
        assert_eq!(plots.len(), 1);
        assert_eq!(plots[0].lines[0].points.iter().map(|point| point.0).collect::<Vec<_>>(), [0.0, 1.0]);
    }
}
