//! A piece of a rung, as the book prints it.
//!
//! Facts. A reader has the file as it was before the piece, and looks for the place by its name. A changed line is
//! understood together with the lines around it. An item of which little is left is easier to read as a whole.
//!
//! What follows. A piece is a sentence and a block of code. The sentence is one of these:
//!
//! ```text
//! Begin the file with:
//! At the top of the file, add:
//! After `fn new` of `impl Loop`, add:
//! Before `fn new` of `impl Loop`, add:
//! Remove `fn wake_at`:                     the block has the lines that go, each with a `-`
//! Replace `fn main` by:                    the block is the whole new item
//! In `struct Loop`, change:                a `-` marks a line that goes, a `+` one that is new
//! ```
//!
//! There is a blank line between two items, which the blocks do not show at their borders.
//!
//! What it does not know: why the piece is there. The page says that.

use crate::diff::{Pair, pairs};
use crate::items::{Item, items, source, text};

/// How many lines are shown around the lines that change.
const AROUND: usize = 3;

/// What a reader does to come from one state of the file to the other.
///
/// # Errors
///
/// If nothing changes, or if the changes cannot be told in one sentence.
pub fn printed(before: &str, after: &str) -> Result<String, String> {
    let (old, new) = (items(before), items(after));
    // What both have at their beginnings and at their ends stays. What lies between is what changes.
    let is_same = |(a, b): &(&Item, &Item)| a == b;
    let start = old.iter().zip(&new).take_while(is_same).count();
    let end = old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(is_same).count();
    let (gone, come) = (&old[start..old.len() - end], &new[start..new.len() - end]);
    let around = Around { before: old[..start].last(), after: old[old.len() - end..].first() };
    if around.cut(gone) || around.cut(come) {
        return Err("a part of an `impl` block and what lies outside of it need two sentences".into());
    }
    // Each case has its own sentence.
    match (gone, come) {
        ([], []) => Err("nothing changes".into()),
        ([], come) => Ok(listing(&around.place(come), "rust,ignore", &around.text(come))),
        (gone, []) => {
            let lines: String = around.text(gone).lines().map(|line| marked('-', line)).collect();
            Ok(listing(&format!("Remove {}", around.titles(gone)), "diff", &lines))
        }
        ([gone], [come]) if is_alike(gone, come) => {
            let lines = changed(&gone.lines, &come.lines);
            Ok(listing(&format!("In {}, change", title(gone)), "diff", &lines))
        }
        (gone, come) => {
            let sentence = format!("Replace {} by", around.titles(gone));
            Ok(listing(&sentence, "rust,ignore", &around.text(come)))
        }
    }
}

fn listing(sentence: &str, language: &str, lines: &str) -> String {
    format!("{sentence}:\n\n```{language}\n{lines}```\n")
}

fn marked(mark: char, line: &str) -> String {
    format!("{mark}{line}\n")
}

/// What an item is called in a sentence.
fn title(item: &Item) -> String {
    let name = item.name();
    match item.block_name() {
        Some(block) => format!("`{name}` of `{block}`"),
        None if name == "header" || name == "attributes" => format!("the {name}"),
        None if name.starts_with("use ") => format!("the `{name}` lines"),
        None => format!("`{name}`"),
    }
}

/// The items next to a place.
struct Around<'a> {
    before: Option<&'a Item>,
    after: Option<&'a Item>,
}

impl Around<'_> {
    /// Whether an item next to the place lies in this block.
    fn have(&self, block: &Option<String>) -> bool {
        block.is_some() && [self.before, self.after].into_iter().flatten().any(|item| item.block == *block)
    }

    /// Whether these items lie in an `impl` block that has other items, too.
    fn are_inside(&self, items: &[Item]) -> bool {
        items.iter().all(|item| item.block == items[0].block && self.have(&item.block))
    }

    /// Whether some of these items lie in such a block, and others do not.
    fn cut(&self, items: &[Item]) -> bool {
        !self.are_inside(items) && items.iter().any(|item| self.have(&item.block))
    }

    /// The lines of these items. A block that is there already is not opened again.
    fn text(&self, these: &[Item]) -> String {
        match self.are_inside(these) {
            true => these.iter().map(text).collect::<Vec<_>>().join("\n"),
            false => source(these),
        }
    }

    /// Where these items are added.
    fn place(&self, come: &[Item]) -> String {
        let is_inside = self.are_inside(come);
        match (self.before, self.after) {
            (None, None) => "Begin the file with".into(),
            (None, Some(_)) => "At the top of the file, add".into(),
            (Some(before), Some(after)) if is_inside && before.block != come[0].block => {
                format!("Before {}, add", title(after))
            }
            (Some(before), _) if is_inside => format!("After {}, add", title(before)),
            (Some(before), _) => {
                let block = before.block_name().map(|name| format!("`{name}`"));
                format!("After {}, add", block.unwrap_or_else(|| title(before)))
            }
        }
    }

    /// What these items are called. Of a block that goes as a whole only the name is told.
    fn titles(&self, gone: &[Item]) -> String {
        let is_inside = self.are_inside(gone);
        let names = gone.iter().map(|item| match item.block_name() {
            Some(block) if !is_inside => format!("`{block}`"),
            _ => title(item),
        });
        let mut names: Vec<String> = names.collect();
        names.dedup();
        let last = names.pop().unwrap_or_default();
        if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) }
    }
}

/// Whether so much of an item is left that the changed lines are easier to follow than the whole.
fn is_alike(old: &Item, new: &Item) -> bool {
    let kept = pairs(&old.lines, &new.lines).into_iter().filter(|pair| matches!(pair, Pair::Both(..)));
    let is_same_kind = old.name() == new.name() && !["header", "fn main"].contains(&&*new.name());
    is_same_kind && kept.count() * 2 >= old.lines.len().max(new.lines.len())
}

/// The lines from the first change to the last, and some lines around.
fn changed(old: &[String], new: &[String]) -> String {
    let pairs = pairs(old, new);
    let is_change = |pair: &Pair| !matches!(pair, Pair::Both(..));
    let first = pairs.iter().position(is_change).unwrap_or_default();
    let last = pairs.iter().rposition(is_change).unwrap_or_default();
    let shown = &pairs[first.saturating_sub(AROUND)..pairs.len().min(last + AROUND + 1)];
    let line = |pair: &Pair| match *pair {
        Pair::Both(i, _) => marked(' ', &old[i]),
        Pair::Old(i) => marked('-', &old[i]),
        Pair::New(j) => marked('+', &new[j]),
    };
    shown.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::printed;

    const BEFORE: &str =
        "//! A.\n\nstruct B {\n    c: u8,\n    d: u8,\n}\n\nimpl B {\n    fn e() {}\n\n    fn f() {}\n}\n";

    fn after(old: &str, new: &str) -> String {
        printed(BEFORE, &BEFORE.replace(old, new)).expect("a sentence")
    }

    #[test]
    fn what_is_added_goes_after_something() {
        let first = printed("", "fn a() {}\n").expect("a sentence");
        assert_eq!(first, "Begin the file with:\n\n```rust,ignore\nfn a() {}\n```\n");
        let inside = after("\n    fn f", "\n    fn g() {}\n\n    fn f");
        assert_eq!(inside, "After `fn e` of `impl B`, add:\n\n```rust,ignore\n    fn g() {}\n```\n");
        assert!(
            after("    fn e", "    fn g() {}\n\n    fn e").starts_with("Before `fn e` of `impl B`, add:")
        );
        let end = printed(BEFORE, &format!("{BEFORE}\nfn g() {{}}\n")).expect("a sentence");
        assert_eq!(end, "After `impl B`, add:\n\n```rust,ignore\nfn g() {}\n```\n");
    }

    #[test]
    fn lines_that_go_are_marked() {
        let changed = after("    d: u8,\n", "    d: u16,\n");
        let lines = " struct B {\n     c: u8,\n-    d: u8,\n+    d: u16,\n }\n";
        assert_eq!(changed, format!("In `struct B`, change:\n\n```diff\n{lines}```\n"));
        let removed = after("    fn e() {}\n\n", "");
        assert_eq!(removed, "Remove `fn e` of `impl B`:\n\n```diff\n-    fn e() {}\n```\n");
        let block = after("\nimpl B {\n    fn e() {}\n\n    fn f() {}\n}\n", "");
        assert!(block.starts_with("Remove `impl B`:\n\n```diff\n-impl B {\n-    fn e() {}\n-\n"), "{block}");
    }

    #[test]
    fn what_is_no_longer_alike_is_replaced() {
        assert_eq!(after("A.", "Z."), "Replace the header by:\n\n```rust,ignore\n//! Z.\n```\n");
        assert!(
            after("struct B {\n    c: u8,\n    d: u8,\n}", "type B = u8;")
                .starts_with("Replace `struct B` by:")
        );
        assert!(printed(BEFORE, BEFORE).is_err());
        let torn = BEFORE.replace("    fn f() {}\n}\n", "}\n\ntype G = u8;\n");
        assert!(printed(BEFORE, &torn).is_err());
    }
}
