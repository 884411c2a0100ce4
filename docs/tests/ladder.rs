//! The pages of the ladder: what a reader types from them is the ladder, and each page has the same parts.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use docs::book::{Chapter, chapters, listing};
use docs::marks::{Ask, marks};
use docs::pieces::{rungs, states_of};
use docs::typed::typed;

/// The most words of prose on a page.
const MOST_WORDS: usize = 1_500;

/// The pages of the ladder, in the order of the table of contents.
fn pages() -> Vec<Chapter> {
    let pages: Vec<_> = chapters().into_iter().filter(|page| page.path.starts_with("ladder/")).collect();
    assert_eq!(pages.len(), 12, "pages of the ladder");
    pages
}

/// The file after all pieces of a page, which must print each piece of this rung once, and in order.
fn typed_from(page: &Chapter, rung: usize, mut file: String) -> Result<String, String> {
    let mut next = 1;
    for mark in marks(&page.text)? {
        let Ask::Piece { rung: of, first, last } = mark.ask else { continue };
        if (of, first) != (rung, next) {
            return Err(format!("line {}: piece {of} {first}, where {rung} {next} is to come", mark.line));
        }
        file = typed(&file, &page.text[mark.listing]).map_err(|why| format!("line {}: {why}", mark.line))?;
        next = last + 1;
    }
    let pieces = states_of(rung)?.len() - 1;
    (next == pieces + 1)
        .then_some(file)
        .ok_or(format!("there are {pieces} pieces, and {} are printed", next - 1))
}

#[test]
fn a_reader_who_types_the_pages_has_the_twelve_rungs() {
    let mut file = String::new();
    for ((page, rung), number) in pages().iter().zip(rungs()).zip(1..) {
        file = typed_from(page, number, file).unwrap_or_else(|why| panic!("docs/{}: {why}", page.path));
        let is_other = |(ours, theirs): (&str, &str)| ours != theirs;
        let same = file.lines().zip(rung.text.lines()).position(is_other);
        let line = same.map_or("at its end".into(), |same| format!("from line {} on", same + 1));
        assert!(file == rung.text, "docs/{} does not make {}: it differs {line}", page.path, rung.path);
    }
}

#[test]
fn every_piece_is_what_the_rungs_say() {
    for page in pages() {
        for mark in marks(&page.text).expect("marks") {
            let Ask::Piece { .. } = mark.ask else { continue };
            let is_new = listing(&mark.ask, &page.path).as_deref() == Ok(&page.text[mark.listing]);
            let command = "`cargo run -p docs --bin book`";
            assert!(is_new, "docs/{}:{}: another piece now; run {command}", page.path, mark.line);
        }
    }
}

#[test]
fn every_page_leads_to_its_neighbours() {
    let pages = pages();
    let name = |at: usize| pages.get(at).map(|page| page.path.trim_start_matches("ladder/"));
    let link = |word: &str, name: Option<&str>| name.map(|name| format!("[{word}]({name})"));
    for (at, page) in pages.iter().enumerate() {
        let before = link("Previous", at.checked_sub(1).and_then(name));
        let links = [before, link("Contents", Some("../SUMMARY.md")), link("Next", name(at + 1))];
        let footer = links.into_iter().flatten().collect::<Vec<_>>().join(" · ");
        assert_eq!(page.text.lines().last(), Some(&*footer), "the last line of docs/{}", page.path);
    }
}

#[test]
fn every_listing_of_code_is_a_piece() {
    for page in pages() {
        let listings: Vec<_> =
            marks(&page.text).expect("marks").into_iter().map(|mark| mark.listing).collect();
        for fence in ["```rust", "```diff", "```console\n$ cargo run"] {
            for (at, _) in page.text.match_indices(fence) {
                let is_made = listings.iter().any(|listing| listing.contains(&at));
                let line = page.text[..at].lines().count() + 1;
                assert!(is_made, "docs/{}:{line}: a block is not between marks", page.path);
            }
        }
    }
}

#[test]
fn every_page_has_the_same_parts() {
    for (page, number) in pages().iter().zip(1..) {
        let has = |part: &str| assert!(page.text.contains(part), "docs/{} has no `{part}`", page.path);
        assert!(page.text.starts_with(&format!("# Rung {number}: ")), "the title of docs/{}", page.path);
        let parts = ["## The idea", "## Type it", "## Run it", "## What you have now", "## Try it"];
        let places: Vec<_> = parts.iter().map(|part| page.text.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "docs/{}: {places:?}", page.path);
        has("\n> **Predict first.** ");
        has("<details><summary>What happens</summary>");
        has("<details><summary>Answer</summary>");
        has("★");
        let outputs = marks(&page.text).expect("marks").into_iter().filter_map(|mark| match mark.ask {
            Ask::Output { words, .. } => words.into_iter().next(),
            _ => None,
        });
        let program = format!("from_scratch_{number}");
        assert!(outputs.into_iter().any(|name| name == program), "docs/{} does not run its rung", page.path);
    }
}

#[test]
fn no_page_is_long() {
    for page in pages() {
        let mut is_code = false;
        let prose = page.text.lines().filter(|line| {
            is_code ^= line.starts_with("```");
            !is_code && !line.starts_with("```") && !line.starts_with("<")
        });
        let words: usize = prose.map(|line| line.split_whitespace().count()).sum();
        println!("{}: {words} words", page.path);
        assert!((200..=MOST_WORDS).contains(&words), "docs/{} has {words} words", page.path);
    }
}
