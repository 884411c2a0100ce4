//! Files, written and read by threads while the loop goes on.
//!
//! Run it with `cargo run --release --example files`.
//!
//! Facts. For the kernel, a file is always ready, even if its bytes have to come from a disk. So there is no report to
//! wait for, and reading a file blocks. A thread may block.
//!
//! What follows. `unblock` hands the whole work on a file to a thread: not each read, because handing over costs
//! microseconds. Three files are written at once. An error comes back as the value that it is.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io, process};

use examples::{args, println};
use roundel::blocking::unblock;
use roundel::group::try_gather;

/// Writes a file and reads it again, on a thread. Returns the number of its lines.
async fn write_and_read(path: PathBuf, lines: usize) -> io::Result<usize> {
    let job = unblock(move || {
        let text: String = (1..=lines).map(|number| format!("line {number}\n")).collect();
        fs::write(&path, text)?;
        Ok(fs::read_to_string(&path)?.lines().count())
    });
    job.await.map_err(io::Error::other)?
}

/// Returns the numbers of lines, and the error of a file that cannot be written.
async fn use_files(folder: PathBuf) -> io::Result<(Vec<usize>, io::Error)> {
    let sizes = [10, 1_000, 100_000];
    let jobs = sizes.map(|lines| write_and_read(folder.join(format!("{lines}.txt")), lines));
    let lines = try_gather(jobs).await?;
    let missing = folder.join("missing").join("file.txt");
    Ok((lines, write_and_read(missing, 1).await.expect_err("there is no such folder")))
}

fn main() -> ExitCode {
    args::none();
    let folder = env::temp_dir().join(format!("roundel-files-{}", process::id()));
    let used = fs::create_dir_all(&folder).and_then(|()| roundel::run(use_files(folder.clone())));
    // Removed before anything is printed: without a reader, printing ends the program.
    args::end(fs::remove_dir_all(folder).and(used).map(|(lines, error)| {
        println!("three files at once: {lines:?} lines");
        println!("in a folder that is not there: {error}");
    }))
}
