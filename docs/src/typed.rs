//! What a reader's file is after a printed piece was typed.
//!
//! Facts. A reader has the file and the page, and nothing else. If a sentence is wrong, or a line of a block, the reader
//! has another file.
//!
//! What follows. [`typed`] does what the sentence says (see [`printed`](crate::printed)), in the file as it is. It finds a
//! place as a reader does: by a line that declares the name, and the blank lines around it. It refuses what cannot be
//! found.
//!
//! What it does not know: how a piece was made.

use std::ops::Range;

/// The file after this piece.
///
/// # Errors
///
/// If there is no such place, or other lines than those that the piece shows: what was looked for.
pub fn typed(file: &str, piece: &str) -> Result<String, String> {
    let (sentence, block) = parts(piece).ok_or(format!("not a sentence and a block:\n{piece}"))?;
    let mut lines: Vec<&str> = file.lines().collect();
    let (verb, rest) = sentence.split_once(' ').unwrap_or((sentence, ""));
    let title = |end: &str| rest.strip_suffix(end).ok_or(format!("cannot read `{sentence}`"));
    // The first word says what to do, and the rest says where.
    match verb {
        "Begin" if file.is_empty() => lines = block,
        "At" => insert(&mut lines, 0, &block, false),
        "After" => {
            let end = place(&lines, title(", add:")?)?.end;
            insert(&mut lines, end, &block, true);
        }
        "Before" => {
            let start = place(&lines, title(", add:")?)?.start;
            insert(&mut lines, start, &block, false);
        }
        "Remove" => {
            let gone = places(&lines, title(":")?)?;
            remove(&mut lines, gone, &block)?;
        }
        "Replace" => {
            let gone = places(&lines, title(" by:")?)?;
            lines.splice(gone, block);
        }
        "In" => {
            let place = place(&lines, title(", change:")?)?;
            change(&mut lines, place, &block)?;
        }
        _ => return Err(format!("cannot follow `{sentence}`")),
    }
    Ok(lines.into_iter().map(|line| format!("{line}\n")).collect())
}

/// The sentence, and the lines of the block.
fn parts(piece: &str) -> Option<(&str, Vec<&str>)> {
    let (sentence, block) = piece.split_once("\n\n```")?;
    let (_, code) = block.split_once('\n')?;
    Some((sentence.trim(), code.strip_suffix("```\n")?.lines().collect()))
}

/// Puts lines at this place, with a blank line before or after them.
fn insert<'a>(lines: &mut Vec<&'a str>, at: usize, block: &[&'a str], is_after: bool) {
    let blank = &[""][..];
    let with_blank = if is_after { [blank, block] } else { [block, blank] };
    lines.splice(at..at, with_blank.concat());
}

/// Takes lines out, and one of the two blank lines around them.
fn remove(lines: &mut Vec<&str>, place: Range<usize>, block: &[&str]) -> Result<(), String> {
    let old: Vec<&str> = block.iter().map(|line| line.strip_prefix('-').unwrap_or(line)).collect();
    if lines[place.clone()] != old {
        return Err(format!("the lines that go are others:\n{}", lines[place].join("\n")));
    }
    let has_blank = place.start > 0 && lines[place.start - 1].is_empty();
    lines.drain(place.start - usize::from(has_blank)..place.end + usize::from(!has_blank));
    Ok(())
}

/// Replaces the only lines of the place that are those of the block without the new ones.
fn change<'a>(lines: &mut Vec<&'a str>, place: Range<usize>, block: &[&'a str]) -> Result<(), String> {
    let of = |mark: char| block.iter().filter(move |line| !line.starts_with(mark));
    let old: Vec<&str> = of('+').map(|line| line.get(1..).unwrap_or_default()).collect();
    let new = of('-').map(|line| line.get(1..).unwrap_or_default());
    let found: Vec<usize> = place.clone().filter(|at| lines[*at..place.end].starts_with(&old)).collect();
    let [at] = found[..] else { return Err(format!("{} places have:\n{}", found.len(), old.join("\n"))) };
    lines.splice(at..at + old.len(), new);
    Ok(())
}

/// From the first of several places that lie after one another to the last.
fn places(lines: &[&str], titles: &str) -> Result<Range<usize>, String> {
    let mut all = titles.split(" and ").flat_map(|titles| titles.split(", "));
    let first = place(lines, all.next().unwrap_or_default())?;
    let last = all.last().map_or(Ok(first.clone()), |title| place(lines, title))?;
    Ok(first.start..last.end)
}

/// The lines of what has this title, such as `` `fn new` of `impl Loop` ``, with its comments.
fn place(lines: &[&str], title: &str) -> Result<Range<usize>, String> {
    let all = 0..lines.len();
    let begins =
        |text: &'static str| (all.clone(), Box::new(move |line: &str| line.starts_with(text)) as Test<'_>);
    let names: Vec<&str> = title.split('`').skip(1).step_by(2).collect();
    let (within, is_it) = match (title, &names[..]) {
        ("the header", _) => begins("//!"),
        ("the attributes", _) => begins("#!["),
        (_, [name]) if name.starts_with("impl") => return block(lines, name),
        (_, [name]) => (all, declares(name, false)),
        (_, [name, impls]) => (block(lines, impls)?, declares(name, true)),
        _ => return Err(format!("cannot read `{title}`")),
    };
    let found: Vec<usize> = within.clone().filter(|at| is_it(lines[*at])).collect();
    let first = *found.first().ok_or(format!("there is no {title}"))?;
    // An item ends before a blank line, or before the brace that ends the block.
    let is_border = |at: &usize| lines[*at].is_empty() || names.len() == 2 && !lines[*at].starts_with("    ");
    let start = (within.start..first).rev().find(is_border).map_or(within.start, |at| at + 1);
    let end = (first..within.end).find(is_border).unwrap_or(within.end);
    Ok(start..end)
}

type Test<'a> = Box<dyn Fn(&str) -> bool + 'a>;

/// Whether a line declares this name, at the margin or inside a block.
fn declares(name: &str, is_inside: bool) -> Test<'_> {
    Box::new(move |line| {
        let mut rest = line.trim_start();
        let is_there = (rest.len() < line.len()) == is_inside;
        for prefix in ["pub(crate) ", "thread_local!(", "async "] {
            rest = rest.strip_prefix(prefix).unwrap_or(rest);
        }
        let after = rest.strip_prefix(name);
        is_there && after.is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// The lines of an `impl` block, with its comments and its last brace.
fn block(lines: &[&str], name: &str) -> Result<Range<usize>, String> {
    let opens = format!("{name} {{");
    let first = lines.iter().position(|line| *line == opens).ok_or(format!("there is no `{name}`"))?;
    let start = (0..first).rev().find(|at| lines[*at].is_empty()).map_or(0, |at| at + 1);
    let length = lines[first..].iter().position(|line| *line == "}").ok_or(format!("`{name}` has no end"))?;
    Ok(start..first + length + 1)
}

#[cfg(test)]
mod tests {
    use super::typed;

    const FILE: &str = "//! A.\n\n/// B.\nstruct B {\n    c: u8,\n}\n\nimpl B {\n    /// E.\n    fn e() {}\n\n    fn f() {}\n}\n";

    /// The file after a sentence and a block.
    fn after(sentence: &str, block: &str) -> Result<String, String> {
        typed(FILE, &format!("{sentence}\n\n```rust\n{block}```\n"))
    }

    #[test]
    fn a_place_is_found_by_its_name() {
        let file = |old: &str, new: &str| Ok(FILE.replacen(old, new, 1));
        assert_eq!(after("After `struct B`, add:", "type C;\n"), file("}\n", "}\n\ntype C;\n"));
        let inside = file("    /// E.", "    fn g() {}\n\n    /// E.");
        assert_eq!(after("Before `fn e` of `impl B`, add:", "    fn g() {}\n"), inside);
        assert_eq!(after("After `impl B`, add:", "fn g() {}\n"), Ok(format!("{FILE}\nfn g() {{}}\n")));
        assert_eq!(after("Replace the header by:", "//! Z.\n//! Z.\n"), file("//! A.", "//! Z.\n//! Z."));
        let two = "Replace `struct B` and `impl B` by:";
        assert_eq!(after(two, "fn z() {}\n"), Ok("//! A.\n\nfn z() {}\n".into()));
        assert_eq!(typed("", "Begin the file with:\n\n```rust\na\n```\n"), Ok("a\n".into()));
    }

    #[test]
    fn lines_that_go_are_looked_at() {
        let removed = after("Remove `fn f` of `impl B`:", "-    fn f() {}\n");
        assert_eq!(removed, Ok(FILE.replace("\n    fn f() {}\n", "")));
        assert!(after("Remove `fn f` of `impl B`:", "-    fn x() {}\n").is_err());
        let changed = after("In `struct B`, change:", " struct B {\n-    c: u8,\n+    d: u8,\n");
        assert_eq!(changed, Ok(FILE.replace("c: u8", "d: u8")));
        assert!(after("In `struct B`, change:", "-    x: u8,\n+    d: u8,\n").is_err());
    }

    #[test]
    fn what_cannot_be_followed_is_an_error() {
        for sentence in
            ["After `fn x`, add:", "After `fn e`, add:", "After `fn e` of `impl X`, add:", "Do it:"]
        {
            assert!(after(sentence, "a\n").is_err(), "{sentence}");
        }
        assert!(typed(FILE, "Remove it.").is_err());
    }
}
