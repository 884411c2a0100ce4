//! What `docs/ecosystem.md` says that works is tried by a test, and the programs of that package are as it promises.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use std::collections::BTreeSet;
use std::fs;

use docs::{root, sources};

/// What the programs may have at most.
const MOST_LINES: usize = 120;

fn page() -> String {
    fs::read_to_string(root().join("docs/ecosystem.md")).expect("docs/ecosystem.md")
}

/// The rows of the tables in the parts that say what works.
fn rows(page: &str) -> Vec<String> {
    let is_of_works = |part: &&str| part.starts_with("The programs\n") || part.starts_with("Works ");
    let parts = page.split("\n## ").filter(is_of_works);
    let lines = parts
        .flat_map(|part| part.lines().filter(|line| line.starts_with("| ") && !line.contains("| test |")));
    lines.map(str::to_owned).collect()
}

/// The links to tests of the package, as the name of the test and the path of its file. (A link to a line is that of a
/// listing.)
fn tests_in(text: &str) -> Vec<(String, String)> {
    let links = text.split("[`").skip(1).filter_map(|rest| rest.split_once("`](../"));
    let links = links.filter_map(|(name, rest)| Some((name.to_owned(), rest.split_once(')')?.0.to_owned())));
    links.filter(|(_, path)| path.starts_with("examples/ecosystem/tests/") && path.ends_with(".rs")).collect()
}

#[test]
fn every_row_that_says_works_names_a_test() {
    let (page, mut wrong) = (page(), Vec::new());
    let rows = rows(&page);
    assert!(rows.len() > 20, "{} rows: does this test still find them?", rows.len());
    for row in rows {
        let tests = tests_in(&row);
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        if tests.len() != 1 || tests_in(last) != tests {
            wrong.push(row);
        }
    }
    assert!(wrong.is_empty(), "these rows do not end with the link to one test:\n{}", wrong.join("\n"));
}

#[test]
fn every_test_that_the_page_names_exists() {
    for (name, path) in tests_in(&page()) {
        let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(text.contains(&format!("#[test]\nfn {name}()")), "{path} has no test `{name}`");
    }
}

#[test]
fn every_test_of_a_library_is_on_the_page() {
    let named: BTreeSet<_> = tests_in(&page()).into_iter().collect();
    for file in sources("examples/ecosystem/tests/rows", &[".rs"]) {
        for item in file.text.split("#[test]\nfn ").skip(1) {
            let name = item.split('(').next().unwrap_or_default();
            assert!(
                named.contains(&(name.to_owned(), file.path.clone())),
                "docs/ecosystem.md does not name {name}"
            );
        }
    }
}

#[test]
fn every_program_is_short_and_in_the_table_with_its_command() {
    let (page, files) = (page(), sources("examples/ecosystem/examples", &[".rs"]));
    assert!(files.len() >= 7, "{} programs", files.len());
    for file in files {
        let command = format!("cargo run --release -p ecosystem --example {}", file.module());
        let row = format!("| [`{}`](../{}) | `{command}", file.module(), file.path);
        assert!(page.contains(&row), "docs/ecosystem.md has no row that begins with {row}");
        assert!(file.text.contains(&command), "{} does not say how it is run", file.path);
        let lines = file.text.lines().count();
        assert!(lines < MOST_LINES, "{} has {lines} lines", file.path);
    }
}
