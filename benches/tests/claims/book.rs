//! The book, as the proofs of its claims about other runtimes read it.
//!
//! Facts. A proof is worth something only while it and the book say the same. So each proof quotes its claims, in a line
//! `claim("the number of a chapter, or the name of a page", "words that stand there")`.
//! Contract. Words that are not, or no longer, in the book fail. So does a chapter that speaks about this runtime in its
//! "What others do" and has no proof, unless its name is in the list of chapters for which no proof can be run.
//! What it does not know: whether the proof proves the words. A reader has to check that.

use std::collections::BTreeSet;
use std::path::Path;

/// The text of a chapter with single spaces, so that line ends do not matter.
pub(crate) fn page(name: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let folders = [docs.join("chapters"), docs];
    let files = folders.iter().flat_map(|folder| folder.read_dir().expect("a folder of the book"));
    let mut files = files.map(|file| file.expect("a file").path());
    let called = |file: &Path| file.file_name().is_some_and(|it| it.to_string_lossy().starts_with(name));
    let file = files.find(|file| called(file)).unwrap_or_else(|| panic!("no chapter begins with `{name}`"));
    std::fs::read_to_string(file).expect("a text").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The chapters whose "What others do" speaks about this runtime.
fn chapters_about(who: &str) -> BTreeSet<String> {
    let numbers = (1..=20).map(|number| format!("{number:02}"));
    numbers.filter(|number| page(number).contains(&format!("**{who}**"))).collect()
}

/// The quotations in a file of proofs: chapters and words.
fn claims(proofs: &str) -> Vec<(&str, &str)> {
    let quoted = |text| str::split(text, '"').skip(1).step_by(2);
    let mut claims = Vec::new();
    for line in proofs.lines().filter(|line| line.trim_start_matches(['/', ' ', '@']).starts_with("claim(\""))
    {
        let [chapter, words] = quoted(line).collect::<Vec<_>>()[..] else { panic!("two strings, in {line}") };
        claims.push((chapter, words));
    }
    claims
}

/// Every quoted claim is in its chapter, and every chapter that speaks about this runtime is quoted.
pub(crate) fn agrees_with(proofs: &str, who: &str, not_run: &[&str]) {
    let claims = claims(proofs);
    for (chapter, words) in &claims {
        assert!(
            page(chapter).contains(words),
            "chapter {chapter} does not say `{words}`: prove what it says"
        );
    }
    let proven = claims.iter().map(|(chapter, _)| *chapter).chain(not_run.iter().copied());
    let proven: BTreeSet<String> = proven.map(str::to_owned).collect();
    let missing: Vec<_> = chapters_about(who).difference(&proven).cloned().collect();
    assert!(missing.is_empty(), "what chapters {missing:?} say of {who} is not run");
}
