//! Work for other threads: what blocks, and what computes.
//!
//! Run it with `cargo run --release --example threads`.
//!
//! Facts. `unblock` hands a closure to a thread of the loop's own pool, and returns a future for its result. A
//! [`ThreadPool`] is a pool of your own, as large as you like. Only what crosses threads has to be `Send`. On a virtual
//! clock, no time passes while such a job runs: to the program, it takes none.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use std::{fs, process};

use examples::show::{Show, Stopwatch};
use roundel::blocking::{ThreadPool, unblock};
use roundel::group::gather;
use roundel::spawn;
use roundel::time;

const USAGE: &str = "\
usage: threads [file|two|primes|pool] [--virtual]
  file       a file is written and read by a thread
  two        two jobs of two seconds, on two threads
  primes     the primes below 10,000, counted by one thread
  pool       the same by four threads, in ten pieces
  --virtual  the clock stands still while a job runs";

const LIMIT: u32 = 10_000;

/// What `std::fs` can do, and only by blocking.
fn write_and_read(path: &Path) -> std::io::Result<usize> {
    fs::write(path, vec![7; 1 << 20])?;
    let length = fs::read(path)?.len();
    fs::remove_file(path)?;
    Ok(length)
}

async fn file(watch: Stopwatch) {
    let path: PathBuf = std::env::temp_dir().join(format!("roundel-threads-{}", process::id()));
    let job = unblock(move || write_and_read(&path));
    watch.say("the job is with a thread; the loop is free");
    let length = job.await.expect("it does not panic").expect("a folder for temporary files");
    watch.say(format_args!("the file was written and read: {length} bytes"));
}

async fn two(watch: Stopwatch) {
    let jobs = ["first", "second"].map(|name| {
        unblock(move || {
            thread::sleep(Duration::from_secs(2)); // Here it may block.
            name
        })
    });
    watch.say("two jobs of two seconds are with two threads");
    let waiting = spawn(async move {
        for _ in 0..3 {
            time::sleep(Duration::from_millis(500)).await;
            watch.say("the loop goes on");
        }
    });
    for done in gather(jobs).await {
        watch.say(format_args!("done: {}", done.expect("it does not panic")));
    }
    waiting.cancel();
}

fn is_prime(number: u32) -> bool {
    number > 1
        && (2..number).take_while(|divisor| divisor * divisor <= number).all(|d| !number.is_multiple_of(d))
}

fn primes_in(numbers: std::ops::Range<u32>) -> usize {
    numbers.filter(|number| is_prime(*number)).count()
}

async fn primes(watch: Stopwatch) {
    watch.say("counting");
    let count = unblock(|| primes_in(0..LIMIT)).await.expect("it does not panic");
    watch.say(format_args!("found {count} primes"));
}

async fn pool(watch: Stopwatch) {
    let pool = ThreadPool::new(4).named("counter");
    let pieces = (0..10).map(|piece| piece * LIMIT / 10..(piece + 1) * LIMIT / 10);
    let counts = pool.map(pieces, primes_in).await.expect("it does not panic");
    watch.say(format_args!("{counts:?}, in the order of the pieces"));
    watch.say(format_args!("found {} primes", counts.iter().sum::<usize>()));
}

fn main() {
    let show = Show::new(USAGE, &["file", "two", "primes", "pool"]);
    show.part("file", "a file, which can only be read by blocking", file);
    show.part("two", "two jobs of two seconds take two seconds", two);
    show.part("primes", "one thread computes, the loop does not", primes);
    show.part("pool", "four threads, ten pieces, results in order", pool);
}
