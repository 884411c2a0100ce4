//! A preprocessor of mdBook: makes links that leave the book lead to the code host, and puts the figures into the
//! pages. `docs/book.toml` calls it.
//!
//! mdBook first calls it with `supports` and the name of a renderer, and takes a good exit code for yes. Then it gives
//! `[context, book]` to its standard input, and takes the changed book from its standard output.

#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::process::ExitCode;

use docs::json::{Json, read};
use docs::links::{rendered, repository, with_figures};

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|argument| argument == "supports") {
        return ExitCode::SUCCESS;
    }
    match changed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("mdbook_links: {why}. It is called by `mdbook build docs`, not by hand");
            ExitCode::FAILURE
        }
    }
}

fn changed() -> Result<(), String> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).map_err(|error| format!("cannot read the book: {error}"))?;
    let Json::List(parts) = read(&input)? else { return Err("the input is no list".to_owned()) };
    let mut book = parts.into_iter().nth(1).ok_or("the input has no book")?;
    each_chapter(&mut book, &repository());
    let written = writeln!(std::io::stdout(), "{book}");
    written.map_err(|error| format!("cannot write the book: {error}"))
}

/// Changes the links and figures of each chapter in this value, wherever it stands.
fn each_chapter(value: &mut Json, repository: &str) {
    if let Some(path) = value.get("path").and_then(Json::text).map(str::to_owned)
        && let Some(Json::Text(content)) = value.get_mut("content")
    {
        *content = with_figures(&rendered(&path, content, repository));
    }
    match value {
        Json::List(items) => items.iter_mut().for_each(|item| each_chapter(item, repository)),
        Json::Object(pairs) => pairs.iter_mut().for_each(|(_, item)| each_chapter(item, repository)),
        Json::Word(_) | Json::Text(_) => {}
    }
}
