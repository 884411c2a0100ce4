//! Patches as `git diff` writes them, applied to texts in memory.
//!
//! Facts. Git need not be installed where the face-off runs, and a source package has no repository. The line numbers
//! of a patch are wrong after the next change above it; the lines themselves are not.
//!
//! What follows. A hunk is found by its lines: those that it keeps and those that it removes. Its line numbers are not
//! used. Text before the first file is a remark, as it is for git.
//!
//! Contract. The lines of a hunk are in their file exactly once, or the patch does not apply. `git apply` accepts every
//! patch that is accepted here.

use std::collections::BTreeMap;

/// The sources by their paths below the root of the workspace.
pub type Texts = BTreeMap<String, String>;

/// The changes that a patch makes to one file.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    pub file: String,
    is_new: bool,
    hunks: Vec<Hunk>,
}

/// Some lines that are replaced by others.
#[derive(Debug, PartialEq, Eq)]
struct Hunk {
    /// The line of the patch at which it starts.
    line: usize,
    before: String,
    after: String,
}

/// The lines of a patch that have not been read yet, with their numbers.
type Lines<'a> = std::iter::Peekable<std::iter::Zip<std::ops::RangeFrom<usize>, std::str::Lines<'a>>>;

/// Reads a patch.
///
/// # Errors
///
/// If this is not a patch, or if it has been damaged: which line is wrong.
pub fn parse(patch: &str) -> Result<Vec<Change>, String> {
    let mut lines: Lines<'_> = (1..).zip(patch.lines()).peekable();
    let mut changes = Vec::new();
    while let Some((number, line)) = lines.next() {
        let Some(old) = line.strip_prefix("--- ") else { continue };
        let new = lines.next().and_then(|(_, line)| line.strip_prefix("+++ b/"));
        let file = new.ok_or(format!("line {number}: `--- ` has no `+++ b/FILE` after it"))?.to_owned();
        let hunks = hunks(&mut lines)?;
        changes.push(Change { file, is_new: old == "/dev/null", hunks });
    }
    if changes.iter().any(|change| change.hunks.is_empty()) || changes.is_empty() {
        return Err("it changes nothing, or has a file without a hunk".into());
    }
    Ok(changes)
}

fn hunks(lines: &mut Lines<'_>) -> Result<Vec<Hunk>, String> {
    let mut hunks = Vec::new();
    while let Some((line, head)) = lines.next_if(|(_, line)| line.starts_with("@@ ")) {
        let (old, new) = counts(head).ok_or(format!("line {line}: no `@@ -1,2 +1,2 @@`"))?;
        hunks.push(hunk(line, (old, new), lines)?);
    }
    Ok(hunks)
}

/// How many lines there are before and after: 3 and 4 in `@@ -10,3 +10,4 @@`.
fn counts(head: &str) -> Option<(usize, usize)> {
    let mut ranges = head.split(' ').skip(1);
    let mut count = |sign: char| {
        let range = ranges.next()?.strip_prefix(sign)?;
        range.split_once(',').map_or("1", |(_, count)| count).parse().ok()
    };
    Some((count('-')?, count('+')?))
}

fn hunk(line: usize, (mut old, mut new): (usize, usize), lines: &mut Lines<'_>) -> Result<Hunk, String> {
    let mut hunk = Hunk { line, before: String::new(), after: String::new() };
    while old + new > 0 {
        let (number, text) = lines.next().ok_or(format!("line {line}: the hunk has no end"))?;
        let (sign, text) = text.split_at_checked(1).unwrap_or((" ", ""));
        let (is_old, is_new) = (matches!(sign, " " | "-"), matches!(sign, " " | "+"));
        if !is_old && !is_new || is_old && old == 0 || is_new && new == 0 {
            return Err(format!("line {number}: the hunk has other lines than line {line} says"));
        }
        if is_old {
            (old, hunk.before) = (old - 1, hunk.before + text + "\n");
        }
        if is_new {
            (new, hunk.after) = (new - 1, hunk.after + text + "\n");
        }
    }
    Ok(hunk)
}

/// Applies all changes of a patch.
///
/// # Errors
///
/// If a change does not fit.
pub fn apply(changes: &[Change], texts: &mut Texts) -> Result<(), String> {
    for change in changes {
        let text = match (texts.get(&change.file), change.is_new) {
            (Some(text), false) => text.as_str(),
            (None, true) => "",
            (None, false) => return Err(format!("there is no {}", change.file)),
            (Some(_), true) => return Err(format!("{} is there already", change.file)),
        };
        let changed = change.hunks.iter().try_fold(text.to_owned(), |text, hunk| hunk.apply(&text));
        let changed = changed.map_err(|why| format!("{why} in {}", change.file))?;
        texts.insert(change.file.clone(), changed);
    }
    Ok(())
}

impl Hunk {
    fn apply(&self, text: &str) -> Result<String, String> {
        // The line breaks before and after hold a match to whole lines.
        let (before, after) = (format!("\n{}", self.before), format!("\n{}", self.after));
        let text = format!("\n{text}");
        match text.matches(&before).count() {
            1 => Ok(text.replacen(&before, &after, 1)[1..].to_owned()),
            found => Err(format!("the hunk at line {} is found {found} times instead of once", self.line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "\
Why this is done.
--- a/a.rs
+++ b/a.rs
@@ -1,3 +1,2 @@ struct A
 one
-two
-three
+2 and 3
@@ -9 +8,2 @@
-nine
+nine
+
--- /dev/null
+++ b/new.rs
@@ -0,0 +1 @@
+new
";

    fn patched(patch: &str, texts: &[(&str, &str)]) -> Result<Texts, String> {
        let mut texts = texts.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        apply(&parse(patch)?, &mut texts).map(|()| texts)
    }

    #[test]
    fn a_patch_is_found_by_its_lines_and_not_by_their_numbers() {
        let texts = patched(PATCH, &[("a.rs", "zero\none\ntwo\nthree\nnine\n"), ("b.rs", "")]).unwrap();
        assert_eq!(texts["a.rs"], "zero\none\n2 and 3\nnine\n\n");
        assert_eq!((texts["b.rs"].as_str(), texts["new.rs"].as_str()), ("", "new\n"));
    }

    #[test]
    fn lines_that_are_missing_or_there_twice_are_an_error_that_says_where() {
        let once = "one\ntwo\nthree\nnine\n";
        for (text, times) in [("one\ntwo\nnine\n", 0), (&*once.repeat(2), 2), ("none\ntwo\nthree\nnine\n", 0)]
        {
            let why = patched(PATCH, &[("a.rs", text)]).unwrap_err();
            assert_eq!(why, format!("the hunk at line 4 is found {times} times instead of once in a.rs"));
        }
        assert_eq!(patched(PATCH, &[]).unwrap_err(), "there is no a.rs");
        let there = patched(PATCH, &[("a.rs", once), ("new.rs", "")]);
        assert_eq!(there.unwrap_err(), "new.rs is there already");
    }

    #[test]
    fn a_patch_that_was_damaged_is_an_error_that_says_where() {
        let damaged = |from: &str, to: &str| parse(&PATCH.replacen(from, to, 1)).unwrap_err();
        assert_eq!(damaged("+++ b/a.rs\n", ""), "line 2: `--- ` has no `+++ b/FILE` after it");
        assert_eq!(damaged("-1,3 +1,2", "1"), "line 4: no `@@ -1,2 +1,2 @@`");
        assert_eq!(damaged("-two\n", ""), "line 8: the hunk has other lines than line 4 says");
        assert_eq!(damaged("-two\n", "two\n"), "line 6: the hunk has other lines than line 4 says");
        assert_eq!(damaged("+new\n", ""), "line 15: the hunk has no end");
        assert_eq!(parse("").unwrap_err(), "it changes nothing, or has a file without a hunk");
    }
}
