//! The rows of servers: echo, hello over HTTP, connections that come and go.
//!
//! Facts. One run gives requests per second, their latencies, and the server's processor time. Loopback is no network:
//! the servers differ in what they do for a message, and in when they notice it. If the client is the slower side,
//! requests per second are the client's; processor time per request is always the server's.
//!
//! What follows. Every server is a process on its own core, and the client has another one. The work is the same for
//! every contender. A row is named `WHAT, N connections: MEASURE`, so that rows which differ in one of the three can be
//! compared:
//!
//! | WHAT | |
//! |---|---|
//! | `echo SIZE` | one message in flight on each connection; SIZE is `64 B`, `1 KiB`, `16 KiB`, `100 KiB` |
//! | `echo SIZE, default buffers` | each contender has the buffers of its own runtime, not the agreed 16 KiB |
//! | `echo SIZE, M in flight` | M of them |
//! | `echo SIZE at R/s` | fixed rate: latencies count from when a message was due; the curve has the name without MEASURE |
//! | `hello` | GET, "Hello, world!" |
//!
//! N is `1 connection`, `50 connections`, `1,000 connections`. MEASURE is `requests` (1/s), `CPU per request` (ns, the
//! server's), `p50`, `p99`, `p99.9` (ns). And there is `accept storm, 50 at once: connections` (1/s) and `: CPU per
//! connection` (ns): connect, one echo, reset.
//!
//! What it does not know: memory per connection, which is counted elsewhere.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::client::{Client, Outcome, Pace, Words, histogram, storm};
use crate::contenders::guests;
use crate::faceoff::job::{Job, Miss};
use crate::faceoff::pins::Pinned;
use crate::faceoff::plan::Plan;
use crate::faceoff::report::{Curve, Unit};
use crate::faceoff::servers::{PATIENCE, Servers, present};
use crate::server::{self, Server};

const GROUP: &str = "network";
/// The percentiles of a curve.
const PERCENTILES: [f64; 14] =
    [0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.99, 100.0];

/// What to measure in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Requests,
    Cpu,
    /// In thousandths.
    Percentile(u32),
}
use Measure::{Cpu, Percentile, Requests};

const BOTH: &[Measure] = &[Requests, Cpu];
const WITH_LATENCY: &[Measure] = &[Requests, Cpu, Percentile(500), Percentile(990)];
const LATENCY: &[Measure] = &[Cpu, Percentile(500), Percentile(990), Percentile(999)];

impl Measure {
    fn row(self, cell: &Cell) -> (String, Unit) {
        let (name, one) = (cell.name(), if cell.kind == Kind::Storm { "connection" } else { "request" });
        match self {
            Requests => (format!("{name}: {one}s"), Unit::PerSecond),
            Cpu => (format!("{name}: CPU per {one}"), Unit::Nanoseconds),
            Percentile(share) => (format!("{name}: p{}", f64::from(share) / 10.0), Unit::Nanoseconds),
        }
    }

    fn of(self, outcome: &Outcome, cpu: u64) -> f64 {
        match self {
            Requests => outcome.answered as f64 / outcome.took.as_secs_f64(),
            Cpu => cpu as f64 / outcome.answered as f64,
            Percentile(share) => outcome.latencies.value_at_quantile(f64::from(share) / 1e3) as f64,
        }
    }
}

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Echo {
        size: usize,
        pace: Pace,
    },
    /// One message in flight, and buffers of the size that each contender has by default.
    ByDefault {
        size: usize,
    },
    Hello,
    Storm,
}

impl Kind {
    fn words(self) -> Words {
        match self {
            Kind::Echo { size, .. } | Kind::ByDefault { size } => Words::echo(size),
            Kind::Hello => Words::hello(),
            Kind::Storm => Words::echo(64),
        }
    }

    fn name(self) -> String {
        match self {
            Kind::Echo { size, pace: Pace::InFlight(1) } => format!("echo {}", bytes(size)),
            Kind::Echo { size, pace: Pace::InFlight(most) } => {
                format!("echo {}, {most} in flight", bytes(size))
            }
            Kind::Echo { size, pace: Pace::PerSecond(rate) } => {
                format!("echo {} at {}/s", bytes(size), thousands(rate))
            }
            Kind::ByDefault { size } => format!("echo {}, default buffers", bytes(size)),
            Kind::Hello | Kind::Storm => "hello".into(),
        }
    }
}

fn bytes(size: usize) -> String {
    if size < 1024 { format!("{size} B") } else { format!("{} KiB", size >> 10) }
}

/// With a comma, if there are any.
fn thousands(number: u64) -> String {
    match number {
        1000.. => format!("{},{:03}", number / 1000, number % 1000),
        _ => number.to_string(),
    }
}

/// The same load for all contenders.
#[derive(Clone, Copy, Debug)]
struct Cell {
    kind: Kind,
    connections: usize,
    /// How many requests a run has, over all connections.
    requests: u64,
    measures: &'static [Measure],
    /// Whether a quick run has it, too.
    quick: bool,
    /// Whether the guests, which are slow, are measured, too.
    guests: bool,
}

impl Cell {
    fn name(&self) -> String {
        if self.kind == Kind::Storm {
            return format!("accept storm, {} at once", self.connections);
        }
        let ending = if self.connections == 1 { "" } else { "s" };
        format!("{}, {} connection{ending}", self.kind.name(), thousands(self.connections as u64))
    }

    /// Runs it once; returns the outcome, and the processor time of the server.
    fn run(&self, server: &Server) -> Result<(Outcome, u64), Miss> {
        let _pinned = Pinned::beside(server.pid());
        if self.kind == Kind::Storm {
            let before = server.calm_cpu();
            let (at_once, all) = (self.connections, self.requests as usize);
            let took = storm(server.address(), at_once, all, &self.kind.words(), PATIENCE)?;
            let outcome = Outcome { took, answered: self.requests, latencies: histogram() };
            return Ok((outcome, spent(before, server)));
        }
        let pace = if let Kind::Echo { pace, .. } = self.kind { pace } else { Pace::InFlight(1) };
        let mut client = Client::connect(server.address(), self.connections, self.kind.words(), PATIENCE)?;
        let before = server.calm_cpu();
        let outcome = client.run(self.requests / self.connections as u64, pace)?;
        let cpu = spent(before, server);
        drop(client);
        server.calm_cpu(); // It closes its connections now, not when the next one is measured.
        Ok((outcome, cpu))
    }

    /// How long a run takes on a machine of some age.
    fn guess(&self) -> Duration {
        let Cell { kind, connections, requests, .. } = *self;
        let one = match kind {
            Kind::Echo { pace: Pace::PerSecond(rate), .. } => 1_000_000_000 / rate,
            Kind::Echo { pace: Pace::InFlight(16), .. } => 3_000,
            Kind::Echo { size, .. } | Kind::ByDefault { size } => {
                10_000 + if connections == 1 { 30_000 } else { 0 } + size as u64 / 2
            }
            Kind::Hello => 12_000,
            Kind::Storm => 60_000,
        };
        Duration::from_nanos(requests * one + connections as u64 * 60_000 + 15_000_000)
    }
}

fn spent(before: Option<u64>, server: &Server) -> u64 {
    server.calm_cpu().unwrap_or(0).saturating_sub(before.unwrap_or(0))
}

const fn echo(size: usize, connections: usize, requests: u64) -> Cell {
    let kind = Kind::Echo { size, pace: Pace::InFlight(1) };
    Cell { kind, connections, requests, measures: BOTH, quick: false, guests: false }
}

const KIB: usize = 1024;

#[rustfmt::skip] // A table is read by columns.
const CELLS: [Cell; 17] = [
    Cell { measures: WITH_LATENCY, ..echo(64, 1, 4_000) },
    Cell { measures: WITH_LATENCY, quick: true, guests: true, ..echo(64, 50, 10_000) },
    Cell { quick: true, ..echo(64, 1_000, 10_000) },
    Cell { quick: true, ..echo(KIB, 1, 3_000) },
    echo(KIB, 50, 10_000),
    echo(KIB, 1_000, 10_000),
    echo(16 * KIB, 1, 2_000),
    echo(16 * KIB, 50, 6_000),
    echo(16 * KIB, 1_000, 6_000),
    echo(100 * KIB, 1, 1_000),
    Cell { guests: true, ..echo(100 * KIB, 50, 1_500) },
    echo(100 * KIB, 1_000, 2_000),
    Cell { kind: Kind::ByDefault { size: 100 * KIB }, guests: true, ..echo(100 * KIB, 50, 1_500) },
    Cell { kind: Kind::Echo { size: 64, pace: Pace::InFlight(16) }, quick: true, ..echo(64, 50, 40_000) },
    Cell { kind: Kind::Storm, quick: true, ..echo(64, 50, 2_000) },
    Cell { kind: Kind::Hello, quick: true, guests: true, measures: WITH_LATENCY, ..echo(64, 50, 10_000) },
    Cell { kind: Kind::Echo { size: 64, pace: Pace::PerSecond(RATE) }, quick: true, guests: true,
           measures: LATENCY, ..echo(64, 50, 3_000) },
];
const RATE: u64 = 5_000;

pub fn network(plan: &Plan, left_out: &mut Vec<String>) -> Vec<Job> {
    left_out.extend(present().notes.iter().map(|note| format!("{GROUP}: {note}")));
    if server::cpu("self").is_none() {
        left_out
            .push(format!("{GROUP}: processor time per request needs Linux, and its /proc/PID/schedstat"));
    }
    if plan.quick {
        left_out.push(format!("{GROUP}: a quick run has fewer sizes and numbers of connections"));
    }
    CELLS.into_iter().filter(|cell| cell.quick || !plan.quick).map(|cell| job(plan, cell)).collect()
}

fn job(plan: &Plan, cell: Cell) -> Job {
    let mut cell = cell;
    if plan.quick {
        cell.requests = (cell.requests / 6).max(5 * cell.connections as u64);
    }
    let guest = |name: &&str| guests::NAMES.contains(name);
    let contenders = present().names.iter().copied().filter(|name| cell.guests || !guest(name)).collect();
    let has_cpu = server::cpu("self").is_some();
    let measures: Vec<Measure> =
        cell.measures.iter().copied().filter(|measure| has_cpu || *measure != Cpu).collect();
    let rows = measures.iter().map(|measure| measure.row(&cell)).collect();
    let (mut servers, curves) = (Servers::that(talk(cell.kind)), Curves::new(&cell));
    let drawn = curves.clone();
    let run = move |who| {
        let (outcome, cpu) = servers.with(who, |server| cell.run(server))?;
        curves.add(who, &outcome.latencies);
        Ok(measures.iter().map(|measure| measure.of(&outcome, cpu)).collect())
    };
    Job {
        rounds: if plan.quick { 3 } else { 11 },
        guess: cell.guess(),
        run: Box::new(run),
        curves: Box::new(move || drawn.finished()),
        ..Job::new(GROUP, rows, contenders)
    }
}

fn talk(kind: Kind) -> &'static str {
    match kind {
        Kind::Hello => "hello",
        Kind::ByDefault { .. } => "by-default",
        Kind::Echo { .. } | Kind::Storm => "echo",
    }
}

/// By contender; empty after the first round.
type Merged = BTreeMap<&'static str, Option<Histogram<u64>>>;

/// The latencies of all rounds but the first; only where messages are sent at a fixed rate.
#[derive(Clone)]
struct Curves {
    name: Option<String>,
    merged: Rc<RefCell<Merged>>,
}

impl Curves {
    fn new(cell: &Cell) -> Curves {
        let fixed = matches!(cell.kind, Kind::Echo { pace: Pace::PerSecond(_), .. });
        Curves { name: fixed.then(|| cell.name()), merged: Rc::default() }
    }

    fn add(&self, who: &'static str, latencies: &Histogram<u64>) {
        let mut merged = self.merged.borrow_mut();
        match merged.get_mut(who) {
            None => drop(merged.insert(who, None)), // The first round does not count.
            Some(all) => all.get_or_insert_with(histogram).add(latencies).expect("all have the same bounds"),
        }
    }

    fn finished(self) -> Vec<Curve> {
        let Some(name) = self.name else { return Vec::new() };
        let merged = self.merged.take().into_iter().filter_map(|(who, all)| Some((who, all?)));
        let points = |all: &Histogram<u64>| {
            PERCENTILES.map(|share| (share, all.value_at_quantile(share / 100.0) as f64)).to_vec()
        };
        merged
            .map(|(who, all)| Curve { name: name.clone(), contender: who.into(), points: points(&all) })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_so_that_they_can_be_found() {
        let names = CELLS.map(|cell| cell.name());
        let known = [
            "echo 64 B, 1 connection",
            "echo 64 B, 50 connections",
            "echo 1 KiB, 1,000 connections",
            "echo 64 B, 16 in flight, 50 connections",
            "accept storm, 50 at once",
            "hello, 50 connections",
            "echo 64 B at 5,000/s, 50 connections",
        ];
        known
            .iter()
            .for_each(|name| assert!(names.iter().any(|other| other == name), "no {name}: {names:?}"));
        let rows: Vec<String> = LATENCY.iter().map(|measure| measure.row(&CELLS[0]).0).collect();
        let measures = ["CPU per request", "p50", "p99", "p99.9"];
        assert_eq!(rows, measures.map(|measure| format!("echo 64 B, 1 connection: {measure}")));
    }

    #[test]
    fn every_contender_does_all_of_the_same_work() {
        for cell in CELLS.iter().filter(|cell| cell.kind != Kind::Storm) {
            assert_eq!(cell.requests % cell.connections as u64, 0, "{}", cell.name());
        }
    }

    #[test]
    fn a_curve_is_of_the_rounds_that_are_counted() {
        let curves = Curves::new(&CELLS[CELLS.len() - 1]);
        for nanoseconds in [9_000, 100, 200] {
            let mut latencies = histogram();
            latencies.record(nanoseconds).unwrap();
            curves.add("roundel", &latencies);
        }
        let curve = &curves.finished()[0];
        assert_eq!(curve.name, "echo 64 B at 5,000/s, 50 connections");
        assert_eq!((curve.points[0], *curve.points.last().unwrap()), ((0.0, 100.0), (100.0, 200.0)));
        assert!(Curves::new(&CELLS[0]).finished().is_empty());
    }
}
