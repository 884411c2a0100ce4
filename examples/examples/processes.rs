//! Work for other processes: sums of squares, and what happens to a job that fails or crashes.
//!
//! Run it with `cargo run --release --example processes`.
//!
//! Facts. A worker is this program, run again, so `main` begins with the question whether it is a worker. Jobs and
//! results travel as bytes: you can send the name of a job, but no closure. A process takes milliseconds to start. It
//! pays for work that takes longer than that, or that may crash, because a crash ends the worker and nothing else.

#![forbid(unsafe_code)]

use std::process::abort;
use std::thread;
use std::time::Duration;

use examples::println;
use examples::show::{Show, Stopwatch};
use roundel::group::{as_completed, gather};
use roundel::workers::{self, ProcessPool};

const USAGE: &str = "\
usage: processes [sums|two|failures|crash]
  sums      the sums of the squares below one to five million, by two processes
  two       two halves of two million squares
  failures  jobs that return an error, panic, or do not end
  crash     a job that takes its process with it";

/// The sum of the squares of the numbers from `from` to `to`, without `to` itself.
fn sum(input: &[u8]) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(input);
    let parse = |number: &str| number.parse::<i64>().map_err(|error| format!("{number:?}: {error}"));
    let (from, to) = text.split_once(' ').ok_or("a sum needs two numbers")?;
    let (from, to) = (parse(from)?, parse(to)?);
    if from < 0 {
        return Err(format!("negative number: {from}"));
    }
    let sum: u128 = (from..to).map(|number| (number as u128).pow(2)).sum();
    Ok(sum.to_string().into_bytes())
}

/// Fails in the way that it is told.
fn fail(input: &[u8]) -> Result<Vec<u8>, String> {
    match input {
        b"panic" => panic!("an index was wrong, say"),
        b"crash" => abort(),
        b"hang" => loop {
            thread::park();
        },
        _ => Err("could not be done".into()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pool() -> ProcessPool {
    ProcessPool::new(2).expect("`serve` was called")
}

async fn sums(watch: Stopwatch) {
    let pool = pool();
    let jobs = (1..=5).map(|million| {
        let job = pool.run("sum", format!("0 {million}000000"));
        async move { (million, job.await) }
    });
    let mut done = as_completed(jobs);
    let mut sums = [const { String::new() }; 5];
    while let Some((million, sum)) = done.next().await {
        sums[million - 1] = text(&sum.expect("it does not fail"));
        println!("{} of 5 sums are there", 5 - done.len());
    }
    for (index, sum) in sums.iter().enumerate() {
        println!("squares below {},000,000: {sum}", index + 1);
    }
    watch.say("done");
}

async fn two(watch: Stopwatch) {
    let pool = pool();
    let halves = ["0 1000000", "1000000 2000000"];
    for (half, sum) in halves.iter().zip(pool.map("sum", halves).await) {
        println!("squares of {half}: {}", text(&sum.expect("it does not fail")));
    }
    watch.say("done");
}

async fn failures(watch: Stopwatch) {
    let pool = pool();
    println!("the third job panics, on purpose; its report goes to the standard error");
    for (job, input) in [("sum", "-1 3"), ("sum", "one 3"), ("fail", "panic"), ("product", "1 3")] {
        let error = pool.run(job, input).await.expect_err("it fails");
        println!("{job} {input:?}: {error}");
    }
    let limit = Duration::from_millis(300);
    let error = pool.run_timeout(limit, "fail", "hang").await.expect_err("it does not end");
    println!("fail \"hang\": {error}");
    let good = pool.run("sum", "1 4").await.expect("it does not fail");
    println!("sum \"1 4\": {}, and the pool is as good as new", text(&good));
    watch.say("done");
}

async fn crash(watch: Stopwatch) {
    let pool = pool();
    let jobs = [("fail", "crash"), ("sum", "0 1000")].map(|(job, input)| pool.run(job, input));
    let [crashed, good] = gather(jobs).await.try_into().expect("two of them");
    println!("the one that crashed: {}", crashed.expect_err("it has crashed"));
    println!("the one beside it: {}", text(&good.expect("it does not fail")));
    let again = pool.run("sum", "0 10").await.expect("there is a new worker");
    println!("the next, by a new worker: {}", text(&again));
    watch.say("done");
}

fn main() {
    workers::serve(&[("sum", sum), ("fail", fail)]); // In a worker, this does not return.
    let show = Show::in_real_time(USAGE, &["sums", "two", "failures", "crash"]);
    show.part("sums", "five sums, two processes", sums);
    show.part("two", "two halves of one range", two);
    show.part("failures", "errors, panics and time limits are values", failures);
    show.part("crash", "a process that dies takes no other with it", crash);
}
