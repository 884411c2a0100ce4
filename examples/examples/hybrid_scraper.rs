//! One thread fetches ten pages, and others compute their digests: first after all fetches, then for each page as it
//! arrives.
//!
//! Run it with `cargo run --release --example hybrid_scraper`, and again with `-- --streaming`. The server is a task of
//! the same process (`delays.rs`).
//!
//! Facts. One thread is enough to wait for ten pages; computing takes as many as there are processors. If each page
//! goes to the pool as soon as it arrives, the pool works while the other pages are still on their way. But handing
//! over a job has a cost: microseconds for a thread, more for a process. The digest of nine bytes takes less than that.
//! `--compare` shows where a pool pays.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::time::Instant;

use examples::args::Args;
use examples::delays::DelayServer;
use examples::http_client::Client;
use examples::println;
use examples::sha512::{hex, sha512};
use examples::show::{Show, Stopwatch};
use roundel::blocking::ThreadPool;
use roundel::group::gather;
use roundel::workers::{self, ProcessPool};

const USAGE: &str = "\
usage: hybrid_scraper [--streaming|--compare] [--processes] [--virtual]
  --streaming  each page is hashed as soon as it arrives, while others are on their way
  --processes  the digests are computed by processes, not by threads
  --compare    the digests of short and of long pages: here, by threads, by processes
  --virtual    the clock jumps to the next deadline whenever no task can go on; not with --processes";

const WORKERS: usize = 4;

/// What computes the digests.
enum Pool {
    Threads(ThreadPool),
    Processes(ProcessPool),
}

impl Pool {
    fn new(processes: bool) -> Pool {
        match processes {
            true => Pool::Processes(ProcessPool::new(WORKERS).expect("`serve` was called")),
            false => Pool::Threads(ThreadPool::new(WORKERS).named("hasher")),
        }
    }

    async fn digest(&self, page: Vec<u8>) -> String {
        let digest = match self {
            Pool::Threads(pool) => pool.run(move || sha512(&page).to_vec()).await.expect("it does not panic"),
            Pool::Processes(pool) => pool.run("sha512", page).await.expect("it does not fail"),
        };
        hex(&digest)
    }
}

/// The jobs of a worker process.
fn sha512_job(page: &[u8]) -> Result<Vec<u8>, String> {
    Ok(sha512(page).to_vec())
}

/// Ten addresses; page 1 takes 100 ms, page 10 a second.
async fn pages() -> (DelayServer, Vec<(u32, String)>) {
    let server = DelayServer::start().await.expect("a port");
    let target = |page| format!("/page-{page}?wait={}&text=HTML_DATA", page * 100);
    let urls = (1..=10).map(|page| (page, server.url(&target(page)))).collect();
    (server, urls)
}

async fn fetch(watch: Stopwatch, client: &Client, page: u32, url: &str) -> Vec<u8> {
    let answer = client.get(url).await.expect("the server is well");
    watch.say(format_args!("page {page}: fetched, {} bytes", answer.body.len()));
    answer.body
}

async fn hash(watch: Stopwatch, pool: &Pool, page: u32, body: Vec<u8>) -> String {
    let digest = pool.digest(body).await;
    watch.say(format_args!("page {page}: hashed, {}…", &digest[..16]));
    digest
}

async fn all_fetches_first(watch: Stopwatch, pool: &Pool) {
    let ((_server, urls), client) = (pages().await, Client::new(10));
    let bodies = gather(urls.iter().map(|(page, url)| fetch(watch, &client, *page, url))).await;
    let jobs = bodies.into_iter().zip(&urls).map(|(body, (page, _))| hash(watch, pool, *page, body));
    report(watch, &gather(jobs).await);
}

async fn streaming(watch: Stopwatch, pool: &Pool) {
    let ((_server, urls), client) = (pages().await, Client::new(10));
    let digests = gather(urls.iter().map(async |(page, url)| {
        let body = fetch(watch, &client, *page, url).await;
        hash(watch, pool, *page, body).await // The other nine go on meanwhile.
    }));
    report(watch, &digests.await);
}

fn report(watch: Stopwatch, digests: &[String]) {
    let distinct: BTreeSet<&String> = digests.iter().collect();
    watch.say(format_args!("{} digests, {} distinct:", digests.len(), distinct.len()));
    distinct.iter().for_each(|digest| println!("{digest}"));
}

async fn compare() {
    let pools = [Pool::new(false), Pool::new(true)];
    for pool in &pools {
        gather((0..WORKERS).map(|_| pool.digest(vec![0; 1 << 16]))).await; // All of them have been started.
    }
    for (size, name) in [(9, "9 bytes"), (10 << 10, "10 KiB"), (100 << 10, "100 KiB"), (1 << 20, "1 MiB")] {
        let pages: Vec<Vec<u8>> = (0..10).map(|_| vec![b'x'; size]).collect();
        let start = Instant::now();
        let here: Vec<String> = pages.iter().map(|page| hex(&sha512(page))).collect();
        println!("ten pages of {name:8}  here:         {:9.3} ms", start.elapsed().as_secs_f64() * 1e3);
        for (pool, name) in pools.iter().zip(["by threads:  ", "by processes:"]) {
            let start = Instant::now();
            let there = gather(pages.iter().map(|page| pool.digest(page.clone()))).await;
            assert_eq!(there, here);
            println!("{:23}{name} {:9.3} ms", "", start.elapsed().as_secs_f64() * 1e3);
        }
    }
}

fn main() {
    workers::serve(&[("sha512", sha512_job)]); // In a worker, this does not return.
    let mut args = Args::new(USAGE);
    let (is_streaming, compares) = (args.flag("--streaming"), args.flag("--compare"));
    let processes = args.flag("--processes");
    let show = Show::with(args, &[]);
    if processes && show.is_virtual() {
        // A virtual clock does not know that a process is working, and would jump ahead.
        Args::new(USAGE).refuse("--virtual and --processes do not go together: leave out one of them");
    }
    show.run(async |watch| match Pool::new(processes) {
        _ if compares => compare().await,
        pool if is_streaming => streaming(watch, &pool).await,
        pool => all_fetches_first(watch, &pool).await,
    });
}
