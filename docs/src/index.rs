//! The index of the book: for each word of the glossary the chapters that explain and use it, and all headings.
//!
//! Facts. A reader who looks for a word wants the place that explains it, and not all places that have it. A chapter
//! emphasises a word where it explains it, or names it in a heading.
//!
//! What follows. [`index`] is the whole page. A word is explained in the first chapter with a heading that has the word,
//! or else in the first chapter that emphasises it. It is used in the chapters that have it often. The last two chapters,
//! a phrasebook and a list of claims, repeat what others explain. A word that no chapter explains is left to the
//! glossary.
//!
//! What it does not know: whether an explanation is good.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::book::{Chapter, chapters};

/// A chapter that has a word less often is not worth a visit.
const OFTEN: usize = 5;
/// Of the chapters that use a word, this number are named: those that use it most.
const MOST: usize = 5;
/// The chapters from here on only repeat.
const REPEATING: usize = 18;
/// Headings that say nothing about their subject.
const COMMON: &[&str] = &["What others do", "Exercises", "In roundel", "Two wrong versions"];
/// So begin headings that pose a riddle or tell a mistake. A reader would not look for them.
const RIDDLES: &[&str] = &["A wrong", "Another wrong", "The idea", "How do we know", "What is still"];

/// The page.
#[must_use]
pub fn index() -> String {
    let all = chapters();
    let numbered: Vec<Text> =
        all.iter().filter(|chapter| chapter.path.starts_with("chapters/")).map(Text::new).collect();
    let glossary = all.iter().find(|chapter| chapter.path == "glossary.md").expect("the glossary");
    let mut entries = headings(&numbered);
    let explained = words(&glossary.text).filter_map(|word| Some((sorted_by(word), entry(word, &numbered)?)));
    entries.extend(explained);
    let mut page =
        "# Index\n\nWords of the [glossary](glossary.md) and, in italics, headings. After a word stands the chapter \
                    that explains it, in bold,\nand then the chapters that use it most.\n"
            .to_owned();
    let mut last = String::new();
    for (key, line) in entries {
        let letter: String = key.chars().take(1).flat_map(char::to_uppercase).collect();
        if letter != last {
            write!(page, "\n## {letter}\n\n").expect("a text takes everything");
        }
        writeln!(page, "- {line}").expect("a text takes everything");
        last = letter;
    }
    page
}

/// A chapter as the index sees it.
struct Text {
    /// For example `6`.
    number: String,
    path: String,
    headings: Vec<String>,
    /// The prose without code, in small letters.
    spoken: String,
}

impl Text {
    fn new(chapter: &Chapter) -> Self {
        let mut is_code = false;
        let prose = chapter.text.lines().filter(|line| {
            let is_fence = line.trim_start_matches([' ', '>']).starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence && !line.starts_with("<!--")
        });
        let prose: Vec<&str> = prose.collect();
        let titles = prose.iter().filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("# ")));
        let headings = titles.map(str::to_owned).collect();
        let spoken: String = prose.join(" ").split('`').step_by(2).collect();
        let number = chapter.path["chapters/".len()..][..2].trim_start_matches('0').to_owned();
        Self { number, path: chapter.path.clone(), headings, spoken: spoken.to_lowercase() }
    }

    fn link(&self) -> String {
        format!("[{}]({})", self.number, self.path)
    }

    fn count(&self, word: &str) -> usize {
        let is_letter = |letter: char| letter.is_alphanumeric();
        let stands_alone = |at: &usize| {
            let after = &self.spoken[at + word.len()..];
            let after = after.strip_prefix('s').unwrap_or(after);
            !self.spoken[..*at].ends_with(is_letter) && !after.starts_with(is_letter)
        };
        self.spoken.match_indices(word).map(|(at, _)| at).filter(stands_alone).count()
    }

    /// Whether a heading has the word, or a longer form of it: "cancelling" for "cancel".
    fn has_in_heading(&self, word: &str) -> bool {
        let is_form = |part: &str| {
            part.strip_prefix(word)
                .is_some_and(|end| matches!(end, "" | "s") || word.len() > 4 && end.ends_with("ing"))
        };
        let has = |heading: &String| {
            let lower = heading.to_lowercase();
            lower.split(|letter: char| !letter.is_alphanumeric()).any(is_form)
                || word.contains(' ') && lower.contains(word)
        };
        self.headings.iter().any(has)
    }

    fn emphasises(&self, word: &str) -> bool {
        ["", "s"].iter().any(|end| self.spoken.contains(&format!("*{word}{end}*")))
    }
}

/// The words that the glossary explains. Its second part lists words that the book does not use.
fn words(glossary: &str) -> impl Iterator<Item = &str> {
    let used = glossary.split("\n## We do not say").next().unwrap_or_default();
    used.lines().filter_map(|line| line.strip_prefix("| **")?.split("**").next())
}

/// What the index says of a word that a chapter explains.
fn entry(word: &str, chapters: &[Text]) -> Option<String> {
    let lower = word.to_lowercase();
    let chapters = &chapters[..chapters.len().min(REPEATING)];
    let in_heading = chapters.iter().find(|chapter| chapter.has_in_heading(&lower));
    let first = in_heading.or_else(|| chapters.iter().find(|chapter| chapter.emphasises(&lower)))?;
    let mut others: Vec<(usize, &Text)> = chapters
        .iter()
        .filter(|chapter| chapter.path != first.path)
        .map(|chapter| (chapter.count(&lower), chapter))
        .filter(|(count, _)| *count >= OFTEN)
        .collect();
    others.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    others.truncate(MOST);
    others.sort_by_key(|(_, chapter)| &chapter.path);
    let links: Vec<String> = others.into_iter().map(|(_, chapter)| chapter.link()).collect();
    let rest = if links.is_empty() { String::new() } else { format!("; {}", links.join(", ")) };
    Some(format!("{word}: **{}**{rest}", first.link()))
}

/// All headings that name a subject, in the order of the alphabet.
fn headings(chapters: &[Text]) -> BTreeMap<String, String> {
    let all =
        chapters.iter().flat_map(|chapter| chapter.headings.iter().map(move |heading| (chapter, heading)));
    let is_riddle = |heading: &str| RIDDLES.iter().any(|opening| heading.starts_with(opening));
    let named = all.filter(|(_, heading)| !COMMON.contains(&heading.as_str()) && !is_riddle(heading));
    let entries = named.map(|(chapter, heading)| {
        let subject = heading.replace('`', "");
        // Two chapters may have the same heading, and it may be a word as well.
        (
            format!("{} {}", sorted_by(&subject), chapter.path),
            format!("*{subject}*: [{}]({}#{})", chapter.number, chapter.path, anchor(heading)),
        )
    });
    entries.collect()
}

/// The name by which a heading can be linked to.
fn anchor(heading: &str) -> String {
    let name = heading.to_lowercase().replace(' ', "-");
    name.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
}

/// What an entry is sorted by: its letters, without a leading article.
fn sorted_by(text: &str) -> String {
    let letters: String = text.chars().filter(|letter| letter.is_alphanumeric() || *letter == ' ').collect();
    let lower = letters.to_lowercase();
    let article = ["a ", "an ", "the "].iter().find_map(|article| lower.strip_prefix(article));
    article.unwrap_or(&lower).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Text, entry, headings, sorted_by};
    use crate::book::Chapter;

    fn chapter(number: &str, text: &str) -> Text {
        Text::new(&Chapter { path: format!("chapters/{number}-x.md"), text: text.to_owned() })
    }

    #[test]
    fn a_word_is_explained_where_it_is_in_a_heading_or_emphasised() {
        let often = "lane lanes lane lane, lane";
        let chapters = [
            chapter("01", &format!("# A\n\n{often}, and `lane`\n")),
            chapter("02", "# B\n\nA *lane* and a *bell*. In airplane, there is no lane.\n"),
            chapter("03", "# C\n\n## Two lanes\n"),
        ];
        let expected = |entry: &str| Some(entry.to_owned());
        assert_eq!(
            entry("lane", &chapters),
            expected("lane: **[3](chapters/03-x.md)**; [1](chapters/01-x.md)")
        );
        assert_eq!(entry("bell", &chapters), expected("bell: **[2](chapters/02-x.md)**"));
        assert_eq!(entry("slab", &chapters), None);
        assert_eq!((chapters[0].count("lane"), chapters[1].count("lane")), (5, 2));
    }

    #[test]
    fn a_heading_of_two_chapters_is_listed_twice_and_riddles_are_not() {
        let chapters = [chapter("01", "# A\n\n## Lanes\n"), chapter("02", "# A wrong one\n\n## Lanes\n")];
        let lines: Vec<String> = headings(&chapters).into_values().collect();
        let expected = [
            "*A*: [1](chapters/01-x.md#a)",
            "*Lanes*: [1](chapters/01-x.md#lanes)",
            "*Lanes*: [2](chapters/02-x.md#lanes)",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn articles_do_not_count_for_the_order() {
        assert_eq!(sorted_by("The `idea`: a lock"), "idea a lock");
    }
}
