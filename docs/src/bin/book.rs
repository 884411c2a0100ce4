//! Puts the listings into the chapters, and makes the index: `cargo run -p docs --bin book`.
//!
//! It says which chapters have changed; read the text around each change. With `-- WORD`, such as `-- ladder/`, it looks
//! only at the chapters with this word in their path, and builds only the programs that they run.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use docs::book::{build_for, chapters, made};
use docs::index::index;
use docs::root;

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let mut chapters = chapters();
    if let Some(word) = std::env::args().nth(1) {
        chapters.retain(|chapter| chapter.path.contains(&word));
        let built = match &chapters[..] {
            [] => Err(format!("no chapter has `{word}` in its path; docs/SUMMARY.md names them")),
            some => build_for(some),
        };
        if let Err(why) = built {
            eprintln!("book: {why}");
            return ExitCode::FAILURE;
        }
    }
    write_index();
    for chapter in chapters {
        match made(&chapter) {
            Ok(text) if text == chapter.text => {}
            Ok(text) => {
                // Without `println!`, which panics if the reader of the output is gone.
                let _ = writeln!(std::io::stdout(), "docs/{}: changed", chapter.path);
                std::fs::write(root().join("docs").join(&chapter.path), text)
                    .expect("a chapter can be written");
            }
            Err(why) => {
                eprintln!("book: {why}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// Makes the index anew, if it has changed. It depends on the text of the chapters, not on their listings.
fn write_index() {
    let (path, new) = (root().join("docs/indexed.md"), index());
    if std::fs::read_to_string(&path).is_ok_and(|old| old == new) {
        return;
    }
    std::fs::write(path, new).expect("the index can be written");
    let _ = writeln!(std::io::stdout(), "docs/indexed.md: changed");
}
