//! A hundred requests to one server: first with a connection each, then with five connections that are used again and
//! again.
//!
//! Run it with `cargo run --release --example connection_pool`.
//!
//! Facts. Connecting costs a round trip, and a descriptor on both sides. A pool limits the number of connections, lends
//! them out in turn, and takes them back. A connection that comes back may be broken, so the pool checks it before it
//! lends it out again.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::delays::DelayServer;
use examples::http_client::Client;
use examples::show::{Show, Stopwatch};
use roundel::group::gather;

const USAGE: &str = "\
usage: connection_pool [fresh|pooled|broken] [--virtual]
  fresh      each request makes a connection
  pooled     five connections for all of them
  broken     a connection whose answer was not read is not used again
  --virtual  the clock jumps to the next deadline whenever no task can go on";

const REQUESTS: usize = 100;

async fn fresh(watch: Stopwatch) {
    let server = DelayServer::start().await.expect("a port");
    let url = server.url("/row?wait=10");
    gather((0..REQUESTS).map(async |_| {
        Client::new(1).get(&url).await.expect("the server is well");
    }))
    .await;
    report(watch, &server);
}

async fn pooled(watch: Stopwatch) {
    let server = DelayServer::start().await.expect("a port");
    let (url, client) = (server.url("/row?wait=10"), Client::new(5));
    gather((1..=REQUESTS).map(async |number| {
        client.get(&url).await.expect("the server is well");
        if number % 25 == 0 {
            watch.say(format_args!("{number} of {REQUESTS} are answered"));
        }
    }))
    .await;
    report(watch, &server);
}

fn report(watch: Stopwatch, server: &DelayServer) {
    let seen = &server.seen;
    let (requests, connections) = (seen.requests.get(), seen.connections.get());
    watch.say(format_args!("the server has seen {requests} requests on {connections} connections"));
}

async fn broken(watch: Stopwatch) {
    let server = DelayServer::start().await.expect("a port");
    let client = Client::new(1).patience(Duration::from_millis(50));
    for wait in [10, 200, 10, 10] {
        match client.get(&server.url(&format!("/row?wait={wait}&text={wait}"))).await {
            Ok(answer) => watch.say(format_args!("answer: {}", String::from_utf8_lossy(&answer.body))),
            Err(error) => watch.say(error),
        }
    }
    watch.say(format_args!("connections made: {}; no request got the answer of another", client.connected()));
}

fn main() {
    let show = Show::new(USAGE, &["fresh", "pooled", "broken"]);
    show.part("fresh", "a connection for each of a hundred requests", fresh);
    show.part("pooled", "five connections for a hundred requests of 10 ms", pooled);
    show.part("broken", "one connection, and an answer that comes too late", broken);
}
