//! The statements and the files: not longer than a learner reads at once, and complete.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use labs::list::{How, LABS, Lab};

/// A stub fits on a screen, a statement on a page.
const LONGEST_STUB: usize = 40;
const LONGEST_STATEMENT: usize = 60;

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the package is two below the root").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The labs whose files are programs. The others have a form of their own.
fn in_rust() -> impl Iterator<Item = &'static Lab> {
    LABS.iter().filter(|lab| matches!(lab.how, How::File))
}

#[test]
fn stubs_and_statements_are_short() {
    for lab in LABS {
        for (path, most) in [
            (format!("examples/labs/stubs/{}", lab.file_name()), LONGEST_STUB),
            (format!("docs/{}", lab.statement()), LONGEST_STATEMENT),
        ] {
            let lines = read(&path).lines().count();
            assert!(lines <= most, "{path} has {lines} lines");
        }
    }
}

#[test]
fn every_statement_says_what_a_learner_needs() {
    let contents = read("docs/SUMMARY.md");
    for lab in LABS {
        let (path, stars) = (format!("docs/{}", lab.statement()), lab.stars());
        let text = read(&path);
        let line = format!("{stars} · {} minutes · after [", lab.minutes);
        assert!(
            text.starts_with(&format!("# Lab {}: {}\n\n{line}", lab.number, lab.title)),
            "{path}: the head"
        );
        for part in
            ["\n## The task\n", "\n## Grade it\n", &format!("`examples/labs/work/{}`", lab.file_name())]
        {
            assert!(text.contains(part), "{path} does not contain {part:?}");
        }
        let command = format!("\n$ cargo run -p labs -- {}\n", lab.number);
        assert!(text.contains(&command), "{path} does not name its command");
        assert!(text.matches("<details><summary>Hint: ").count() >= 2, "{path} has fewer than two hints");
        let chapter =
            text.split("after [").nth(1).and_then(|rest| rest.split(['(', ')']).nth(1)).unwrap_or_default();
        assert!(chapter.starts_with("../chapters/"), "{path} names no chapter");
        // In the table of contents, the lab stands below that chapter.
        let before = contents.split(&lab.statement()).next().unwrap_or_default();
        let above = before.rsplit("](chapters/").next().and_then(|rest| rest.split(')').next());
        assert_eq!(above, chapter.strip_prefix("../chapters/"), "{path} is not below its chapter");
    }
}

#[test]
fn every_stub_says_how_it_is_graded() {
    for lab in in_rust() {
        let stub = read(&format!("examples/labs/stubs/{}", lab.file_name()));
        assert!(stub.starts_with(&format!("//! Lab {}: ", lab.number)), "stub {}", lab.number);
        let says = [format!("`docs/{}`", lab.statement()), format!("`cargo run -p labs -- {}`", lab.number)];
        assert!(says.iter().all(|what| stub.contains(what)), "stub {} does not say {says:?}", lab.number);
    }
}

/// The trait that a statement shows is the trait that the grader asks for.
#[test]
fn every_statement_shows_the_methods_of_its_trait() {
    for lab in in_rust() {
        let source = read(&format!("examples/labs/src/{}.rs", lab.name));
        let source: String = source.split_whitespace().collect();
        let text = read(&format!("docs/{}", lab.statement()));
        let blocks = text.split("\n```rust,ignore\n").skip(1).filter_map(|block| block.split("\n```").next());
        let methods = blocks.flat_map(|block| block.split(';')).filter(|method| method.contains("fn "));
        for method in methods {
            let from = method.find("fn ").unwrap_or_default();
            let method: String = method[from..].split_whitespace().collect();
            let known = source.contains(&method) || lab.name == "schedule";
            assert!(known, "docs/{}: `{method}` is not in the source", lab.statement());
        }
    }
}
