//! The figures for other programs, and for the book.
//!
//! ```text
//! { "schema": 1, "date": "...", "machine": {"cpu": "...", "cores": 2, "kernel": "..."}, "rounds": 15,
//!   "rows": [ { "group": "...", "name": "...", "unit": "ns",
//!               "contenders": { "roundel": {"median": 1.0, "low": 1.0, "high": 1.0, "samples": [1.0]} } } ] }
//! ```
//!
//! Contract. Fields are added, never renamed or removed, without another number of the schema. A contender that has no
//! such thing is not there.

use std::fmt::Write;

use crate::faceoff::figures::Figure;
use crate::faceoff::report::Done;
use crate::faceoff::rows::CONTENDERS;

/// What is known of the place where it was measured.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub date: String,
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
    pub rounds: usize,
}

/// A text as JSON writes it.
fn text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn figure(figure: &Figure) -> String {
    let samples = list(figure.samples().iter().map(f64::to_string));
    let (median, low, high) = (figure.median(), figure.low(), figure.high());
    format!("{{\"median\": {median}, \"low\": {low}, \"high\": {high}, \"samples\": [{samples}]}}")
}

fn row(row: &Done) -> String {
    let present =
        CONTENDERS.iter().zip(&row.figures).filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let contenders = list(present.map(|(name, value)| format!("{}: {}", text(name), figure(value))));
    let (group, name) = (text(&row.group), text(&row.name));
    format!("{{\"group\": {group}, \"name\": {name}, \"unit\": \"ns\", \"contenders\": {{{contenders}}}}}")
}

/// The whole document.
pub fn document(place: &Place, rows: &[Done]) -> String {
    let machine = format!(
        "{{\"cpu\": {}, \"cores\": {}, \"kernel\": {}}}",
        text(&place.cpu),
        place.cores,
        text(&place.kernel)
    );
    let rows = rows.iter().map(row).collect::<Vec<_>>().join(",\n    ");
    format!(
        "{{\n  \"schema\": 1,\n  \"date\": {},\n  \"machine\": {machine},\n  \"rounds\": {},\n  \"rows\": [\n    {rows}\n  ]\n}}\n",
        text(&place.date),
        place.rounds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted() {
        assert_eq!(text("a \"b\" \\ \n ü"), "\"a \\\"b\\\" \\\\ \\u000a ü\"");
    }

    #[test]
    fn who_has_no_figure_is_not_there() {
        let figures = vec![Some(Figure::new(vec![1.0, 2.0])), None, None, None, None];
        let done = Done { group: "g".into(), name: "n".into(), figures };
        let text = document(&Place::default(), &[done]);
        assert!(
            text.contains(
                "\"roundel\": {\"median\": 1.5, \"low\": 1.25, \"high\": 1.75, \"samples\": [1, 2]}"
            ),
            "{text}"
        );
        assert!(!text.contains("tokio"), "{text}");
    }
}
