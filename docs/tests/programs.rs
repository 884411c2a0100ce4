//! Every program is in the book's table of programs, with its command and a test, or is shown by a chapter. And
//! everything in the table exists.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use std::collections::BTreeSet;
use std::fs;

use docs::book::chapters;
use docs::root;

/// A line of the table.
struct Row {
    name: String,
    path: String,
    command: String,
    articles: String,
    test: (String, String),
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `name` and path of a cell that is a link.
fn link(cell: &str) -> (String, String) {
    let (text, rest) = cell.trim().split_once("](").unwrap_or_else(|| panic!("no link: {cell}"));
    let path = rest.trim_end_matches(')').trim_start_matches("../");
    (text.trim_matches(['[', '`']).to_owned(), path.to_owned())
}

fn table() -> Vec<Row> {
    let page = read("docs/programs.md");
    let lines = page.lines().filter(|line| line.starts_with("| [`"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [program, command, articles, _shows, test] = cells[..] else {
            panic!("docs/programs.md: not five cells: {line}")
        };
        let (name, path) = link(program);
        let command = command.trim().trim_matches('`').to_owned();
        Row { name, path, command, articles: articles.trim().to_owned(), test: link(test) }
    };
    lines.map(row).collect()
}

/// Name and path of each example: those that Cargo finds by itself, and those that the manifest names.
fn examples() -> BTreeSet<(String, String)> {
    let found = docs::sources("examples/examples", &[".rs"]);
    let found = found.into_iter().map(|file| (file.module().to_owned(), file.path));
    found.chain(named_by_hand()).collect()
}

/// The lines `{ name = "boards", path = "book/boards.rs" },` of the manifest.
fn named_by_hand() -> Vec<(String, String)> {
    let manifest = read("examples/Cargo.toml");
    let lines = manifest.lines().filter_map(|line| line.trim().strip_prefix("{ name = \""));
    let parts = lines.map(|line| line.trim_end_matches("\" },").split_once("\", path = \""));
    let parts = parts.map(|parts| parts.expect("examples/Cargo.toml: a name and a path on one line"));
    parts.map(|(name, path)| (name.to_owned(), format!("examples/{path}"))).collect()
}

/// Cargo builds a file in these folders only if the manifest names it, and says nothing about the others.
#[test]
fn every_file_that_cargo_does_not_find_is_named_in_the_manifest() {
    let named: BTreeSet<String> = named_by_hand().into_iter().map(|(_, path)| path).collect();
    let files = ["examples/book", "examples/from_scratch"].map(|folder| docs::sources(folder, &[".rs"]));
    let files: BTreeSet<String> = files.into_iter().flatten().map(|file| file.path).collect();
    assert!(files.len() > 40, "{files:?}");
    assert_eq!(
        files, named,
        "the files of book/ and from_scratch/, and those that examples/Cargo.toml names"
    );
}

#[test]
fn every_program_is_in_the_table_once() {
    let rows = table();
    let named: BTreeSet<_> = rows.iter().map(|row| (row.name.clone(), row.path.clone())).collect();
    assert_eq!(named.len(), rows.len(), "a program stands in docs/programs.md twice");
    let examples = examples();
    assert!(examples.len() > 30, "{examples:?}");
    let missing: Vec<_> = examples.difference(&named).filter(|(_, path)| !is_of_a_chapter(path)).collect();
    assert!(missing.is_empty(), "docs/programs.md does not name {missing:?}");
    let gone: Vec<_> = named.difference(&examples).collect();
    assert!(gone.is_empty(), "Cargo knows no program {gone:?}");
}

/// The small programs that go with the chapters.
fn is_of_a_chapter(path: &str) -> bool {
    path.starts_with("examples/book/")
}

#[test]
fn every_program_of_a_chapter_is_shown_there() {
    let shown: String = chapters().into_iter().map(|chapter| chapter.text).collect();
    for (name, path) in examples().into_iter().filter(|(_, path)| is_of_a_chapter(path)) {
        let runs = ["output", "strace"].iter().any(|mark| {
            shown.contains(&format!("<!-- {mark}: {name} "))
                || shown.contains(&format!("<!-- {mark}: {name};"))
        });
        assert!(runs, "no chapter shows what {name} prints ({path})");
    }
}

#[test]
fn every_command_runs_its_program() {
    for row in table() {
        let command = format!("cargo run --release --example {}", row.name);
        let rest =
            row.command.strip_prefix(&command).unwrap_or_else(|| panic!("{}: {}", row.name, row.command));
        assert!(rest.is_empty() || rest.starts_with(" -- "), "{}: {}", row.name, row.command);
        assert!(read(&row.path).contains(&command), "{} does not say how it is run", row.path);
    }
}

#[test]
fn every_test_that_is_named_exists() {
    for row in table() {
        let (name, path) = row.test;
        let is_there = read(&path).contains(&format!("#[test]\nfn {name}()"));
        assert!(is_there, "{}: {path} has no test `{name}`", row.name);
    }
}

/// The articles are numbers from 1 to 5. An error, such as `[E2](…#e2-…)`, is one of chapter 20.
#[test]
fn every_article_and_error_that_is_named_exists() {
    let errors = read("docs/chapters/20-what-the-articles-got-wrong.md");
    let mut links = 0;
    for row in table().iter().filter(|row| row.articles != "–") {
        for name in row.articles.split(", ") {
            let Some((error, link)) = name.strip_prefix('[').and_then(|name| name.split_once("](")) else {
                assert!(["1", "2", "3", "4", "5"].contains(&name), "{}: no article {name}", row.name);
                continue;
            };
            links += 1;
            assert!(errors.contains(&format!("\n### {error}. ")), "{}: no error {error}", row.name);
            let anchor = format!("20-what-the-articles-got-wrong.md#{}-", error.to_lowercase());
            assert!(link.contains(&anchor), "{}: {error} leads to {link}", row.name);
        }
    }
    assert!(links > 10, "{links} links to errors: does this test still find them?");
}

/// A gold text that no test reads would check nothing.
#[test]
fn every_gold_text_is_that_of_a_program() {
    let names: BTreeSet<String> = examples().into_iter().map(|(name, _)| name).collect();
    for entry in fs::read_dir(root().join("examples/tests/gold")).expect("the gold texts") {
        let file = entry.expect("a file").file_name().to_string_lossy().into_owned();
        let name = file.trim_end_matches(".txt").to_owned();
        assert!(names.contains(&name), "examples/tests/gold/{file} belongs to no program");
        let tests = docs::sources("examples/tests", &[".rs"]);
        let call = format!("gold(\"{name}\"");
        assert!(tests.iter().any(|test| test.text.contains(&call)), "no test reads {file}");
    }
}

#[test]
fn the_readme_shows_what_the_first_program_prints() {
    let shown = format!("$ cargo run --release --example race\n{}```", read("examples/tests/gold/race.txt"));
    assert!(read("README.md").contains(&shown), "README.md shows another output of `race`");
}
