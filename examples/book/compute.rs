//! Four long computations: one after the other, as four tasks, and on four threads.
//!
//! Run it with `cargo run --release --example compute`. Only Linux says how long a thread has had a processor.
//!
//! Facts. A task that computes does not wait, so it leaves no time that another task could use. One processor does one
//! thing at a time; two processors do two.
//!
//! What follows. Tasks that compute take turns between their steps, and the one thread has as much to do as before.
//! Only more processors help, and using them takes threads.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use examples::{args, println};
use roundel::blocking::ThreadPool;
use roundel::{spawn, yield_now};

/// How long each thread has computed.
type Worked = Mutex<HashMap<ThreadId, Duration>>;

fn processor_time() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|word| word.parse().ok()).map(Duration::from_nanos).unwrap_or_default()
}

/// Counts the primes in a range.
fn step(from: u32, worked: &Worked) -> usize {
    let before = processor_time();
    let is_prime = |n: &u32| *n > 1 && (2..*n).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    let primes = (from..from + 1000).filter(is_prime).count();
    *worked.lock().unwrap().entry(thread::current().id()).or_default() += processor_time() - before;
    primes
}

fn compute(worked: &Worked) -> usize {
    (0..100).map(|i| step(i * 1000, worked)).sum()
}

/// The same, but it yields after each step: as polite as a computation can be.
async fn compute_politely(worked: Arc<Worked>) -> usize {
    let mut primes = 0;
    for i in 0..100 {
        primes += step(i * 1000, &worked);
        yield_now().await;
    }
    primes
}

async fn measure<F: Future<Output = usize>>(how: &str, work: impl FnOnce(Arc<Worked>) -> F) {
    let (worked, begin) = (Arc::new(Worked::default()), Instant::now());
    let (primes, took) = (work(Arc::clone(&worked)).await, begin.elapsed().as_millis());
    let busiest = worked.lock().unwrap().values().max().map_or(0, Duration::as_millis);
    println!("{how}: {primes} primes, {took} ms; the busiest thread computed for {busiest} ms");
}

async fn in_tasks(worked: Arc<Worked>) -> usize {
    let tasks = [(); 4].map(|()| spawn(compute_politely(Arc::clone(&worked))));
    let mut primes = 0;
    for task in tasks {
        primes += task.await.expect("no computation panics");
    }
    primes
}

async fn on_threads(worked: Arc<Worked>) -> usize {
    let jobs = ThreadPool::new(4).map(vec![worked; 4], |worked: Arc<Worked>| compute(&worked)).await;
    jobs.expect("no computation panics").into_iter().sum()
}

fn main() {
    args::none();
    roundel::run(async {
        measure("one after the other", async |worked| (0..4).map(|_| compute(&worked)).sum()).await;
        measure("four tasks", in_tasks).await;
        measure("four threads", on_threads).await;
    });
}
