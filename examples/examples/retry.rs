//! Trying again: not at once, and not all clients together.
//!
//! Run it with `cargo run --release --example retry`. (It takes half a minute; with `-- --virtual`, no time.)
//!
//! Facts. A request that failed because the server was overloaded fails again if it is repeated at once, so each wait
//! is longer than the one before. If a thousand clients fail together and wait for the same time, they come back
//! together: the herd. Random waits (jitter) scatter it.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use examples::println;
use examples::show::{Show, Stopwatch};
use roundel::group::gather;
use roundel::retry::{Backoff, Jitter, retry, retry_if};

const USAGE: &str = "\
usage: retry [backoff|success|permanent|herd] [--virtual]
  backoff    four attempts that fail, with two, four and eight seconds between them
  success    a server that works again at the third attempt
  permanent  an error that another attempt would not change
  herd       a thousand clients, without and with jitter
  --virtual  the clock jumps to the next deadline whenever no task can go on";

fn two_seconds() -> Backoff {
    Backoff::exponential(Duration::from_secs(2)).attempts(4)
}

async fn backoff(watch: Stopwatch) {
    let result: Result<(), &str> = retry(two_seconds(), async || {
        watch.say("attempt");
        Err("no answer")
    })
    .await;
    watch.say(format_args!("given up: {result:?}"));
}

async fn success(watch: Stopwatch) {
    let mut attempt = 0;
    let result = retry(two_seconds(), async || {
        attempt += 1;
        watch.say(format_args!("attempt {attempt}"));
        if attempt < 3 { Err("503") } else { Ok("200") }
    })
    .await;
    watch.say(format_args!("{result:?}"));
}

async fn permanent(watch: Stopwatch) {
    let is_transient = |error: &&str| *error == "503";
    let result: Result<(), &str> = retry_if(
        two_seconds(),
        async || {
            watch.say("attempt");
            Err("404")
        },
        is_transient,
    )
    .await;
    watch.say(format_args!("{result:?}: a retry would not find it either"));
}

/// How many retries arrived in each 10 ms.
type Arrivals = BTreeMap<u128, u32>;

/// A thousand clients fail at the same moment, and try twice more.
async fn stampede(jitter: Jitter) -> Arrivals {
    let (watch, arrivals) = (Stopwatch::start(), RefCell::new(Arrivals::new()));
    let backoff = Backoff::exponential(Duration::from_secs(1)).attempts(3).jitter(jitter);
    gather((0..1000).map(async |_| {
        let mut is_first = true;
        let failed: Result<(), ()> = retry(backoff.clone(), async || {
            if !std::mem::take(&mut is_first) {
                *arrivals.borrow_mut().entry(watch.elapsed().as_millis() / 10).or_default() += 1;
            }
            Err(())
        })
        .await;
        failed.expect_err("the server does not recover");
    }))
    .await;
    arrivals.into_inner()
}

/// A bar for each quarter of a second in which any client came.
fn bars(arrivals: &Arrivals) -> String {
    let quarters = arrivals.keys().max().map_or(0, |last| last / 25 + 1);
    let bar = |quarter: u128| {
        let came: u32 = arrivals.range(quarter * 25..(quarter + 1) * 25).map(|(_, count)| count).sum();
        ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][came.div_ceil(125).min(8) as usize]
    };
    (0..quarters).map(bar).collect()
}

async fn herd(watch: Stopwatch) {
    for jitter in [Jitter::None, Jitter::Equal, Jitter::Full, Jitter::Decorrelated] {
        let arrivals = stampede(jitter).await;
        let peak = arrivals.values().max().expect("some came");
        let name = format!("{jitter:?}:");
        watch.say(format_args!("{name:13} {peak:4} of 2000 retries in the busiest 10 ms"));
        println!("{:10}{}", "", bars(&arrivals));
    }
}

fn main() {
    let show = Show::new(USAGE, &["backoff", "success", "permanent", "herd"]);
    show.part("backoff", "attempts after 0, 2, 6 and 14 seconds", backoff);
    show.part("success", "the third attempt succeeds", success);
    show.part("permanent", "a permanent error is not retried", permanent);
    show.part("herd", "a thousand clients come back; a bar for each quarter of a second", herd);
}
