//! How long, and how much to read at once, a chapter may be.
//!
//! Facts. A reader gives up where a chapter goes on for too long, where listing follows listing, or where nothing is
//! asked. What is generated is as wide as its source. What is written by hand need not be.
//!
//! What follows. Each chapter has at most 3,500 words and ten citations. It asks the reader to predict at least twice.
//! Each of its exercises says how hard it is. A source is cited once in the whole book. No listing written by hand is
//! wider than 80 columns. What breaks a rule today is in [`ALLOWED`], which is to be emptied.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use std::collections::BTreeMap;

use docs::book::{Chapter, chapters};
use docs::marks::{Ask, Mark, marks};

/// Words that a reader reads, listings not counted.
const MOST_WORDS: usize = 3500;
/// Pieces of sources in one chapter.
const MOST_CITATIONS: usize = 10;
/// Boxes that ask before they tell.
const FEWEST_PREDICTIONS: usize = 2;
/// A terminal, and a page with listings.
const WIDEST: usize = 80;

/// What breaks a rule today: the beginning of the chapter's name, and the rule. An entry that is not needed any more
/// makes the test fail, so the list can only become shorter.
const ALLOWED: &[(&str, &str)] =
    &[("13", "80 columns"), ("14", "80 columns"), ("19", "80 columns"), ("20", "80 columns")];

/// The chapters in the strict sense, without the rungs, labs and tables.
fn numbered() -> Vec<Chapter> {
    let mut all = chapters();
    all.retain(|chapter| chapter.path.starts_with("chapters/"));
    all
}

fn number(chapter: &Chapter) -> &str {
    &chapter.path["chapters/".len()..][..2]
}

fn marks_of(chapter: &Chapter) -> Vec<Mark> {
    marks(&chapter.text).unwrap_or_else(|why| panic!("docs/{}: {why}", chapter.path))
}

/// The lines of a chapter: where each begins, its text, and whether it is in a code block.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, bool)> {
    let (mut at, mut is_code) = (0, false);
    text.split_inclusive('\n').map(move |line| {
        let begin = at;
        at += line.len();
        let is_fence = line.trim_start_matches([' ', '>']).starts_with("```");
        is_code ^= is_fence;
        (begin, line.trim_end(), is_code || is_fence)
    })
}

fn words(chapter: &Chapter) -> usize {
    let prose = lines(&chapter.text).filter(|(_, line, is_code)| !is_code && !line.starts_with("<!--"));
    prose.map(|(_, line, _)| line.split_whitespace().count()).sum()
}

/// The exercises that do not say how hard they are.
fn unrated(chapter: &Chapter) -> Vec<&str> {
    let part = chapter.text.split("\n## Exercises").nth(1).unwrap_or_default();
    let questions = part.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    questions.filter(|line| !line.contains('★')).collect()
}

/// The lines of code that are too wide and not generated.
fn too_wide(chapter: &Chapter) -> Vec<&str> {
    let generated: Vec<_> = marks_of(chapter).into_iter().map(|mark| mark.listing).collect();
    let by_hand = |at: usize| !generated.iter().any(|listing| listing.contains(&at));
    let code = lines(&chapter.text).filter(|(at, _, is_code)| *is_code && by_hand(*at));
    code.map(|(_, line, _)| line).filter(|line| line.chars().count() > WIDEST).collect()
}

/// The rules that a chapter breaks, each with what breaks it.
fn broken(chapter: &Chapter) -> Vec<(&'static str, String)> {
    let citations = marks_of(chapter).iter().filter(|mark| matches!(mark.ask, Ask::Cite { .. })).count();
    let predictions = chapter.text.matches("> **Predict first.**").count();
    let exercises = chapter.text.contains("\n## Exercises\n");
    let (words, unrated, wide) = (words(chapter), unrated(chapter), too_wide(chapter));
    let rules = [
        ("3,500 words", words > MOST_WORDS, format!("{words} words")),
        ("ten citations", citations > MOST_CITATIONS, format!("{citations} citations")),
        ("two predictions", predictions < FEWEST_PREDICTIONS, format!("{predictions} predictions")),
        ("exercises", !exercises, "no exercises".to_owned()),
        ("stars", !unrated.is_empty(), format!("without a star: {unrated:?}")),
        ("80 columns", !wide.is_empty(), format!("{} lines are too wide: {wide:?}", wide.len())),
    ];
    rules.into_iter().filter(|(_, is_broken, _)| *is_broken).map(|(rule, _, what)| (rule, what)).collect()
}

#[test]
fn no_chapter_is_too_long_and_each_asks_something() {
    let mut complaints = Vec::new();
    let chapters = numbered();
    assert_eq!(chapters.len(), 20, "chapters");
    for chapter in &chapters {
        let name = number(chapter);
        let found = broken(chapter);
        let is_allowed = |rule: &str| ALLOWED.contains(&(name, rule));
        let new = found.iter().filter(|(rule, _)| !is_allowed(rule));
        complaints.extend(new.map(|(rule, what)| format!("docs/{}: {rule}: {what}", chapter.path)));
        let mended =
            ALLOWED.iter().filter(|(of, rule)| *of == name && found.iter().all(|(is, _)| is != rule));
        complaints.extend(mended.map(|entry| format!("{entry:?} holds again: take it out of ALLOWED")));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_source_is_cited_once_in_the_whole_book() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for chapter in chapters() {
        for mark in marks_of(&chapter) {
            let Ask::Cite { file, from, to } = &mark.ask else { continue };
            let place = format!("docs/{}:{}", chapter.path, mark.line);
            places.entry(format!("{file}: {from} .. {to}")).or_default().push(place);
        }
    }
    assert!(places.len() > 100, "only {} citations: does this test still find them?", places.len());
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "cited more than once: {places:#?}");
}

#[test]
fn a_long_listing_and_a_missing_star_are_found() {
    let wide = "x".repeat(81);
    let text = format!("a b\n\n```text\n{wide}\n```\n\n## Exercises\n\n1. ★ a\n2. b\n");
    let chapter = Chapter { path: "chapters/01-a.md".to_owned(), text };
    assert_eq!((words(&chapter), number(&chapter)), (9, "01"));
    assert_eq!((too_wide(&chapter), unrated(&chapter)), (vec![&*wide], vec!["2. b"]));
    let rules: Vec<&str> = broken(&chapter).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["two predictions", "stars", "80 columns"]);
}
