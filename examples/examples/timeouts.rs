//! Two seconds for an answer that takes ten: how to stop waiting, and what happens to the work.
//!
//! Run it with `cargo run --release --example timeouts`.
//!
//! Facts. [`timeout`](roundel::time::timeout) drops the future at its deadline, so whatever the future held is free at
//! that moment: a place in a pool, a lock, a connection. A cleanup that has to wait goes on as a task of its own, and
//! the timeout does not wait for it. (asyncio's `wait_for` does: a cleanup of 0.3 s makes a timeout of 0.1 s take 0.4
//! s.)

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::cancel::with_cleanup;
use roundel::sync::Semaphore;
use roundel::time;

const USAGE: &str = "\
usage: timeouts [query|tie|place|cleanup] [--virtual]
  query      a query of ten seconds, and a timeout of two
  tie        an answer that comes exactly at the deadline
  place      the only place of a pool is free again
  cleanup    a cleanup that takes longer than the timeout
  --virtual  the clock jumps to the next deadline whenever no task can go on";

/// Asks a slow database.
async fn query(takes: Duration) -> &'static str {
    time::sleep(takes).await;
    "3 rows"
}

async fn slow_query(watch: Stopwatch) {
    watch.say("asks for rows, and waits for two seconds");
    match time::timeout(Duration::from_secs(2), query(Duration::from_secs(10))).await {
        Ok(rows) => watch.say(rows),
        Err(error) => watch.say(format_args!("no rows: {error}")),
    }
}

async fn tie(watch: Stopwatch) {
    let second = Duration::from_secs(1);
    let answer = time::timeout(second, query(second)).await;
    watch.say(format_args!("the query is polled before the deadline is looked at: {answer:?}"));
    let nothing = time::timeout(Duration::ZERO, async { 7 }).await;
    watch.say(format_args!("no time at all is enough for what is ready: {nothing:?}"));
}

async fn place(watch: Stopwatch) {
    let pool = Semaphore::new(1);
    let hung = async {
        let _place = pool.acquire().await;
        query(Duration::MAX).await
    };
    watch.say("a query that never ends takes the only place");
    let error = time::timeout(Duration::from_secs(1), hung).await.expect_err("it never ends");
    watch.say(format_args!("{error}; places free: {}", pool.available()));
}

async fn cleanup(watch: Stopwatch) {
    let session = with_cleanup(query(Duration::from_secs(10)), async move || {
        watch.say("cleanup: says good-bye to the database");
        time::sleep(Duration::from_millis(300)).await;
        watch.say("cleanup: done");
    });
    let error = time::timeout(Duration::from_millis(100), session).await.expect_err("it takes longer");
    watch.say(format_args!("main: {error}, and we go on"));
    time::sleep(Duration::from_millis(400)).await;
}

fn main() {
    let show = Show::new(USAGE, &["query", "tie", "place", "cleanup"]);
    show.part("query", "ten seconds of work, two of patience", slow_query);
    show.part("tie", "an answer at the deadline", tie);
    show.part("place", "what was held is free", place);
    show.part("cleanup", "a timeout does not wait for a cleanup", cleanup);
}
