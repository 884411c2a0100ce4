//! Two thousand small jobs for a process: one in each message, ten, a hundred, a thousand.
//!
//! Run it with `cargo run --release --example batching`.
//!
//! Facts. A worker takes milliseconds to start, once. Each message to it takes microseconds: two system calls and a
//! switch of processes on the way there, and as many on the way back. A small job takes less than that.
//!
//! What follows. The fewer messages, the better, until there are too few for all workers. The first line shows what the
//! start costs; the others use workers that are running.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use examples::{args, println};
use roundel::workers::{self, ProcessPool};

const JOBS: u64 = 2_000;
const WORKERS: usize = 2;

/// A small job: the sum of the digits of a number's square.
fn digits(number: u64) -> u64 {
    std::iter::successors(Some(number * number), |left| Some(left / 10))
        .take_while(|left| *left > 0)
        .map(|left| left % 10)
        .sum()
}

/// The job of a worker: the numbers from one to another, which come as sixteen bytes.
fn digits_job(input: &[u8]) -> Result<Vec<u8>, String> {
    let ([from, to], []) = input.as_chunks::<8>() else { return Err("sixteen bytes are a batch".into()) };
    let (from, to) = (u64::from_le_bytes(*from), u64::from_le_bytes(*to));
    Ok((from..to).map(digits).sum::<u64>().to_le_bytes().to_vec())
}

/// Does all jobs, `size` in each message, and returns their sum.
async fn in_batches(pool: &ProcessPool, size: u64) -> io::Result<u64> {
    let batches = (0..JOBS)
        .step_by(size as usize)
        .map(|from| [from.to_le_bytes(), (from + size).to_le_bytes()].concat());
    let mut sum = 0;
    for part in pool.map("digits", batches).await {
        let part = part.map_err(io::Error::other)?;
        sum += u64::from_le_bytes(part.try_into().map_err(|_| io::Error::other("eight bytes are a sum"))?);
    }
    Ok(sum)
}

async fn compare() -> io::Result<()> {
    let (start, pool) = (Instant::now(), ProcessPool::new(WORKERS)?);
    pool.map("digits", [[0; 16]; WORKERS]).await;
    println!("to start {WORKERS} workers:{:>22} µs", start.elapsed().as_micros());
    for size in [1, 10, 100, 1_000] {
        let start = Instant::now();
        let sum = in_batches(&pool, size).await?;
        println!("{:5} messages: the sum is {sum},{:>8} µs", JOBS / size, start.elapsed().as_micros());
    }
    let start = Instant::now();
    let sum: u64 = (0..JOBS).map(digits).sum();
    println!("   no message:  the sum is {sum},{:>8} µs", start.elapsed().as_micros());
    Ok(())
}

fn main() -> ExitCode {
    workers::serve(&[("digits", digits_job)]); // In a worker, this does not return.
    args::none();
    args::end(roundel::run(compare()))
}
