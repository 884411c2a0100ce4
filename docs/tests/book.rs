//! Nothing in the book may become outdated: listings, outputs, links, exercises, words.
//!
//! The Rust blocks are compiled and run as documentation tests of this crate (see `chapters!` in `src/lib.rs`).

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use std::collections::BTreeSet;
use std::io::Write;
use std::num::NonZero;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use docs::book::{Chapter, can_trace, chapters, listing, same};
use docs::index::index;
use docs::marks::{Ask, Mark, marks};
use docs::{root, sources};

/// Calls `check` with every mark of the book and its listing, and fails with all the complaints.
///
/// A check may run a program. Programs run at the same time, one per processor. The programs that measure time run
/// after these, one by one.
fn every_mark(check: impl Fn(&Chapter, &Ask, &str) -> Result<(), String> + Sync) {
    let chapters = chapters();
    let all = chapters.iter().flat_map(|chapter| {
        let marks = marks(&chapter.text).unwrap_or_else(|why| panic!("docs/{}: {why}", chapter.path));
        marks.into_iter().map(move |mark| (chapter, mark))
    });
    let (timed, others): (Vec<_>, Vec<_>) =
        all.partition(|(_, mark)| matches!(mark.ask, Ask::Output { times_vary: true, .. }));
    let complaint = |(chapter, mark): &(&Chapter, Mark)| {
        let why = check(chapter, &mark.ask, &chapter.text[mark.listing.clone()]).err()?;
        Some(format!("docs/{}:{}: {why}", chapter.path, mark.line))
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut wrong = at_once(threads, &others, complaint);
    wrong.extend(at_once(1, &timed, complaint));
    assert!(
        wrong.is_empty(),
        "{}\nrun `cargo run -p docs --bin book`, and read the text around",
        wrong.join("\n")
    );
}

/// Calls `check` with each item, in this number of threads, and returns the complaints.
fn at_once<T: Sync>(threads: usize, items: &[T], check: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let mine = || std::iter::from_fn(|| items.get(next.fetch_add(1, Relaxed))).filter_map(&check).collect();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(mine)).collect();
        running.into_iter().flat_map(|thread| -> Vec<String> { thread.join().expect("no panic") }).collect()
    })
}

#[test]
fn every_citation_is_what_the_source_says() {
    every_mark(|chapter, ask, shown| match ask {
        Ask::Output { .. } | Ask::See { .. } | Ask::Strace { .. } | Ask::Piece { .. } => Ok(()),
        Ask::Cite { .. } if listing(ask, &chapter.path)? == shown => Ok(()),
        Ask::Cite { file, from, .. } => Err(format!("`{from}` in {file} has changed")),
    });
}

#[test]
fn every_output_is_what_the_program_prints() {
    every_mark(|chapter, ask, shown| {
        let (Ask::Output { words, .. } | Ask::See { words, .. }) = ask else { return Ok(()) };
        match as_shown(chapter, ask, shown)? {
            None => Ok(()),
            Some(printed) => Err(format!("`{}` prints something else now:\n{printed}", words.join(" "))),
        }
    });
}

#[test]
fn every_trace_has_the_calls_that_are_shown() {
    if let Err(why) = can_trace() {
        // Not through the test's own output, because the harness hides that if the test passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED: no trace in the book is compared ({why})");
        return;
    }
    every_mark(|chapter, ask, shown| {
        let Ask::Strace { words } = ask else { return Ok(()) };
        match as_shown(chapter, ask, shown)? {
            None => Ok(()),
            Some(traced) => {
                Err(format!("`{}` asks the kernel for something else now:\n{traced}", words.join(" ")))
            }
        }
    });
}

/// A listing that differs from the one in the book, if it does so each time. Many programs look at the real clock, and on a
/// busy machine one of them may be held up for longer than it waits.
fn as_shown(chapter: &Chapter, ask: &Ask, shown: &str) -> Result<Option<String>, String> {
    let mut last = Ok(None);
    for _ in 0..5 {
        last = listing(ask, &chapter.path).map(Some);
        if last.as_ref().is_ok_and(|new| new.as_ref().is_some_and(|new| same(ask, shown, new))) {
            return Ok(None);
        }
    }
    last
}

/// All Markdown files for readers.
fn texts() -> Vec<(String, String)> {
    let mut texts: Vec<_> =
        sources("docs", &[".md"]).into_iter().map(|text| (text.path, text.text)).collect();
    for name in ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"] {
        texts.push((name.into(), std::fs::read_to_string(root().join(name)).expect(name)));
    }
    texts
}

/// The lines of a text that are not in a code block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

/// What a line links to.
fn links(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).collect()
}

/// The names by which a text's headings can be linked to.
fn headings(text: &str) -> BTreeSet<String> {
    let titles =
        prose(text).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let name = |title: &str| {
        let kept = title.to_lowercase().replace(' ', "-");
        kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
    };
    titles.map(name).collect()
}

/// `a/b/../c` as `a/c`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
        plain
    })
}

/// Why this link of this file leads nowhere. `None` if it leads somewhere.
fn broken(file: &str, text: &str, link: &str) -> Option<String> {
    if link.starts_with("https://") || link.starts_with("http://") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = plain(&root().join(file).parent().expect("a file is in a folder").join(path));
    if !path.is_empty() && !target.exists() {
        return Some(format!("{file}: nothing is at `{link}`"));
    }
    let is_text = path.is_empty() || path.ends_with(".md");
    let target =
        if path.is_empty() { text.to_owned() } else { std::fs::read_to_string(&target).unwrap_or_default() };
    let is_line = anchor.strip_prefix('L').is_some_and(|line| line.parse::<usize>().is_ok());
    let known = anchor.is_empty() || !is_text || is_line || headings(&target).contains(anchor);
    (!known).then(|| format!("{file}: no heading is called `{anchor}` at `{link}`"))
}

#[test]
fn every_link_leads_somewhere() {
    let texts = texts();
    let all = texts.iter().flat_map(|(file, text)| {
        prose(text).flat_map(links).filter_map(move |link| broken(file, text, link))
    });
    let wrong: Vec<String> = all.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_of_contents_names_every_chapter_once() {
    let named: Vec<String> = chapters().into_iter().map(|chapter| format!("docs/{}", chapter.path)).collect();
    let once: BTreeSet<_> = named.iter().cloned().collect();
    assert_eq!(once.len(), named.len(), "a chapter is named twice");
    let unnamed: Vec<_> = sources("docs", &[".md"])
        .into_iter()
        .filter(|text| !once.contains(&text.path) && !text.path.ends_with("SUMMARY.md"))
        .collect();
    assert!(
        unnamed.is_empty(),
        "docs/SUMMARY.md does not name {:?}",
        unnamed.iter().map(|text| &text.path).collect::<Vec<_>>()
    );
}

#[test]
fn every_block_of_rust_is_compiled_or_cited() {
    let library = std::fs::read_to_string(root().join("docs/src/lib.rs")).expect("docs/src/lib.rs");
    for chapter in chapters().iter().filter(|chapter| chapter.path.starts_with("chapters/")) {
        let name = chapter.path.trim_start_matches("chapters/");
        assert!(
            library.contains(&format!("\"{name}\"")),
            "docs/src/lib.rs does not test the blocks of {name}"
        );
        let cited: Vec<_> =
            marks(&chapter.text).expect("marks").into_iter().map(|mark| mark.listing).collect();
        for (at, _) in chapter.text.match_indices("```rust,ignore") {
            let is_cited = cited.iter().any(|listing| listing.contains(&at));
            assert!(is_cited, "docs/{}: a block is ignored and not cited", chapter.path);
        }
    }
}

#[test]
fn every_chapter_leads_to_its_neighbours() {
    let all = chapters();
    let names: Vec<&str> = all.iter().filter_map(|chapter| chapter.path.strip_prefix("chapters/")).collect();
    let link = |word: &str, at: Option<&&str>| at.map(|name| format!("[{word}]({name})"));
    for (at, chapter) in all.iter().filter(|chapter| chapter.path.starts_with("chapters/")).enumerate() {
        let before = at.checked_sub(1).and_then(|before| names.get(before));
        let contents = Some("[Contents](../SUMMARY.md)".to_owned());
        let links = [link("Previous", before), contents, link("Next", names.get(at + 1))];
        let footer = links.into_iter().flatten().collect::<Vec<_>>().join(" · ");
        assert_eq!(chapter.text.lines().last(), Some(&*footer), "the last line of docs/{}", chapter.path);
    }
}

#[test]
fn every_exercise_has_an_answer() {
    for chapter in chapters().iter().filter(|chapter| chapter.text.contains("\n## Exercises")) {
        let part = chapter.text.split("\n## Exercises").nth(1).unwrap_or_default();
        let questions = part.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count();
        let answers = part.matches("<details>").count();
        assert!((3..=5).contains(&questions), "docs/{}: {questions} exercises", chapter.path);
        assert_eq!(questions, answers, "docs/{}: questions and answers", chapter.path);
    }
}

/// The blocks of Rust of the book, which are compiled, without their spaces.
fn compiled() -> String {
    let blocks = chapters().into_iter().flat_map(|chapter| {
        let parts: Vec<String> = chapter.text.split("\n```rust").skip(1).map(str::to_owned).collect();
        let compiled = parts.into_iter().filter(|part| !part.starts_with(",ignore"));
        compiled.map(|part| part.split("\n```").next().unwrap_or_default().to_owned())
    });
    blocks.map(|block| without_spaces(&block)).collect()
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

/// The cells of each row of all tables of a text, without the heads of the tables.
fn rows(text: &str) -> impl Iterator<Item = Vec<String>> {
    let rows = prose(text).filter(|line| line.starts_with("| ") && !line.contains("|---"));
    rows.map(|line| {
        // A bar inside a cell has a backslash before it.
        let hidden = line.trim().trim_matches('|').replace("\\|", "\u{1}");
        hidden.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
    })
}

/// The code, if the cell is one piece of code.
fn code(cell: &str) -> Option<&str> {
    let inner = cell.strip_prefix('`')?.strip_suffix('`')?;
    (!inner.contains('`')).then_some(inner)
}

#[test]
fn every_line_of_the_phrasebooks_is_compiled() {
    let compiled = compiled();
    let mut seen = 0;
    for chapter in chapters() {
        let column = match chapter.path.as_str() {
            "chapters/19-phrasebook.md" | "from-asyncio.md" => 1,
            _ => continue,
        };
        // (Rows that begin with an emphasised word compare meanings.)
        for row in rows(&chapter.text).filter(|row| !row[0].starts_with('*')) {
            let Some(line) = row.get(column).and_then(|cell| code(cell)) else { continue };
            // (An environment variable is not Rust.)
            let known = compiled.contains(&without_spaces(line)) || line.ends_with("_DEBUG=1");
            assert!(known, "docs/{}: no block of Rust has `{line}`", chapter.path);
            seen += 1;
        }
    }
    assert!(seen > 150, "only {seen} lines were found");
}

/// The functions that a text names in links to sources: `[`name`](file.rs)`, as name and file.
fn named_functions(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for link in text.split("[`").skip(1) {
        let Some((name, rest)) = link.split_once("`](") else { continue };
        let file = rest.split([')', '#']).next().unwrap_or_default();
        let is_function =
            name.contains('_') && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        if is_function && file.ends_with(".rs") {
            found.push((name.to_owned(), file.to_owned()));
        }
    }
    found
}

#[test]
fn every_function_that_is_named_exists() {
    // The links of the programs page name programs. It has its own tests.
    for chapter in chapters().iter().filter(|chapter| chapter.path != "programs.md") {
        for (name, file) in named_functions(&chapter.text) {
            let path =
                plain(&root().join("docs").join(&chapter.path).parent().expect("a folder").join(&file));
            let source = std::fs::read_to_string(&path).unwrap_or_default();
            let stem = file.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
            let known = name == stem || source.contains(&format!("fn {name}"));
            assert!(known, "docs/{}: there is no `fn {name}` in {file}", chapter.path);
        }
    }
}

#[test]
fn every_claim_has_a_truth_and_a_proof() {
    let chapters = chapters();
    let chapter = chapters.iter().find(|chapter| chapter.path.contains("/20-")).expect("chapter 20");
    let items: Vec<&str> = chapter.text.split("\n### ").skip(1).collect();
    assert_eq!(items.len(), 22, "items of {}", chapter.path);
    for (index, item) in items.iter().enumerate() {
        let title = item.lines().next().unwrap_or_default();
        assert!(title.starts_with(&format!("E{}. ", index + 1)), "item {} is called {title}", index + 1);
        for label in ["**Claimed.** ", "**True.** ", "**Proof.**"] {
            assert_eq!(item.matches(label).count(), 1, "{title}: {label}");
        }
        let proof = item.split("**Proof.**").nth(1).unwrap_or_default();
        let shown = ["](", "```rust", "```console"].iter().any(|what| proof.contains(what));
        assert!(shown, "{title}: the proof names nothing that could fail");
    }
}

fn glossary() -> String {
    std::fs::read_to_string(root().join("docs/glossary.md")).expect("docs/glossary.md")
}

/// The words of the glossary: the words that we use, and the words that we do not use.
fn words() -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let text = glossary();
    let (used, unused) = text.split_once("\n## We do not say").expect("both parts");
    let words = |part| rows(part).filter(|row| !["word", "not"].contains(&row[0].as_str())).collect();
    (words(used), words(unused))
}

#[test]
fn the_glossary_has_one_sentence_and_one_file_for_each_word() {
    let (used, _) = words();
    assert!(used.len() > 100, "{} words", used.len());
    let once: BTreeSet<&str> = used.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(once.len(), used.len(), "a word is explained twice");
    for row in &used {
        let [word, sentence, place] = &row[..] else { panic!("not three cells: {row:?}") };
        assert!(word.starts_with("**") && word.ends_with("**"), "{word}");
        assert!(sentence.ends_with('.') && sentence.matches(". ").count() == 0, "{word} has one sentence");
        let (name, file) =
            place.rsplit_once("[`").and_then(|(_, link)| link.split_once("`](")).expect("a file");
        // (The test of the links checks that the file exists.)
        assert!(file.ends_with(&format!("/{name}.rs)")), "{word}: `{name}` is not what {file} is called");
    }
}

#[test]
fn the_index_is_up_to_date() {
    let written = std::fs::read_to_string(root().join("docs/indexed.md")).expect("docs/indexed.md");
    assert!(written == index(), "docs/indexed.md is outdated: run `cargo run -p docs --bin book`");
}

/// The paragraphs of a chapter about this project, without code and without paragraphs about other runtimes.
fn about_ourselves(text: &str) -> Vec<String> {
    let own = text.split("\n## ").filter(|part| !part.starts_with("What others do"));
    let lines: Vec<String> = own.map(|part| prose(part).collect::<Vec<_>>().join("\n")).collect::<Vec<_>>();
    let paragraphs = lines.iter().flat_map(|part| part.split("\n\n")).map(str::to_owned);
    let others = ["asyncio", "Python", "tokio", "libuv", "Go ", "Go's", "<!--"];
    paragraphs.filter(|paragraph| !others.iter().any(|other| paragraph.contains(other))).collect()
}

/// A text in lower case, with single spaces, and without the code between backticks.
fn spoken(text: &str) -> String {
    let spoken: String = text.split('`').step_by(2).collect();
    spoken.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text has this word, or a longer word that begins with it: "abort" is in "aborted", but not in "laborious".
fn has(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric))
}

#[test]
fn words_that_we_do_not_use_are_not_used() {
    let (_, unused) = words();
    assert!(unused.len() > 10, "{} words", unused.len());
    let mut wrong = Vec::new();
    let is_ours =
        |chapter: &&Chapter| ["chapters/", "ladder/"].iter().any(|folder| chapter.path.starts_with(folder));
    for chapter in chapters().iter().filter(is_ours) {
        for paragraph in about_ourselves(&chapter.text).iter().map(|paragraph| spoken(paragraph)) {
            for row in unused.iter().filter(|row| has(&paragraph, &row[0])) {
                let begin: String = paragraph.chars().take(60).collect();
                let (path, [not, but]) = (&chapter.path, [&row[0], &row[1]]);
                wrong.push(format!("docs/{path}: \"{not}\" instead of \"{but}\" in: {begin} …"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
