//! Fetching pages: a few, of which some fail; a thousand at once; and five thousand within limits.
//!
//! Run it with `cargo run --release --example web_scraper`. The server is a task of the same process (`delays.rs`).
//!
//! Facts. A thousand pages of 100 ms take 100 seconds one after the other, and little more than 100 ms together. That
//! is time on the clock. The work for the processor stays the same, some fifty microseconds for each page, most of it
//! for connecting. So over connections that are already open, a thousand pages take hardly longer than one. The error
//! of one page is a value, and the other fetches go on.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use examples::delays::DelayServer;
use examples::http_client::{Client, FetchError};
use examples::limits::raise_open_files;
use examples::show::{Show, Stopwatch};
use roundel::group::{for_each_concurrent, gather};
use roundel_net::TcpSocket;
use rustix::time::{ClockId, clock_gettime};

const USAGE: &str = "\
usage: web_scraper [endpoints|thousand|limited] [--virtual]
  endpoints  five addresses, of which three fail, each in its own way
  thousand   a thousand pages of 100 ms, all at once
  limited    five thousand pages of 100 ms, five hundred at once
  --virtual  the clock jumps to the next deadline whenever no task can go on";

/// A port that is taken but not listened on, so that every connection to it is refused.
fn refused_port() -> io::Result<(TcpSocket, String)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let url = format!("http://{}/archive", socket.local_addr()?);
    Ok((socket, url))
}

async fn endpoints(watch: Stopwatch) {
    let server = DelayServer::start().await.expect("a port");
    let (_taken, archive) = refused_port().expect("a port");
    let urls = [
        ("users", server.url("/users?wait=200&text=ann,bob")),
        ("prices", server.url("/prices?wait=100&text=3.50")),
        ("orders", server.url("/orders?wait=50&status=500")),
        ("reports", server.url("/reports?wait=5000")),
        ("archive", archive),
    ];
    let client = Client::new(10).patience(Duration::from_secs(1));
    let good = gather(urls.iter().map(async |(name, url)| {
        let problem = match client.get(url).await {
            Ok(answer) if answer.status == 200 => {
                watch.say(format_args!("{name}: {}", String::from_utf8_lossy(&answer.body)));
                return true;
            }
            Ok(answer) => format!("status {}", answer.status),
            Err(FetchError::NoConnection(error)) => error.kind().to_string(),
            Err(error) => error.to_string(),
        };
        watch.say(format_args!("{name}: nothing: {problem}"));
        false
    }))
    .await;
    let count = good.iter().filter(|good| **good).count();
    watch.say(format_args!("{count} of {} endpoints have answered", good.len()));
}

/// Fetches this many pages, once for each name; all rounds share their connections.
async fn fetch(watch: Stopwatch, pages: usize, limit: usize, rounds: &[&str], is_virtual: bool) {
    let server = DelayServer::start().await.expect("a port");
    let limit = limit.min(possible_connections());
    let (url, client) = (server.url("/page?wait=100"), Client::new(limit));
    for round in rounds {
        let (start, worked, done) = (watch.elapsed(), processor_time(), Cell::new(0));
        for_each_concurrent(limit, 0..pages, async |_| {
            let answer = client.get(&url).await.expect("the server is well");
            assert_eq!(answer.status, 200);
            done.set(done.get() + 1);
            if done.get() % (pages / 5) == 0 {
                watch.say(format_args!("{} of {pages} pages", done.get()));
            }
        })
        .await;
        let took = (watch.elapsed() - start).as_millis();
        watch.say(format_args!("{pages} pages {round}: {took} ms, not {} s", pages / 10));
        if !is_virtual {
            let worked = (processor_time() - worked).as_millis();
            watch.say(format_args!("of that the processor, client and server together: {worked} ms"));
        }
    }
    let (most, made) = (server.seen.most_open.get(), client.connected());
    watch.say(format_args!("at most {most} connections at once, {made} made"));
}

/// The processor time of this process.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("not negative")
}

/// How many connections are possible. Each takes two descriptors here.
fn possible_connections() -> usize {
    (raise_open_files().saturating_sub(50) / 2) as usize
}

fn main() {
    let show = Show::new(USAGE, &["endpoints", "thousand", "limited"]);
    let is_virtual = show.is_virtual();
    show.part("endpoints", "five addresses, and errors that are values", endpoints);
    show.part("thousand", "a thousand pages, all at once; and again", async |watch| {
        fetch(watch, 1000, 1000, &["over new connections", "over the same connections"], is_virtual).await;
    });
    show.part("limited", "five thousand pages, five hundred at once", async |watch| {
        fetch(watch, 5000, 500, &["over five hundred connections"], is_virtual).await;
    });
}
