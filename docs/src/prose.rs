//! Finds sentences that a native reader of English would read twice, as far as plain string code can find them.
//!
//! Facts. Most of the bad sentences in a translated text follow a few patterns. A task, a future or a program is no
//! "he". A statement that begins with "Who" looks like a question. ", for" in the sense of "because" looks like a
//! purpose. "Behind" is a place, not a time.
//!
//! What follows. A text is cut into paragraphs, because a pattern may be split between two lines. In Markdown these are
//! its paragraphs, list items and table rows. In Rust they are comments. Code between backticks, fenced blocks and
//! generated tables are left out. [`slips`] then returns each pattern that a paragraph has.
//!
//! What it does not know: whether a text without slips is good. Read it aloud.

/// A place where a text has one of the patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slip {
    /// The line on which the paragraph begins, from one.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub why: &'static str,
    /// The words around it.
    pub words: String,
}

/// The words that may only mean people.
const PERSONS: &[&str] = &["he", "him", "his", "himself", "somebody", "nobody", "whoever"];
/// After ", for ": then it means "because", in nearly every case.
const REASONS: &[&str] = &[
    "it", "he", "they", "we", "nobody", "somebody", "the", "there", "that", "this", "what", "all", "each",
    "none", "no", "who", "of",
];
/// After "behind": then it means "after".
const LATER: &[&str] = &["the await", "that", "it,", "them", "all", "those", "one"];

/// All slips of a Markdown file or of the comments of a Rust file; the path says which it is.
#[must_use]
pub fn slips(path: &str, text: &str) -> Vec<Slip> {
    let paragraphs = if path.ends_with(".md") { markdown(text) } else { comments(text) };
    let found = paragraphs.iter().flat_map(|(line, text)| {
        let found = [statements_with_who(text), persons(text), reasons(text), times(text)];
        found.into_iter().flatten().map(|(why, at)| Slip { line: *line, why, words: around(text, at) })
    });
    found.collect()
}

/// A paragraph: the number of its first line, and its text on one line.
type Paragraph = (usize, String);

/// Puts lines together. A line that is `None`, or that begins a list item, a heading or a table row, ends a paragraph.
fn paragraphs<'a>(lines: impl Iterator<Item = (usize, Option<&'a str>)>) -> Vec<Paragraph> {
    let mut found: Vec<Paragraph> = Vec::new();
    let (mut is_open, mut is_code, mut is_generated) = (false, false, false);
    for (number, line) in lines {
        let line = line.unwrap_or_default().trim();
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        is_generated = line.starts_with("<!-- faceoff: ") || is_generated && line != "<!-- end -->";
        if line.is_empty() || is_fence || is_code || is_generated || line.starts_with("<!--") {
            is_open = false;
            continue;
        }
        let begins = ["- ", "#", "|", "> "].iter().any(|mark| line.starts_with(mark));
        match found.last_mut() {
            Some((_, text)) if is_open && !begins => *text = format!("{text} {line}"),
            _ => found.push((number, line.to_owned())),
        }
        // The next line does not belong to a row or a heading.
        is_open = !line.starts_with(['#', '|']);
    }
    found.into_iter().map(|(number, text)| (number, without_code(&text))).collect()
}

fn markdown(text: &str) -> Vec<Paragraph> {
    paragraphs(text.lines().enumerate().map(|(index, line)| (index + 1, Some(line))))
}

fn comments(text: &str) -> Vec<Paragraph> {
    paragraphs(text.lines().enumerate().map(|(index, line)| (index + 1, comment(line))))
}

/// What a line says after `//`. The slashes in a string begin no comment.
fn comment(line: &str) -> Option<&str> {
    let whole = line.trim_start().strip_prefix("//");
    let (before, after) = line.split_once(" // ").unwrap_or((line, ""));
    let trailing = (!after.is_empty() && before.matches('"').count() % 2 == 0).then_some(after);
    whole.map(|text| text.trim_start_matches(['/', '!'])).or(trailing)
}

/// A text with an `x` in place of each piece of code.
fn without_code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 0 { part } else { "x" }).collect()
}

type Found = Vec<(&'static str, usize)>;

/// The sentences that begin with "Who" and end without a question mark.
fn statements_with_who(text: &str) -> Found {
    let is_statement = |(at, word): &(usize, &str)| {
        let before = text[..*at].trim_end_matches([' ', '(', '*', '"', '-', '#', '>']);
        let begins = before.is_empty() || before.ends_with(['.', ':', ';', '!', '?', '|', '…']);
        let rest = text[*at..].strip_prefix(*word).unwrap_or_default();
        let end = rest.find(['.', ':', ';', '!', '?', '|']).and_then(|end| rest[end..].chars().next());
        begins && rest.starts_with(' ') && end != Some('?')
    };
    let starts = ["Who", "Whom", "Whoever"].into_iter().flat_map(|word| text.match_indices(word));
    let why = "a statement begins with \"Who\": name the thing (a task that …, if you …)";
    starts.filter(is_statement).map(|(at, _)| (why, at)).collect()
}

/// Words for people. Tasks, futures, wakers and programs are things.
fn persons(text: &str) -> Found {
    let why = "a word for a person: name the thing, and write \"it\"";
    PERSONS.iter().flat_map(|person| places(text, person)).map(|at| (why, at)).collect()
}

/// ", for" where it means "because".
fn reasons(text: &str) -> Found {
    let why = "\", for\" as a reason: write \"because\", or a new sentence";
    let means = |at: &usize| REASONS.iter().any(|word| begins_with(&text[at + ", for ".len()..], word));
    text.match_indices(", for ").map(|(at, _)| at).filter(means).map(|at| (why, at)).collect()
}

/// "behind" where it means "after".
fn times(text: &str) -> Found {
    let why = "\"behind\" as a time or an order: write \"after\"";
    let means = |at: &usize| {
        let rest = text[at + "behind".len()..].trim_start();
        LATER.iter().any(|words| begins_with(rest, words))
    };
    places(text, "behind").into_iter().filter(means).map(|at| (why, at)).collect()
}

/// Where a word stands by itself, in small or with a capital.
fn places(text: &str, word: &str) -> Vec<usize> {
    let lower = text.to_ascii_lowercase();
    let alone = |at: &usize| !lower[..*at].ends_with(is_of_a_word) && begins_with(&lower[*at..], word);
    lower.match_indices(word).map(|(at, _)| at).filter(alone).collect()
}

/// Whether a text begins with this word, and not only with its letters.
fn begins_with(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.starts_with(is_of_a_word))
}

fn is_of_a_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// A few words from this place on.
fn around(text: &str, at: usize) -> String {
    text[at..].chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::slips;

    /// How many slips a paragraph of Markdown has.
    fn count(text: &str) -> usize {
        slips("a.md", text).len()
    }

    #[test]
    fn a_bad_sentence_is_found() {
        for bad in [
            "Who gives way goes to the end.",
            "It is full. Who sends now has to wait.",
            "- Whom it wakes, it forgets.",
            "| a | Who is first has it |",
            "The task is woken by somebody else.",
            "Nobody has asked\nfor it.",
            "He waits, for the queue is full.",
            "It has to search, for\nthe descriptor is closed.",
            "A task that stands behind\nthem runs later.",
        ] {
            assert!(count(bad) > 0, "{bad}");
        }
    }

    #[test]
    fn a_good_sentence_is_left_alone() {
        for good in [
            "Who wakes the task? The kernel does.",
            "A task that yields goes to the end.",
            "The waker of `nobody` is a no-op, and `he` is a name.",
            "The, or this: there is no hero in it.",
            "It asks for the time, for example.",
            "The server behind the proxy answers.",
            "```text\nWho waits is woken. nobody\n```",
            "<!-- who: nobody -->",
            "<!-- faceoff: table a -->\n| nobody |\n<!-- end -->",
        ] {
            assert_eq!(count(good), 0, "{good}: {:?}", slips("a.md", good));
        }
    }

    #[test]
    fn of_a_source_only_the_comments_are_read() {
        let source = "//! Who waits, waits.\n\nfn nobody() {} // somebody\nlet he = \"a // nobody\";\n/// ```\n/// his();\n/// ```\n// It is\n// his.\n";
        let lines: Vec<usize> = slips("a.rs", source).iter().map(|slip| slip.line).collect();
        assert_eq!(lines, [1, 3, 8]);
    }

    #[test]
    fn a_slip_says_where_it_is() {
        let found = slips("a.md", "# Title\n\nIt is here.\nIt waits for somebody.\n");
        assert_eq!((found[0].line, found[0].words.as_str()), (3, "somebody."));
    }
}
