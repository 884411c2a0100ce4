//! The cells of the terminal's tables, as a table of the page.
//!
//! Contract. Everything that is drawn is also here as text. The table scrolls in its own box, and the page does not
//! scroll sideways; the name of the row stays in place.

use std::fmt::Write;

use crate::faceoff::page::text::escape;
use crate::faceoff::page::who;
use crate::faceoff::report::{FLOOR, Report, Row, Verdict};
use crate::faceoff::tables::cell;

/// All rows of a group.
pub fn table(report: &Report, group: &str) -> String {
    let columns = report.contenders(group);
    let heads: String = columns.iter().map(|name| head(name)).collect();
    let rows = report.rows.iter().filter(|row| row.group == group);
    let lines: String = rows.map(|row| line(row, &columns)).collect();
    let name = escape(group);
    scrolling(
        &format!("{name}: all figures"),
        &format!(
            "<table><thead><tr><th scope=\"col\">{name}</th>{heads}<th scope=\"col\" class=\"tied\">tied</th></tr></thead>\
             <tbody>{lines}</tbody></table>"
        ),
    )
}

/// A box that scrolls by itself, with the keyboard too.
pub fn scrolling(name: &str, table: &str) -> String {
    format!("<div class=\"scroll\" role=\"region\" aria-label=\"{name}\" tabindex=\"0\">{table}</div>\n")
}

fn head(name: &str) -> String {
    let floor = if name == FLOOR { " class=\"floor\"" } else { "" };
    format!("<th scope=\"col\"{floor}>{}</th>", who::label(name))
}

fn line(row: &Row, columns: &[&str]) -> String {
    let verdict = row.verdict();
    let mut text = format!("<tr><th scope=\"row\">{}</th>", escape(&row.name));
    for name in columns {
        let class = match name {
            _ if verdict == Verdict::Best(name) => " class=\"best\"",
            _ if *name == FLOOR => " class=\"floor\"",
            _ => "",
        };
        let _ = write!(text, "<td{class}>{}</td>", escape(&cell(row, name, &verdict)).replace('*', " ★"));
    }
    let tied = match &verdict {
        Verdict::Tied(names) => escape(&names.join(", ")),
        _ => String::new(),
    };
    let _ = writeln!(text, "<td class=\"tied\">{tied}</td></tr>");
    text
}
