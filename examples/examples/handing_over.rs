//! Two thousand numbers for another process, handed over in three ways: each in a message, all in one, or in a file.
//!
//! Run it with `cargo run --release --example handing_over`.
//!
//! Facts. Processes share no variables. A *manager* is a process that keeps the state and gets a message for each
//! change. A message with everything costs as much as a small one, and its bytes. A file that both processes open is
//! memory of the kernel that they share: the message only has to say where it is.
//!
//! What follows. The program prints the number of messages and their bytes, which are certain, and the time, which is
//! not. Each way finds the same sum.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use std::{env, fs, io, process};

use examples::{args, println};
use roundel::workers::{self, ProcessPool};

const COUNT: u64 = 2_000;

/// What the manager keeps.
static SUM: AtomicU64 = AtomicU64::new(0);

fn sum_of(bytes: &[u8]) -> u64 {
    bytes.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number)).sum()
}

/// Adds the numbers to the manager's sum, and returns it.
fn add_job(input: &[u8]) -> Result<Vec<u8>, String> {
    let added = sum_of(input);
    Ok((SUM.fetch_add(added, Relaxed) + added).to_le_bytes().to_vec())
}

/// Adds up a file of numbers.
fn file_job(path: &[u8]) -> Result<Vec<u8>, String> {
    let path = String::from_utf8_lossy(path);
    let bytes = fs::read(&*path).map_err(|error| format!("{path}: {error}"))?;
    Ok(sum_of(&bytes).to_le_bytes().to_vec())
}

/// Sends each input to a new process, and returns a line about what it took and the last answer.
async fn hand_over(way: &str, job: &str, inputs: Vec<Vec<u8>>) -> io::Result<String> {
    let pool = ProcessPool::new(1)?;
    pool.run("file", "/dev/null").await.map_err(io::Error::other)?; // The process has started.
    let (start, messages, bytes) = (Instant::now(), inputs.len(), inputs.iter().map(Vec::len).sum::<usize>());
    let mut answer = Vec::new();
    for input in inputs {
        answer = pool.run(job, input).await.map_err(io::Error::other)?;
    }
    let micros = start.elapsed().as_micros();
    Ok(format!("{way:11}: sum {}, {messages:4} messages, {bytes:5} bytes, {micros:6} µs", sum_of(&answer)))
}

async fn compare(path: String) -> io::Result<()> {
    let numbers: Vec<Vec<u8>> = (1..=COUNT).map(|number| number.to_le_bytes().to_vec()).collect();
    let all = numbers.concat();
    println!("{}", hand_over("manager", "add", numbers).await?);
    println!("{}", hand_over("one message", "add", vec![all.clone()]).await?);
    fs::write(&path, all)?;
    let by_file = hand_over("file", "file", vec![path.clone().into_bytes()]).await;
    // Removed before anything is printed: without a reader, printing ends the program.
    fs::remove_file(path)?;
    println!("{}", by_file?);
    Ok(())
}

fn main() -> ExitCode {
    workers::serve(&[("add", add_job), ("file", file_job)]); // In a worker, this does not return.
    args::none();
    let path = env::temp_dir().join(format!("roundel-numbers-{}", process::id()));
    args::end(roundel::run(compare(path.display().to_string())))
}
