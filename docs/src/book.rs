//! The book: its chapters, and what is shown in them.
//!
//! Facts. The table of contents is `docs/SUMMARY.md`, in mdBook's form; a code host shows the same files as they are.
//!
//! What follows. A chapter is a Markdown file that the table names. [`listing`] makes what belongs after a mark. That
//! is a piece of a source with its file and lines, or what a program prints when it runs here and now, or what `see`
//! says of the program, or what strace sees of it, or what a reader types on the way to a rung of the ladder. A listing
//! of strace stays as it is while the calls are the same, and where nothing can be traced.
//!
//! What it does not know: whether a chapter is good.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::marks::{Ask, Mark, calls, marks, piece, with_listings, without_numbers};
use crate::pieces::states_of;
use crate::printed;
use crate::programs::{build, built, record, run};
use crate::root;

/// A chapter: its path below `docs/`, and its text.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// For example `chapters/06-a-waker-is-a-number.md`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// All chapters in the order of the table of contents.
///
/// # Panics
///
/// If the table names a chapter that does not exist.
#[must_use]
pub fn chapters() -> Vec<Chapter> {
    let table = fs::read_to_string(root().join("docs/SUMMARY.md")).expect("docs/SUMMARY.md");
    let paths = table.lines().filter_map(|line| Some(line.split_once("](")?.1.split_once(')')?.0.to_owned()));
    paths.map(|path| Chapter { text: read(&root().join("docs").join(&path)), path }).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of a chapter in which all listings are up to date.
///
/// # Errors
///
/// If a mark asks for something that does not exist: where the mark is, and why it failed.
pub fn made(chapter: &Chapter) -> Result<String, String> {
    let whole = |why: String| format!("docs/{}: {why}", chapter.path);
    let marks = marks(&chapter.text).map_err(whole)?;
    let place = |mark: &Mark, why| format!("docs/{}:{}: {why}", chapter.path, mark.line);
    let can_trace = can_trace().is_ok();
    let listings = marks.into_iter().map(|mark| {
        let old = &chapter.text[mark.listing.clone()];
        let is_trace = matches!(mark.ask, Ask::Strace { .. });
        let new = if is_trace && !can_trace { Ok(old.to_owned()) } else { listing(&mark.ask, &chapter.path) };
        let new = new.map_err(|why| place(&mark, why))?;
        // Addresses and times differ in each run, so a listing that differs in nothing else stays as it was.
        let same = same(&mark.ask, old, &new);
        Ok::<_, String>((mark, if same { old.to_owned() } else { new }))
    });
    Ok(with_listings(&chapter.text, &listings.collect::<Result<Vec<_>, _>>()?))
}

/// Whether two listings differ in nothing that matters.
#[must_use]
pub fn same(ask: &Ask, old: &str, new: &str) -> bool {
    match ask {
        Ask::Strace { .. } => calls(old) == calls(new),
        Ask::Output { times_vary: true, .. } => without_numbers(old) == without_numbers(new),
        _ => old == new,
    }
}

/// What belongs after a mark of this chapter.
///
/// # Errors
///
/// If there is no such piece or program.
pub fn listing(ask: &Ask, chapter: &str) -> Result<String, String> {
    match ask {
        Ask::Cite { file, from, to } => cited(file, from, to, chapter),
        Ask::Output { words, .. } => {
            Ok(format!("```console\n$ {}\n{}```\n", command(words), printed(words)?))
        }
        Ask::See { program, words, from, to } => seen(program, words, from, to),
        Ask::Strace { words } => traced(words),
        Ask::Piece { rung, first, last } => typed(*rung, *first, *last),
    }
}

/// Builds the programs that these chapters run, and no others.
///
/// # Errors
///
/// If a mark cannot be understood, or a program cannot be built.
pub fn build_for(chapters: &[Chapter]) -> Result<(), String> {
    let mut programs = Vec::new();
    for chapter in chapters {
        for mark in marks(&chapter.text).map_err(|why| format!("docs/{}: {why}", chapter.path))? {
            match mark.ask {
                Ask::Output { words, .. } | Ask::Strace { words } => {
                    programs.extend(words.into_iter().next());
                }
                Ask::See { program, .. } => programs.extend([program, "see".to_owned()]),
                Ask::Cite { .. } | Ask::Piece { .. } => {}
            }
        }
    }
    programs.sort();
    programs.dedup();
    // Without a name, cargo would build everything.
    if programs.is_empty() {
        return Ok(());
    }
    build(&programs.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The pieces from the first to the last of a rung, as one.
fn typed(rung: usize, first: usize, last: usize) -> Result<String, String> {
    let states = states_of(rung)?;
    if first == 0 || first > last || last >= states.len() {
        return Err(format!("rung {rung} has the pieces 1-{}, not {first}-{last}", states.len() - 1));
    }
    let piece = printed::printed(&states[first - 1], &states[last]);
    piece.map_err(|why| format!("rung {rung}, piece {first}-{last}: {why}"))
}

fn cited(file: &str, from: &str, to: &str, chapter: &str) -> Result<String, String> {
    let source = fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))?;
    let piece = piece(&source, from, to).map_err(|why| format!("{file}: {why}"))?;
    let up = "../".repeat(chapter.matches('/').count() + 1);
    let lines = if piece.first == piece.last { "line" } else { "lines" };
    let numbers = if piece.first == piece.last {
        piece.first.to_string()
    } else {
        format!("{}–{}", piece.first, piece.last)
    };
    let language = match file.rsplit_once('.') {
        Some((_, "rs")) => "rust,ignore",
        Some((_, other)) => other,
        None => "text",
    };
    Ok(format!(
        "[`{file}`]({up}{file}#L{}), {lines} {numbers}:\n\n```{language}\n{}```\n",
        piece.first, piece.text
    ))
}

/// How a reader runs an example.
#[must_use]
pub fn command(words: &[String]) -> String {
    let arguments = if words.len() > 1 { format!(" -- {}", words[1..].join(" ")) } else { String::new() };
    format!("cargo run --release --example {}{arguments}", words[0])
}

/// What an example prints to its standard output.
///
/// # Errors
///
/// If it does not exist, or if it fails: then with what it printed to its standard error.
pub fn printed(words: &[String]) -> Result<String, String> {
    run(words, &mut Command::new(built(&words[0])?))
}

/// What `see` says of a run of an example.
fn seen(program: &str, words: &[String], from: &str, to: &str) -> Result<String, String> {
    // Tests record the same program in several threads.
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = (std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let file = std::env::temp_dir().join(format!("roundel-{program}-{}-{}.trace", number.0, number.1));
    record(&[program.to_owned()], &file)?;
    let path = file.display().to_string();
    let all = printed(&[&["see".to_owned(), path], words].concat());
    let _ = fs::remove_file(&file);
    let shown = &[&["see".to_owned(), format!("{program}.trace")], words].concat();
    let text = all?;
    let text = if from.is_empty() { text } else { format!("…\n{}…\n", piece(&text, from, to)?.text) };
    Ok(format!("```console\n$ {}\n{text}```\n", command(shown)))
}

/// The calls that a listing shows: those by which a loop asks the kernel, and those that move bytes.
const CALLS: &str = "trace=read,write,%network,/epoll,/timerfd";

/// Checks that strace is installed and may trace the programs that it starts.
///
/// # Errors
///
/// If not: why.
pub fn can_trace() -> Result<(), String> {
    let tried = Command::new("strace").args(["-o", "/dev/null", "-e", CALLS, "true"]).output();
    let output = tried.map_err(|error| format!("strace: {error}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("strace: {}", complaint.trim()))
}

/// What strace reports of an example, from the first line that the example prints to the last.
fn traced(words: &[String]) -> Result<String, String> {
    let number = std::process::id();
    let file = std::env::temp_dir().join(format!("roundel-trace-{number}-{}", words.join("-")));
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(&file).args(["-e", CALLS]).arg(built(&words[0])?);
    run(words, &mut strace)?;
    let trace = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let _ = fs::remove_file(&file);
    let lines: Vec<&str> = trace.lines().collect();
    let prints = |line: &&str| line.starts_with("write(1, ");
    match (lines.iter().position(prints), lines.iter().rposition(prints)) {
        (Some(first), Some(last)) if first < last => {
            let (shown, example) = (lines[first..=last].join("\n"), words.join(" "));
            Ok(format!("```console\n$ strace -e {CALLS} target/release/examples/{example}\n{shown}\n```\n"))
        }
        _ => Err(format!("`{}` is to print two lines, and what lies between them is shown", words.join(" "))),
    }
}
