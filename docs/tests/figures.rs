//! The figures are what `cargo run -p docs --bin figures` draws from today's sources, and each of them is shown.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use std::collections::BTreeSet;
use std::fs;

use docs::book::chapters;
use docs::figures::{all, constant, defined};
use docs::root;

/// Pictures that are not drawn by code.
const PHOTOGRAPHS: &[&str] = &["see.png"];
/// Figures whose chapters do not show them yet. The list is to be emptied.
const NOT_YET: &[&str] = &[];

#[test]
fn every_figure_is_what_the_sources_say() {
    for (name, drawing) in all() {
        let path = format!("docs/pictures/{name}.svg");
        let drawn = fs::read_to_string(root().join(&path)).unwrap_or_default();
        assert!(
            drawn == drawing.svg(),
            "{path} is outdated: run `cargo run -p docs --bin figures`, and look at it"
        );
    }
}

#[test]
fn every_picture_is_drawn_and_shown() {
    let names: BTreeSet<String> = all().into_iter().map(|(name, _)| format!("{name}.svg")).collect();
    let chapters = chapters();
    for entry in fs::read_dir(root().join("docs/pictures")).expect("the pictures") {
        let file = entry.expect("a picture").file_name().to_string_lossy().into_owned();
        assert!(names.contains(&file) || PHOTOGRAPHS.contains(&&*file), "docs/pictures/{file} is not drawn");
    }
    for name in &names {
        let is_shown = chapters.iter().any(|chapter| chapter.text.contains(&format!("pictures/{name})")));
        let is_awaited = NOT_YET.contains(&name.trim_end_matches(".svg"));
        assert!(is_shown != is_awaited, "{name}: shown in the book: {is_shown}, in NOT_YET: {is_awaited}");
    }
}

#[test]
fn each_figure_stands_alone_on_its_line_and_has_an_alternative_text() {
    for chapter in chapters() {
        for line in chapter.text.lines().filter(|line| line.contains("pictures/") && line.contains(".svg)")) {
            let words = line.strip_prefix("![").and_then(|rest| rest.split("](").next()).unwrap_or_default();
            let is_alone = line.ends_with(".svg)") && line.matches("](").count() == 1;
            assert!(words.len() > 20 && is_alone, "docs/{}: {line}", chapter.path);
            // A number in these words would be copied by hand.
            let has_number = words.contains(|letter: char| letter.is_ascii_digit());
            assert!(!has_number, "docs/{}: a number in: {words}", chapter.path);
        }
    }
}

#[test]
fn a_figure_says_in_words_what_it_shows_and_makes_one_block_of_html() {
    for (name, drawing) in all() {
        let svg = drawing.svg();
        let of = |tag: &str| svg.split(&format!("<{tag}>")).nth(1).and_then(|rest| rest.split("</").next());
        assert!(of("title").is_some_and(|title| title.len() > 10), "{name} has no title");
        assert!(of("desc").is_some_and(|words| words.ends_with('.')), "{name} has no description");
        // An empty line would end the block, and Markdown would read the rest.
        assert!(svg.starts_with("<svg ") && !svg.trim_end().contains("\n\n"), "{name} has an empty line");
    }
}

#[test]
fn numbers_come_from_the_sources() {
    assert_eq!(defined("runtime/src/core/slots/mark.rs", "OVER"), "1 << 30");
    assert_eq!(constant("runtime/src/core/pace.rs", "LOOK_EVERY"), 40_000);
}
