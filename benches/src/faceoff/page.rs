//! A page to look at, made from a report.
//!
//! Facts. A reader may be on a phone, on paper, in the dark, without a network, without scripts, or blind.
//!
//! What follows. The page is one file, with everything that it needs: the style, the drawings, and each figure also as
//! text. Our losses come first, because that is what readers look for. Each file below draws one thing: [`bars`] a row,
//! [`cells`] a group, [`glance`] everything, [`plot`] lines: [`curves`] of latencies and [`growth`] of costs.
//!
//! Contract. All text of the report is escaped ([`text`]). The page loads nothing from anywhere.

pub mod bars;
pub mod cells;
pub mod curves;
pub mod glance;
pub mod growth;
pub mod opening;
pub mod plot;
pub mod scale;
pub mod text;
pub mod who;

use crate::faceoff::page::bars::{cards, row_anchor};
use crate::faceoff::page::plot::Plot;
use crate::faceoff::page::text::{anchor, escape};
use crate::faceoff::report::{Report, Row, Unit};
use crate::faceoff::tables::{dearer, lost};

const STYLE: &str = include_str!("page/style.css");
/// Rows about memory, which are drawn together.
const HELD: [&str; 5] =
    ["per idle task", "per sleeping task", "per held connection", "bytes held", "bytes resident"];

/// The whole page.
pub fn page(report: &Report) -> String {
    let parts = parts(report);
    let links: String = parts.iter().map(Part::link).collect();
    let sections: String = parts.iter().map(Part::section).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>The face-off: roundel beside the others</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n{}</header>\n<nav aria-label=\"Contents\"><ul>{links}</ul></nav>\n<main>\n{sections}</main>\n\
         </body>\n</html>\n",
        opening::opening(report)
    )
}

/// A part of the page that the list of contents names.
struct Part {
    anchor: String,
    title: String,
    body: String,
}

impl Part {
    fn new(title: &str, body: String) -> Part {
        Part { anchor: anchor(title), title: escape(title), body }
    }

    fn link(&self) -> String {
        format!("<li><a href=\"#{}\">{}</a></li>\n", self.anchor, self.title)
    }

    fn section(&self) -> String {
        let Part { anchor, title, body } = self;
        format!(
            "<section id=\"{anchor}\" aria-labelledby=\"{anchor}-h\"><h2 id=\"{anchor}-h\">{title}</h2>\n{body}</section>\n"
        )
    }
}

fn parts(report: &Report) -> Vec<Part> {
    let plots = |plots: Vec<Plot>| match plots.is_empty() {
        true => String::new(),
        false => {
            format!("<div class=\"cards plots\">{}</div>\n", plots.iter().map(Plot::draw).collect::<String>())
        }
    };
    let mut parts = vec![
        Part::new("Where we lose", losses(report)),
        Part::new("What went wrong", list(&report.errors)),
        Part::new("Who takes part", opening::who_takes_part(report)),
        Part::new("Every row at once", glance::glance(report)),
        Part::new("Latency, by percentile", plots(curves::curves(report))),
        Part::new("Cost as connections grow", plots(growth::growth(report))),
        Part::new("Memory", cards(report.rows.iter().filter(|row| is_memory(row)))),
    ];
    parts.extend(report.groups().into_iter().map(|group| Part::new(group, group_body(report, group))));
    parts.push(Part::new("What was left out", list(&report.notes)));
    parts.retain(|part| !part.body.is_empty());
    parts
}

fn is_memory(row: &Row) -> bool {
    row.group == "counts" && row.unit == Unit::Bytes && HELD.iter().any(|held| row.name.contains(held))
}

fn group_body(report: &Report, group: &str) -> String {
    let rows = report.rows.iter().filter(|row| row.group == group && !is_memory(row));
    let table = cells::table(report, group);
    format!("{}<h3>All figures of {}</h3>\n{table}", cards(rows), escape(group))
}

/// The rows in which another contender is ahead, the worst first.
fn losses(report: &Report) -> String {
    let mut rows: Vec<(&Row, String, f64)> =
        report.rows.iter().filter_map(|row| lost(row).map(|(who, cost)| (row, who, cost))).collect();
    if rows.is_empty() {
        return "<p>In no row of this run is another contender ahead beyond the noise.</p>\n".into();
    }
    rows.sort_by(|a, b| b.2.total_cmp(&a.2));
    let line = |(row, who, cost): &(&Row, String, f64)| {
        format!(
            "<tr><th scope=\"row\"><a href=\"#{}\">{}</a><small>{}; ahead: {}</small></th><td>{}</td></tr>\n",
            row_anchor(row),
            escape(&row.name),
            escape(&row.group),
            escape(who),
            escape(&dearer(row, *cost))
        )
    };
    let lines: String = rows.iter().map(line).collect();
    format!(
        "<p>The rows in which another contender is ahead beyond the noise, the worst first.</p>\n<table class=\"losses\">\
         <thead><tr><th scope=\"col\">row</th><th scope=\"col\">we cost</th></tr></thead>\
         <tbody>{lines}</tbody></table>\n"
    )
}

fn list(lines: &[String]) -> String {
    let items: String = lines.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    if items.is_empty() { items } else { format!("<ul class=\"list\">{items}</ul>\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faceoff::figures::Figure;

    #[test]
    fn a_report_without_anything_is_a_page_without_anything() {
        let text = page(&Report::default());
        assert!(text.contains("In no row of this run") && text.ends_with("</html>\n"));
    }

    #[test]
    fn no_text_of_the_report_is_obeyed() {
        let evil = || "<script>\"'&".to_string();
        let row = Row {
            group: evil(),
            name: evil(),
            unit: Unit::Count,
            figures: [(evil(), Figure::new(vec![1.0])), ("roundel".into(), Figure::new(vec![2.0]))].into(),
        };
        let mut report = Report { date: evil(), command: evil(), rows: vec![row], ..Report::default() };
        (report.notes, report.errors) = (vec![evil()], vec![evil()]);
        report.versions.insert(evil(), evil());
        (report.machine.cpu, report.machine.kernel) = (evil(), evil());
        report.curves.push(crate::faceoff::report::Curve {
            name: evil(),
            contender: evil(),
            points: vec![(50.0, 1.0), (90.0, 2.0)],
        });
        let text = page(&report);
        assert!(!text.contains("<script") && text.matches("&lt;script&gt;").count() > 10);
    }
}
