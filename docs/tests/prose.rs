//! The texts and the comments have none of the sentences that a test can recognise as bad English (see `docs::prose`).

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use docs::prose::slips;
use docs::{Source, sources};

/// The texts and sources in these folders, and two of the Markdown files at the root. (The changelog is a list of
/// notes.)
fn texts() -> Vec<Source> {
    let folders = ["runtime", "net", "examples", "benches", "docs"];
    let mut texts: Vec<Source> = folders.iter().flat_map(|folder| sources(folder, &[".md", ".rs"])).collect();
    texts.extend(["README.md", "CONTRIBUTING.md"].map(|name| sources(".", &[name]).remove(0)));
    texts
}

#[test]
fn no_sentence_reads_like_a_translation() {
    let texts = texts();
    assert!(texts.len() > 200, "only {} texts: does this test still find them?", texts.len());
    let mut wrong = Vec::new();
    for text in &texts {
        // The patterns themselves stand in the file that finds them.
        let found = slips(&text.path, &text.text).into_iter().filter(|_| text.path != "docs/src/prose.rs");
        wrong
            .extend(found.map(|slip| format!("{}:{}: {}: {} …", text.path, slip.line, slip.why, slip.words)));
    }
    assert!(wrong.is_empty(), "{} slips:\n{}", wrong.len(), wrong.join("\n"));
}
