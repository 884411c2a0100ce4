//! The links of the book, where they lead from its pages in a browser.
//!
//! Facts. In the Markdown, links are paths from the file that has them, so a code host follows them. mdBook makes pages
//! of the chapters and ships the pictures, and nothing else. A link to a source would lead nowhere from such a page.
//! A picture in a file does not know which theme the reader has chosen for the page.
//!
//! What follows. [`rendered`] leaves links between chapters and to pictures as they are. The table of contents is a part
//! of every page, so a link to `SUMMARY.md` becomes one to the first page. Every other link leads to the file on the
//! code host: `{repository}/blob/main/` and the path below the root. The address is that of `repository` in the
//! workspace's `Cargo.toml`. Until there is one, [`NOWHERE`] stands for it. [`with_figures`] puts the drawn figures into
//! the page.
//!
//! What it does not know: whether a link's target exists. The tests look.

use std::fs;

use crate::root;

/// Stands for the repository's address while `Cargo.toml` has none. Names that end in `.invalid` lead nowhere.
pub const NOWHERE: &str = "https://code-host.invalid/roundel";

/// The page that a reader sees first.
const START: &str = "preface.md";

/// The address of the repository.
#[must_use]
pub fn repository() -> String {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap_or_default();
    let named = manifest.lines().find_map(|line| line.strip_prefix("repository = \"")?.strip_suffix('"'));
    named.unwrap_or(NOWHERE).trim_end_matches('/').to_owned()
}

/// The text of a chapter with links that work on its page. The chapter's path is below `docs/`.
#[must_use]
pub fn rendered(chapter: &str, text: &str, repository: &str) -> String {
    with_targets(text, |target| elsewhere(chapter, target, repository))
}

/// The text of a chapter with the figures in it, in place of the lines that show only a figure. As a part of the page, a
/// figure takes the colours of the theme that the reader has chosen.
#[must_use]
pub fn with_figures(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| {
        let name = line.trim_end().strip_suffix(".svg)").and_then(|line| line.rsplit_once("pictures/"));
        let name = name.filter(|(before, _)| before.starts_with("![")).map(|(_, name)| name);
        let file = name.map(|name| root().join(format!("docs/pictures/{name}.svg")));
        file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_else(|| line.to_owned())
    });
    lines.collect()
}

/// What a link becomes, if it does not stay as it is.
fn elsewhere(chapter: &str, target: &str, repository: &str) -> Option<String> {
    let (path, anchor) = target.find('#').map_or((target, ""), |at| target.split_at(at));
    if path.is_empty() || path.contains("://") {
        return None;
    }
    let folder = chapter.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("/{folder}"));
    let below_root = plain(&format!("docs{folder}/{path}"));
    // A line has a name on the code host only, also if the file is a page of the book.
    let is_line = anchor.strip_prefix("#L").is_some_and(|line| line.parse::<usize>().is_ok());
    match below_root.strip_prefix("docs/").filter(|_| !is_line) {
        Some("SUMMARY.md") => Some(format!("{}{START}", "../".repeat(chapter.matches('/').count()))),
        Some(inside) if inside.ends_with(".md") || inside.starts_with("pictures/") => None,
        _ => Some(format!("{repository}/blob/main/{below_root}{anchor}")),
    }
}

/// `a/c` for `a/b/../c`.
#[must_use]
pub fn plain(path: &str) -> String {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    let plain = parts.fold(Vec::new(), |mut plain, part| {
        match part {
            ".." => drop(plain.pop()),
            part => plain.push(part),
        }
        plain
    });
    plain.join("/")
}

/// A text in which each target of a link is what `new` makes of it. Code stays as it is.
fn with_targets(text: &str, new: impl Fn(&str) -> Option<String>) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_fenced = false;
    while !rest.is_empty() {
        let at_line_start = made.is_empty() || made.ends_with('\n');
        is_fenced ^= at_line_start && rest.trim_start_matches([' ', '>']).starts_with("```");
        let line = rest.split_inclusive('\n').next().unwrap_or_default();
        let length = if is_fenced || at_line_start && rest.trim_start().starts_with("```") {
            line.len()
        } else {
            plain_length(rest)
        };
        made.push_str(&rest[..length]);
        rest = &rest[length..];
        // What was copied may end where a target begins.
        if !is_fenced && made.ends_with("](") {
            let target = rest.split([')', ' ', '\n']).next().unwrap_or_default();
            made.push_str(&new(target).unwrap_or_else(|| target.to_owned()));
            rest = &rest[target.len()..];
        }
    }
    made
}

/// How much can be copied at once: a piece of code, or up to the next one, the next target or the end of the line.
fn plain_length(rest: &str) -> usize {
    let ticks = rest.len() - rest.trim_start_matches('`').len();
    if ticks > 0 {
        let paragraph = rest.find("\n\n").unwrap_or(rest.len());
        let end = rest[ticks..paragraph].find(&rest[..ticks]);
        return end.map_or(ticks, |end| ticks + end + ticks);
    }
    let ends = [rest.find('`'), rest.find("](").map(|at| at + 2), rest.find('\n').map(|at| at + 1)];
    ends.into_iter().flatten().min().unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::rendered;

    const HOST: &str = "https://host";

    fn in_chapter(text: &str) -> String {
        rendered("chapters/01-a.md", text, HOST)
    }

    #[test]
    fn links_within_the_book_stay() {
        for text in
            ["[a](02-b.md#c)", "[a](../design.md)", "![a](../pictures/a.svg)", "[a](#b)", "[a](https://b)"]
        {
            assert_eq!(in_chapter(text), text);
        }
    }

    #[test]
    fn links_to_files_lead_to_the_code_host() {
        let cited = "[`a/b.rs`](../../a/b.rs#L2), lines 2–3, [c](../src/c.rs)";
        let expected = "[`a/b.rs`](https://host/blob/main/a/b.rs#L2), lines 2–3, [c](https://host/blob/main/docs/src/c.rs)";
        assert_eq!(in_chapter(cited), expected);
        assert_eq!(rendered("a.md", "[r](../README.md)", HOST), "[r](https://host/blob/main/README.md)");
        assert_eq!(in_chapter("[d](../design.md#L3)"), "[d](https://host/blob/main/docs/design.md#L3)");
    }

    #[test]
    fn the_contents_are_a_part_of_every_page() {
        assert_eq!(in_chapter("[Contents](../SUMMARY.md)"), "[Contents](../preface.md)");
    }

    #[test]
    fn code_stays_as_it_is() {
        let code = "`[a](../../b)` and `` `[a](../../b) ``\n\n```text\n[a](../../b)\n```\n> ```\n> [a](../../b)\n> ```\n";
        assert_eq!(in_chapter(code), code);
        let after = in_chapter("```text\na\n```\n[a](../../b)");
        assert_eq!(after, "```text\na\n```\n[a](https://host/blob/main/b)");
    }
}
