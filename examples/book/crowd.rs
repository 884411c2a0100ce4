//! What waiting costs: many threads beside many tasks.
//!
//! Run it with `cargo run --release --example crowd`. Only Linux says how much memory and processor time was used.
//!
//! Facts. Whatever waits needs memory for what it will do next. A thread has a stack, and the kernel keeps more data
//! for it; a task has its future. A switch between threads goes through the kernel; a switch between tasks is a return
//! and a call.
//!
//! What follows. A thousand threads are no problem, and neither are a hundred thousand tasks. The waiting itself costs
//! neither of them any processor time.

#![forbid(unsafe_code)]

use std::fs;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use examples::{args, println};
use roundel::{spawn, time, yield_now};

/// In kilobytes, by the kernel's count.
fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

/// How long this thread has had a processor so far.
fn processor_time() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn tell(who: &str, count: usize, before: Option<u64>, begin: Instant) {
    let (Some(before), Some(after)) = (before, resident_memory()) else { return };
    let (each, took) = (after.saturating_sub(before) * 1024 / count as u64, begin.elapsed());
    println!("{count} {who} that wait: begun in {} ms, {each} bytes of memory each", took.as_millis());
}

fn threads_that_wait(count: usize) {
    let (before, begin) = (resident_memory(), Instant::now());
    let [begun, end] = [(); 2].map(|()| Arc::new(Barrier::new(count + 1)));
    let wait = || {
        let (begun, end) = (Arc::clone(&begun), Arc::clone(&end));
        thread::spawn(move || {
            begun.wait();
            end.wait();
        })
    };
    let threads: Vec<_> = (0..count).map(|_| wait()).collect();
    begun.wait();
    tell("threads", count, before, begin);
    end.wait();
    threads.into_iter().for_each(|thread| thread.join().expect("it only waits"));
}

async fn tasks_that_wait(count: usize) {
    let (before, begin) = (resident_memory(), Instant::now());
    let tasks: Vec<_> = (0..count).map(|_| spawn(time::sleep(Duration::from_secs(3600)))).collect();
    yield_now().await;
    tell("tasks", count, before, begin);
    tasks.iter().for_each(|task| task.cancel());
}

async fn a_thousand_answers() {
    let (before, begin) = (processor_time(), Instant::now());
    let tasks: Vec<_> = (0..1000).map(|_| spawn(time::sleep(Duration::from_millis(100)))).collect();
    for task in tasks {
        task.await.expect("no sleep panics");
    }
    let took = begin.elapsed().as_millis();
    let (Some(before), Some(after)) = (before, processor_time()) else { return };
    println!("1000 waits of 100 ms: {took} ms, processor time {} ms", (after - before).as_millis());
}

fn main() {
    args::none();
    roundel::run(async {
        a_thousand_answers().await;
        tasks_that_wait(100_000).await;
    });
    threads_that_wait(1000);
}
