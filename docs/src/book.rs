//! The book: its chapters, and what is shown in them.
//!
//! Facts. The table of contents is `docs/SUMMARY.md`, in mdBook's form; a code host shows the same files as they are.
//!
//! What follows. A chapter is a Markdown file that the table names. [`listing`] makes what belongs behind a mark: a piece
//! of a source with its file and lines, or what a program prints when it is run, here and now.
//!
//! What it does not know: whether somebody reads it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::marks::{Ask, Mark, marks, piece, with_listings};
use crate::root;

/// A chapter: its path below `docs/`, and its text.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// For example `chapters/04-a-waker-is-a-number.md`.
    pub path: String,
    /// As it is.
    pub text: String,
}

/// All chapters in the order of the table of contents.
///
/// # Panics
///
/// When one that it names is not there.
#[must_use]
pub fn chapters() -> Vec<Chapter> {
    let table = fs::read_to_string(root().join("docs/SUMMARY.md")).expect("docs/SUMMARY.md");
    let paths = table.lines().filter_map(|line| Some(line.split_once("](")?.1.split_once(')')?.0.to_owned()));
    paths.map(|path| Chapter { text: read(&root().join("docs").join(&path)), path }).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A chapter with all its listings as they have to be.
///
/// # Errors
///
/// What a mark asks for and is not there: where, and why.
pub fn made(chapter: &Chapter) -> Result<String, String> {
    let whole = |why: String| format!("docs/{}: {why}", chapter.path);
    let marks = marks(&chapter.text).map_err(whole)?;
    let place = |mark: &Mark, why| format!("docs/{}:{}: {why}", chapter.path, mark.line);
    let listings = marks.into_iter().map(|mark| match listing(&mark.ask, &chapter.path) {
        Ok(text) => Ok((mark, text)),
        Err(why) => Err(place(&mark, why)),
    });
    Ok(with_listings(&chapter.text, &listings.collect::<Result<Vec<_>, _>>()?))
}

/// What belongs behind a mark of this chapter.
///
/// # Errors
///
/// When there is no such piece or program.
pub fn listing(ask: &Ask, chapter: &str) -> Result<String, String> {
    match ask {
        Ask::Cite { file, from, to } => cited(file, from, to, chapter),
        Ask::Output { words, .. } => {
            Ok(format!("```console\n$ {}\n{}```\n", command(words), printed(words)?))
        }
    }
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
/// When it does not exist, or fails: what it complained about.
pub fn printed(words: &[String]) -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut run = Command::new(cargo);
    run.current_dir(root()).args(["run", "--quiet", "--offline", "-p", "examples", "--example"]);
    let output =
        run.arg(&words[0]).arg("--").args(&words[1..]).output().map_err(|error| format!("cargo: {error}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("`{}` fails ({}): {complaint}", words.join(" "), output.status)),
    }
}
