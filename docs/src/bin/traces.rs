//! Records the programs of the chapters, and makes a page of each: `cargo run --release -p docs --bin traces`.
//!
//! With names of programs it makes only their pages: `cargo run --release -p docs --bin traces -- journey`. It prints
//! where they are, each with the event to look at first.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use docs::programs::{build, target};
use docs::traces::{Shown, TRACES, index, page};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    match make(&names) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("traces: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The traces of these names, or all of them.
fn wanted(names: &[String]) -> Result<Vec<Shown>, String> {
    let known = TRACES.iter().map(|shown| shown.name).collect::<Vec<_>>();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("there is no trace of `{name}`, only of {}", known.join(", ")));
    }
    let is_wanted = |shown: &&Shown| names.is_empty() || names.iter().any(|name| name == shown.name);
    Ok(TRACES.iter().filter(is_wanted).copied().collect())
}

fn make(names: &[String]) -> Result<(), String> {
    let wanted = wanted(names)?;
    let programs: Vec<&str> = wanted.iter().map(|shown| shown.name).chain(["see"]).collect();
    build(&programs)?;
    let folder = target()?.join("traces");
    let mut pages = Vec::new();
    for shown in wanted {
        let page = page(&shown, &folder)?;
        // Without `println!`, which panics if the reader of the output is gone.
        let _ = writeln!(std::io::stdout(), "{}", folder.join(&page).display());
        pages.push((shown, page));
    }
    // The pages of an earlier run stay, but only these are in the list.
    std::fs::write(folder.join("index.html"), index(&pages)).map_err(|error| error.to_string())
}
