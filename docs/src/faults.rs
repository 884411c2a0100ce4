//! The planted faults: small patches of the runtime, each with the promise that it breaks and the test that notices.
//!
//! Facts. A suite that passes shows that the runtime has none of the faults which the suite would notice. It does not show
//! which faults these are, and a test that was never seen to fail may check nothing.
//!
//! What follows. Each patch in `examples/labs/faults` is a slip that could happen to anyone who edits that line: a
//! comparison, a forgotten flag, a removal that was left out. The runtime knows nothing of them. The head of a patch says
//! what it is about, and `git apply` takes the head for a remark:
//!
//! ```text
//! # slip: what is wrong now
//! # file: the file that is changed
//! # invariant: the sentence that is no longer true, as it stands in lib.rs (with its number) or in this file
//! # killed by: the package, the target (`lib` or an integration test), and the test that fails
//! # features: diagnostics                       (only if the other default features have to be off)
//! ```
//!
//! `cargo run -p docs --bin faults` plants each patch in a [`Copy`](copy::Copy) of the runtime, and runs the test that is
//! named. The test has to pass without the patch, and to fail with it.
//!
//! What it does not know: why a test fails. A patch that stops the runtime from working at all would be noticed, too, but
//! would prove little. So the slips are small, and their tests are chosen by hand.

pub mod copy;
pub mod exhibits;
#[path = "../../examples/labs/src/gallery.rs"]
pub mod gallery;
#[allow(missing_docs, unreachable_pub, clippy::must_use_candidate, reason = "the face-off has the same file")]
#[path = "../../benches/src/faceoff/ablations/patch.rs"]
mod patch;

use std::collections::BTreeMap;

use crate::faults::patch::Change;
use crate::sources;

/// Texts by their paths below the workspace's root.
pub type Texts = BTreeMap<String, String>;

/// Where the patches are.
pub const FOLDER: &str = "examples/labs/faults";

/// One slip.
#[derive(Debug)]
pub struct Fault {
    /// The name of its file, without the ending: `08-wakes-twice`.
    pub name: String,
    /// What is wrong now.
    pub slip: String,
    /// The file that is changed.
    pub file: String,
    /// The sentence that is no longer true.
    pub invariant: String,
    /// The test that fails.
    pub killed_by: Test,
    /// The whole patch.
    pub text: String,
    changes: Vec<Change>,
}

/// A test, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// The program that has it.
    pub target: Target,
    /// Its name, with its modules.
    pub name: String,
}

/// A program with tests, as Cargo builds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Whether the package's default features are on. Otherwise only `diagnostics` is, by which tests observe a loop.
    pub has_features: bool,
    /// The package.
    pub package: String,
    /// `lib`, or the name of an integration test.
    pub name: String,
}

/// All faults, in the order of their numbers.
///
/// # Errors
///
/// If a patch is damaged, or its head is incomplete.
pub fn faults() -> Result<Vec<Fault>, String> {
    sources(FOLDER, &[".patch"])
        .into_iter()
        .map(|source| {
            let name = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".patch");
            Fault::parse(name, &source.text).map_err(|why| format!("{}: {why}", source.path))
        })
        .collect()
}

impl Fault {
    /// Reads a patch and its head.
    ///
    /// # Errors
    ///
    /// If the patch is damaged, or a line of its head is missing or makes no sense.
    pub fn parse(name: &str, text: &str) -> Result<Fault, String> {
        let head: BTreeMap<&str, &str> = text
            .lines()
            .map_while(|line| line.strip_prefix("# "))
            .filter_map(|line| line.split_once(": "))
            .collect();
        let said = |key: &str| head.get(key).map(|said| said.trim()).filter(|said| !said.is_empty());
        let line = |key: &str| said(key).ok_or(format!("its head has no line `# {key}: …`"));
        Ok(Fault {
            name: name.to_owned(),
            slip: line("slip")?.to_owned(),
            file: line("file")?.to_owned(),
            invariant: line("invariant")?.to_owned(),
            killed_by: Test::parse(line("killed by")?, said("features"))?,
            text: text.to_owned(),
            changes: patch::parse(text)?,
        })
    }

    /// Plants it in these texts.
    ///
    /// # Errors
    ///
    /// If the lines that it replaces are not there, or are there twice.
    pub fn plant(&self, texts: &mut Texts) -> Result<(), String> {
        patch::apply(&self.changes, texts).map_err(|why| format!("{FOLDER}/{}.patch: {why}", self.name))
    }

    /// The files that it changes.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().map(|change| change.file.as_str())
    }
}

impl Test {
    fn parse(text: &str, features: Option<&str>) -> Result<Test, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let [package, target, name] = words[..] else {
            return Err(format!("`{text}` does not name a package, a target and a test"));
        };
        let has_features = match features {
            None => true,
            Some("diagnostics") => false,
            Some(other) => return Err(format!("`# features: {other}`: only `diagnostics` is known")),
        };
        let target = Target { has_features, package: package.to_owned(), name: target.to_owned() };
        Ok(Test { target, name: name.to_owned() })
    }
}

/// The comments of a source as one text, without line breaks and without the marks that make them comments.
#[must_use]
pub fn comments(text: &str) -> String {
    let comments = text.lines().filter_map(|line| line.trim_start().strip_prefix("//"));
    let words = comments.flat_map(|line| line.trim_start_matches(['/', '!']).split_whitespace());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULT: &str = "\
# slip: two is three
# file: a.rs
# invariant: Two is two.
# killed by: roundel lib tests::two
--- a/a.rs
+++ b/a.rs
@@ -2,2 +2 @@
-two
-and two
+three
";

    #[test]
    fn a_head_says_what_the_patch_is_about() {
        let fault = Fault::parse("01-two", FAULT).unwrap();
        assert_eq!((fault.slip.as_str(), fault.invariant.as_str()), ("two is three", "Two is two."));
        assert_eq!(fault.killed_by.target.name, "lib");
        assert_eq!(fault.files().collect::<Vec<_>>(), ["a.rs"]);
        let text = "one\ntwo\nand two\n";
        let mut texts = Texts::from([("a.rs".to_owned(), text.to_owned())]);
        fault.plant(&mut texts).unwrap();
        assert_eq!(texts["a.rs"], "one\nthree\n");
        let why = fault.plant(&mut texts).unwrap_err();
        assert!(why.starts_with("examples/labs/faults/01-two.patch: the hunk at line 7 is found 0"), "{why}");
    }

    #[test]
    fn a_head_that_lacks_a_line_is_refused() {
        let refused = |from: &str, to: &str| Fault::parse("01", &FAULT.replacen(from, to, 1)).unwrap_err();
        assert_eq!(refused("# slip: two is three\n", ""), "its head has no line `# slip: …`");
        assert_eq!(refused("Two is two.", " "), "its head has no line `# invariant: …`");
        assert_eq!(refused("roundel lib ", ""), "`tests::two` does not name a package, a target and a test");
        assert_eq!(refused("---", "# features: all\n---"), "`# features: all`: only `diagnostics` is known");
        assert_eq!(refused("--- a/a.rs", ""), "it changes nothing, or has a file without a hunk");
    }

    #[test]
    fn the_comments_of_a_file_are_one_text() {
        let text = "//! One\n//! two.\nfn three() {} // not this\n    /// Four  five\n// six.\n";
        assert_eq!(comments(text), "One two. Four five six.");
    }
}
