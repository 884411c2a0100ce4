//! Every row at once: for each contender a strip of points, one for each row.
//!
//! Facts. A mean over rows uses weights that no one has chosen, and hides the row that matters to the reader.
//!
//! What follows. There is no mean. All ratios to ours are on one axis by factors, with a line where we are equal. A
//! point is full if the middle half of the rounds lies on one side of the line, and hollow if the noise hides the side.

use crate::contenders::NAMES;
use crate::faceoff::page::scale::Scale;
use crate::faceoff::page::text::escape;
use crate::faceoff::page::who;
use crate::faceoff::report::{FLOOR, Report, Row};
use crate::faceoff::tables::{OURS, contested, number};

/// Points beyond these lie on the edge.
const LEAST: f64 = 0.1;
const MOST: f64 = 1_000.0;

/// What a row says about a contender.
struct Point {
    name: String,
    ratio: f64,
    /// Cheaper than ours, or dearer, beyond the noise; or neither.
    side: Side,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Cheaper,
    Hidden,
    Dearer,
}

pub fn glance(report: &Report) -> String {
    let others = NAMES.into_iter().filter(|name| *name != OURS);
    let strips: Vec<(&str, Vec<Point>)> =
        others.map(|name| (name, points(report, name))).filter(|(_, points)| !points.is_empty()).collect();
    if strips.is_empty() {
        return String::new();
    }
    let scale = scale(&strips);
    let lines: String = strips.iter().map(|(name, points)| strip(name, points, scale)).collect();
    format!(
        "<figure class=\"card\"><figcaption><p>Each point is a row: how many times our cost theirs is, on a log scale. \
         Left of the line they are cheaper, right of it dearer; where a point is hollow, the noise hides \
         which. Points on the edge lie beyond it.</p>\
         </figcaption>\n<ol class=\"strips\">{lines}{}</ol></figure>\n",
        axis(scale)
    )
}

fn points(report: &Report, who: &str) -> Vec<Point> {
    let rows = report.rows.iter().filter(|row| contested(row));
    rows.filter_map(|row| point(row, who)).collect()
}

fn point(row: &Row, who: &str) -> Option<Point> {
    let cost = row.cost(who, OURS)?;
    let side = match (cost.low, cost.high) {
        (_, high) if high < 1.0 => Side::Cheaper,
        (low, _) if low > 1.0 => Side::Dearer,
        _ => Side::Hidden,
    };
    Some(Point { name: format!("{}, {}", row.group, row.name), ratio: cost.median, side })
}

fn scale(strips: &[(&str, Vec<Point>)]) -> Scale {
    let ratios = || strips.iter().flat_map(|(_, points)| points).map(|point| point.ratio.clamp(LEAST, MOST));
    Scale::Log(ratios().fold(0.5, f64::min) * 0.9, ratios().fold(2.0, f64::max) * 1.1)
}

fn percent(place: f64) -> String {
    format!("{:.2}%", place * 100.0)
}

fn strip(name: &str, points: &[Point], scale: Scale) -> String {
    let count = |side: Side| points.iter().filter(|point| point.side == side).count();
    let dots: String = points.iter().enumerate().map(|(index, point)| dot(index, point, scale)).collect();
    let one = percent(scale.place(1.0));
    format!(
        "<li{}><span class=\"who\">{}</span><span class=\"value\">{} cheaper, {} dearer, of {}</span>\
         <svg class=\"line\" height=\"32\" aria-hidden=\"true\">{}\
         <line class=\"one\" x1=\"{one}\" x2=\"{one}\" y2=\"100%\"/>{dots}</svg></li>\n",
        if name == FLOOR { " class=\"floor\"" } else { "" },
        who::label(name),
        count(Side::Cheaper),
        count(Side::Dearer),
        points.len(),
        ticks(scale, |x, _| format!("<line class=\"grid\" x1=\"{x}\" x2=\"{x}\" y2=\"100%\"/>")),
    )
}

/// The points of one strip are moved a little, up and down, so that they do not hide each other.
fn dot(index: usize, point: &Point, scale: Scale) -> String {
    let class = match point.side {
        Side::Cheaper => "cheaper",
        Side::Hidden => "hidden",
        Side::Dearer => "dearer",
    };
    format!(
        "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"4\"><title>{}: {}×</title></circle>",
        percent(scale.place(point.ratio)),
        7 + index * 11 % 19,
        escape(&point.name),
        number(point.ratio)
    )
}

fn ticks(scale: Scale, draw: impl Fn(String, f64) -> String) -> String {
    scale.ticks(5).into_iter().map(|value| draw(percent(scale.place(value)), value)).collect()
}

fn axis(scale: Scale) -> String {
    let text = |x, value: f64| format!("<text x=\"{x}\" y=\"15\" text-anchor=\"middle\">{value}×</text>");
    format!(
        "<li class=\"axis\" aria-hidden=\"true\"><svg class=\"line\" height=\"20\">{}</svg></li>\n",
        ticks(scale, text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faceoff::figures::Figure;
    use crate::faceoff::report::Unit;
    use crate::faceoff::tables::CONTROL;

    #[test]
    fn each_row_is_a_point_on_its_side() {
        let row = |group: &str, theirs: [f64; 2]| Row {
            group: group.into(),
            name: "n".into(),
            unit: Unit::Count,
            figures: [("roundel", [1.0, 1.0]), ("tokio", theirs)]
                .map(|(name, samples)| (name.to_string(), Figure::new(samples.to_vec())))
                .into(),
        };
        let rows =
            vec![row("g", [2.0, 3.0]), row("g", [0.5, 0.4]), row("g", [0.5, 2.0]), row(CONTROL, [9.0, 9.0])];
        let text = glance(&Report { rows, ..Report::default() });
        assert!(text.contains("1 cheaper, 1 dearer, of 3"), "{text}");
        assert_eq!(glance(&Report::default()), "");
    }
}
