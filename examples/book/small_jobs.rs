//! Forty small jobs and four large ones: in the task itself, on threads, in processes.
//!
//! Run it with `cargo run --release --example small_jobs`.
//!
//! Facts. Handing a job to a thread costs microseconds, and to a process more. Starting a process costs milliseconds.
//! The small jobs take less than that.
//!
//! What follows. Each way computes the same sums of squares, and the sums are compared. The output shows which way
//! wins: it depends on the size of the job and on the number of free cores.

#![forbid(unsafe_code)]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use examples::{args, println};
use roundel::blocking::ThreadPool;
use roundel::workers::{self, ProcessPool};

fn sum_of_squares(below: u64) -> u64 {
    (0..below).fold(0, |sum, n| black_box(n).wrapping_mul(n).wrapping_add(sum))
}

/// The same for a worker process: bytes in, bytes out.
fn as_bytes(input: &[u8]) -> Result<Vec<u8>, String> {
    let below = input.try_into().map_err(|_| "eight bytes are a number".to_owned())?;
    Ok(sum_of_squares(u64::from_le_bytes(below)).to_le_bytes().to_vec())
}

fn told(way: &str, start: Instant) {
    println!("  {way:<26}{:>8} µs", start.elapsed().as_micros());
}

async fn compared(what: &str, jobs: &[u64], threads: &ThreadPool) -> Result<(), Box<dyn Error>> {
    println!("{} {what}:", jobs.len());
    let start = Instant::now();
    let here: Vec<u64> = jobs.iter().map(|below| sum_of_squares(*below)).collect();
    told("one after the other", start);

    let start = Instant::now();
    assert_eq!(threads.map(jobs.to_vec(), sum_of_squares).await?, here);
    told("on two threads", start);

    // A new pool each time, so that starting the workers is part of the price.
    let (start, processes) = (Instant::now(), ProcessPool::new(2)?);
    let inputs = jobs.iter().map(|below| below.to_le_bytes());
    let sums = processes.map("sum", inputs).await;
    told("in two processes", start);
    for (sum, here) in sums.into_iter().zip(here) {
        assert_eq!(sum?, here.to_le_bytes());
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // This must come first: in a worker it does not return.
    workers::serve(&[("sum", as_bytes)]);
    args::none();
    roundel::run(async {
        let threads = ThreadPool::new(2);
        threads.map(0..2, |_| ()).await?;
        let small: Vec<u64> = (100..500).step_by(10).collect();
        compared("small jobs", &small, &threads).await?;
        compared("large jobs", &[5_000_000; 4], &threads).await
    })
}
