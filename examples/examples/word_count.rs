//! The words of many files, counted by several threads: each file is a job, and the counts are added up in one place.
//!
//! Run it with `cargo run --release --example word_count`.
//!
//! Facts. Reading a file blocks, and counting computes, so both belong on a thread. A thread needs no lock to count the
//! words of its own file.
//!
//! What follows. The threads share nothing. Each returns a map, and the task that waits for them adds the maps up. The
//! result does not depend on which thread is done first.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io, process};

use examples::{args, println};
use roundel::blocking::ThreadPool;

const VERSES: [&str; 4] = [
    "the loop waits and the kernel works",
    "the kernel rings and the loop wakes",
    "a task waits for a task and the loop waits for the kernel",
    "and in the end the loop waits",
];

type Counts = BTreeMap<String, usize>;

fn count(path: PathBuf) -> io::Result<Counts> {
    let mut counts = Counts::new();
    for word in fs::read_to_string(path)?.split_whitespace() {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    Ok(counts)
}

/// Writes a file for each verse.
fn write_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let paths = (1..=VERSES.len()).map(|number| folder.join(format!("verse-{number}.txt")));
    paths.zip(VERSES).map(|(path, verse)| fs::write(&path, verse).map(|()| path)).collect()
}

/// Counts the words of each file.
async fn count_all(paths: Vec<PathBuf>) -> io::Result<Vec<Counts>> {
    let counts = ThreadPool::new(2).map(paths, count).await.map_err(io::Error::other)?;
    counts.into_iter().collect()
}

fn print(files: &[Counts]) {
    let mut all = Counts::new();
    for (number, counts) in files.iter().enumerate() {
        println!("file {}: {} words", number + 1, counts.values().sum::<usize>());
        counts.iter().for_each(|(word, count)| *all.entry(word.clone()).or_default() += count);
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|(_, count)| usize::MAX - count);
    all.iter().take(5).for_each(|(word, count)| println!("{count:3} {word}"));
}

fn main() -> ExitCode {
    args::none();
    let folder = env::temp_dir().join(format!("roundel-word-count-{}", process::id()));
    let counted = write_files(&folder).and_then(|paths| roundel::run(count_all(paths)));
    // Removed before anything is printed: without a reader, printing ends the program.
    args::end(fs::remove_dir_all(&folder).and(counted).map(|files| print(&files)))
}
