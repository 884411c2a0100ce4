//! The chapter says what the committed figures say, and discusses every loss.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use benches::faceoff::chapter::{chapter, not_discussed};
use benches::faceoff::report::Report;

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file)
}

fn committed() -> (String, Report) {
    let text = fs::read_to_string(docs("results.md")).expect("docs/results.md");
    let report = Report::read(docs("faceoff.json").to_str().expect("a path")).expect("docs/faceoff.json");
    (text, report)
}

#[test]
fn the_chapter_says_what_the_figures_say() {
    let (text, report) = committed();
    let written = chapter(&text, &report).unwrap_or_else(|why| panic!("docs/results.md: {why}"));
    let differs = text.lines().zip(written.lines()).find(|(old, new)| old != new);
    assert!(
        text == written,
        "docs/results.md differs from docs/faceoff.json, first here: {differs:?}\n\
         Run `cargo run --release -p benches --bin faceoff -- --from docs/faceoff.json --chapter docs/results.md`"
    );
}

#[test]
fn each_lost_row_is_discussed() {
    let (text, report) = committed();
    let silent = not_discussed(&text, &report).unwrap_or_else(|why| panic!("docs/results.md: {why}"));
    assert!(silent.is_empty(), "docs/results.md loses these rows and does not discuss them: {silent:#?}");
}
