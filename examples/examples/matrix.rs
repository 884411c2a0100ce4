//! Two matrices are multiplied by processes, each of which computes some rows.
//!
//! Run it with `cargo run --release --example matrix`.
//!
//! Facts. A row of the product needs one row of the first matrix and all of the second. Processes share no memory, so
//! each job has to carry what it needs as bytes.
//!
//! What follows. A job with one row would carry the whole second matrix for little work. So each job gets several rows,
//! and the program prints how many bytes it sends. The product is compared with one that is computed here.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;

use examples::{args, println};
use roundel::workers::{self, ProcessPool};

const SIZE: usize = 60;
const WORKERS: usize = 2;

type Rows = Vec<[u64; SIZE]>;

fn multiply(first: &[[u64; SIZE]], second: &[[u64; SIZE]]) -> Rows {
    let cell = |row: &[u64; SIZE], column: usize| (0..SIZE).map(|at| row[at] * second[at][column]).sum();
    first.iter().map(|row| std::array::from_fn(|column| cell(row, column))).collect()
}

fn to_bytes(rows: &[[u64; SIZE]]) -> Vec<u8> {
    rows.iter().flatten().flat_map(|number| number.to_le_bytes()).collect()
}

fn from_bytes(bytes: &[u8]) -> Result<Rows, String> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    let numbers: Vec<u64> = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    let (rows, half) = numbers.as_chunks::<SIZE>();
    match rest.is_empty() && half.is_empty() {
        true => Ok(rows.to_vec()),
        false => Err(format!("{} bytes are no rows of {SIZE} numbers", bytes.len())),
    }
}

/// The job of a worker: the second matrix, and after it the rows of the first.
fn multiply_job(input: &[u8]) -> Result<Vec<u8>, String> {
    let rows = from_bytes(input)?;
    let (second, first) = rows.split_at_checked(SIZE).ok_or("the second matrix is not complete")?;
    Ok(to_bytes(&multiply(first, second)))
}

async fn multiply_by_processes(first: &Rows, second: &Rows, at_once: usize) -> io::Result<Rows> {
    let jobs: Vec<Vec<u8>> = first.chunks(at_once).map(|rows| to_bytes(&[second, rows].concat())).collect();
    let bytes: usize = jobs.iter().map(Vec::len).sum();
    println!("{at_once:2} rows in a job: {:2} jobs, {bytes:7} bytes sent", jobs.len());
    let mut product = Rows::new();
    for rows in ProcessPool::new(WORKERS)?.map("multiply", jobs).await {
        product.extend(from_bytes(&rows.map_err(io::Error::other)?).map_err(io::Error::other)?);
    }
    Ok(product)
}

fn main() -> ExitCode {
    workers::serve(&[("multiply", multiply_job)]); // In a worker, this does not return.
    args::none();
    let make =
        |seed: usize| (0..SIZE).map(|y| std::array::from_fn(|x| ((x * seed + y) % 10) as u64)).collect();
    let (first, second): (Rows, Rows) = (make(3), make(7));
    let here = multiply(&first, &second);
    args::end(roundel::run(async {
        for at_once in [1, 10, 30] {
            let there = multiply_by_processes(&first, &second, at_once).await?;
            println!("   the product is right: {}", there == here);
        }
        Ok(())
    }))
}
