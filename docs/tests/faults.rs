//! The planted faults still fit the sources: each applies, breaks a promise that stands somewhere, and names a test that
//! exists. (That the tests notice them is the concern of `cargo run -p docs --bin faults`.)

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use docs::faults::copy::originals;
use docs::faults::{Fault, Test, comments, faults};
use docs::sources;

/// The lines of a patch that remove or add something.
fn changed(fault: &Fault) -> usize {
    let hunks = fault.text.lines().skip_while(|line| !line.starts_with("@@ "));
    hunks.filter(|line| line.starts_with(['-', '+'])).count()
}

#[test]
fn every_patch_applies_and_changes_a_few_lines_of_the_file_that_it_names() {
    let texts = originals();
    for fault in faults().unwrap() {
        let mut faulty = texts.clone();
        fault.plant(&mut faulty).unwrap_or_else(|why| panic!("{why}"));
        assert_ne!(faulty, texts, "{} changes nothing", fault.name);
        assert_eq!(fault.files().collect::<Vec<_>>(), [&fault.file], "{}", fault.name);
        assert!(changed(&fault) <= 4, "{} changes {} lines: a slip is smaller", fault.name, changed(&fault));
        assert!(!fault.file.contains("/tests/"), "{} changes a test", fault.name);
    }
}

#[test]
fn the_faults_are_numbered_and_each_has_a_name_of_its_own() {
    let faults = faults().unwrap();
    assert!(faults.len() >= 40, "{} faults", faults.len());
    let mut names = BTreeSet::new();
    for (number, fault) in (1..).zip(&faults) {
        let name = fault.name.strip_prefix(&format!("{number:02}-"));
        let name = name.unwrap_or_else(|| panic!("{} should have the number {number:02}", fault.name));
        assert!(names.insert(name), "two faults are called {name}");
    }
}

#[test]
fn every_file_of_the_core_has_a_fault() {
    let faults = faults().unwrap();
    let files: BTreeSet<&str> = faults.iter().map(|fault| fault.file.as_str()).collect();
    let core = sources("runtime/src/core", &[".rs"]);
    assert!(core.len() > 20, "only {} files: does this test still find them?", core.len());
    for source in core {
        assert!(files.contains(source.path.as_str()), "no fault is planted in {}", source.path);
    }
}

#[test]
fn every_broken_promise_stands_in_the_sources() {
    let texts = originals();
    let invariants = comments(&texts["runtime/src/lib.rs"]);
    for fault in faults().unwrap() {
        let is_numbered = fault.invariant.starts_with(|c: char| c.is_ascii_digit());
        let said = if is_numbered { invariants.clone() } else { comments(&texts[&fault.file]) };
        let place = if is_numbered { "runtime/src/lib.rs" } else { fault.file.as_str() };
        assert!(said.contains(&fault.invariant), "{}: {place} does not say: {}", fault.name, fault.invariant);
    }
}

/// The file that has a test: modules are folders and files, except for those inside of a file.
fn file_of(test: &Test) -> Option<String> {
    let folder = if test.target.name == "lib" { "runtime/src" } else { "runtime/tests" };
    let modules = test.name.replace("::", "/");
    let mut path = match test.target.name.as_str() {
        "lib" => modules,
        target => format!("{target}/{modules}"),
    };
    let texts = originals();
    while let Some((shorter, _)) = path.rsplit_once('/') {
        path = shorter.to_owned();
        let file = format!("{folder}/{path}.rs");
        if texts.contains_key(&file) {
            return Some(file);
        }
    }
    None
}

#[test]
fn every_test_that_is_named_exists() {
    let texts = originals();
    for fault in faults().unwrap() {
        let test = &fault.killed_by;
        assert_eq!(test.target.package, "roundel", "{}: only the runtime is copied", fault.name);
        let file = file_of(test).unwrap_or_else(|| panic!("{}: no file has {}", fault.name, test.name));
        let name = test.name.rsplit("::").next().unwrap_or_default();
        assert!(texts[&file].contains(&format!("fn {name}(")), "{}: {file} has no {name}", fault.name);
    }
}
