//! Reads the workspace's own sources. The tests of this crate use it to check what the texts promise.

#![forbid(unsafe_code)]

pub mod book;
pub mod diff;
pub mod faults;
pub mod figures;
pub mod index;
pub mod items;
pub mod json;
pub mod links;
pub mod marks;
pub mod pieces;
pub mod printed;
pub mod programs;
pub mod prose;
pub mod traces;
pub mod typed;

use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path below the workspace's root, and its text.
#[derive(Clone, Debug)]
pub struct Source {
    /// For example `runtime/src/core/waker.rs`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// The workspace's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is one below the root").to_owned()
}

/// All files below `folder` whose names end in one of `endings`, sorted by path.
///
/// # Panics
///
/// If a file cannot be read.
#[must_use]
pub fn sources(folder: &str, endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry of a folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // (The folder that mdBook reads has links to the chapters. They are the same files.)
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() && name != "target" && name != ".git" {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(read(&path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let below = path.strip_prefix(root()).unwrap_or(path);
    Source { path: below.to_string_lossy().into_owned(), text }
}

impl Source {
    /// The file's name without its ending: `waker`.
    #[must_use]
    pub fn module(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.strip_suffix(".rs").unwrap_or(name)
    }

    /// The lines of code, numbered from one. Comments are left out, and so is everything after the line that begins the
    /// tests.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let code = lines.take_while(|(_, line)| !line.starts_with("mod tests {"));
        code.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// Compiles and runs the Rust blocks of these chapters as documentation tests.
#[allow(unused_macros, reason = "there is nothing to compile but for documentation tests")]
macro_rules! chapters {
    ($($module:ident $file:literal)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../chapters/", $file))]
            mod $module {}
        )*
    };
}

chapters! {
    c01 "01-one-player-many-boards.md"
    c02 "02-a-future-is-a-state-machine.md"
    c03 "03-the-smallest-loop.md"
    c04 "04-asking-the-kernel.md"
    c05 "05-one-bytes-journey.md"
    c06 "06-a-waker-is-a-number.md"
    c07 "07-the-ready-queue.md"
    c08 "08-time.md"
    c09 "09-outside-the-loop.md"
    c10 "10-cancelling-is-dropping.md"
    c11 "11-many-as-one.md"
    c12 "12-waiting-for-each-other.md"
    c13 "13-serving-strangers.md"
    c14 "14-testing-time-and-order.md"
    c15 "15-seeing-the-loop.md"
    c16 "16-measuring-honestly.md"
    c17 "17-pacing-and-lanes.md"
    c18 "18-which-model.md"
    c19 "19-phrasebook.md"
    c20 "20-what-the-articles-got-wrong.md"
    from_asyncio "../from-asyncio.md"
}
