//! Memory that several threads share: a counter, and the numbers from one to eight.
//!
//! Run it with `cargo run --release --example shared`.
//!
//! Facts. What threads share has to be an atomic or behind a lock, and the compiler insists on that. It does not insist
//! on the right operation: reading an atomic and then writing it are two steps, and another thread may come in between.
//! Here barriers *make* it come in between, because a race that may or may not happen proves nothing.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use examples::show::{Show, Stopwatch};
use roundel::blocking::ThreadPool;
use roundel::group::gather;

const USAGE: &str = "\
usage: shared [counter|squares|lost] [--virtual]
  counter    four threads count to 100,000 each
  squares    eight numbers, squared in place by two threads
  lost       the counter again, with a read and a write instead of an addition
  --virtual  the clock stands still while a job runs";

const THREADS: usize = 4;

/// Runs `job` on four threads at once.
async fn on_four_threads(job: impl Fn() + Clone + Send + 'static) {
    let pool = ThreadPool::new(THREADS);
    for outcome in gather((0..THREADS).map(|_| pool.run(job.clone()))).await {
        outcome.expect("it does not panic");
    }
}

async fn counter(watch: Stopwatch) {
    let count = Arc::new(Mutex::new(0));
    let theirs = count.clone();
    on_four_threads(move || (0..100_000).for_each(|_| *theirs.lock().unwrap() += 1)).await;
    watch.say(format_args!("under a lock: {}", count.lock().unwrap()));
    let count = Arc::new(AtomicU32::new(0));
    let theirs = count.clone();
    on_four_threads(move || {
        (0..100_000).for_each(|_| {
            theirs.fetch_add(1, Ordering::Relaxed);
        });
    })
    .await;
    watch.say(format_args!("as an atomic: {}", count.load(Ordering::Relaxed)));
}

async fn squares(watch: Stopwatch) {
    let numbers: Arc<Mutex<Vec<u32>>> = Arc::new(Mutex::new((1..=8).collect()));
    let pool = ThreadPool::new(2);
    let halves = [0..4, 4..8].map(|half| {
        let numbers = numbers.clone();
        pool.run(move || numbers.lock().unwrap()[half].iter_mut().for_each(|number| *number *= *number))
    });
    for outcome in gather(halves).await {
        outcome.expect("it does not panic");
    }
    watch.say(format_args!("{:?}", numbers.lock().unwrap()));
}

async fn lost(watch: Stopwatch) {
    let (count, all_here) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(THREADS)));
    let theirs = count.clone();
    on_four_threads(move || {
        for _ in 0..10 {
            let seen = theirs.load(Ordering::SeqCst);
            all_here.wait(); // All threads have read before any of them writes.
            theirs.store(seen + 1, Ordering::SeqCst);
            all_here.wait();
        }
    })
    .await;
    watch.say(format_args!("four threads, ten times each: {}, not 40", count.load(Ordering::SeqCst)));
}

fn main() {
    let show = Show::new(USAGE, &["counter", "squares", "lost"]);
    show.part("counter", "four times 100,000", counter);
    show.part("squares", "one to eight, squared in place", squares);
    show.part("lost", "reading and then writing is not adding", lost);
}
