//! A report with all kinds of rows and invented figures: no machine has measured this.
//!
//! Contract. It is the same on every machine, and its figures are far from the truth.

use benches::contenders::NAMES;
use benches::faceoff::figures::Figure;
use benches::faceoff::report::{Curve, Machine, Report, Row, SCHEMA, Unit};

const RUNTIMES: [&str; 7] = ["roundel", "tokio", "tokio_local", "smol", "monoio", "monoio_uring", "compio"];

/// This value, with a little noise that is the same each time.
fn about(value: f64, seed: usize) -> Figure {
    let noise = |round: usize| 1.0 + ((seed * 31 + round * 17) % 11) as f64 / 120.0 - 0.04;
    Figure::new((0..7).map(|round| value * noise(round)).collect())
}

fn row(group: &str, name: &str, unit: Unit, figures: &[(&str, f64)]) -> Row {
    let seed = group.len() + name.len();
    let figures = figures.iter().enumerate();
    let figures = figures.map(|(index, (who, value))| (who.to_string(), about(*value, seed + index * 7)));
    Row { group: group.into(), name: name.into(), unit, figures: figures.collect() }
}

/// Every contender, with a factor for its cost.
fn everyone(group: &str, name: &str, unit: Unit, ours: f64, times: [f64; 6]) -> Row {
    let all: Vec<(&str, f64)> = RUNTIMES
        .into_iter()
        .zip([1.0].into_iter().chain(times))
        .map(|(who, times)| (who, ours * times))
        .collect();
    row(group, name, unit, &all)
}

fn scheduler() -> Vec<Row> {
    let row = |name, ours, times| everyone("scheduler", name, Unit::Nanoseconds, ours, times);
    vec![
        row("spawn one, await it", 74.2, [2.1, 2.3, 2.0, 1.4, 1.5, 2.2]),
        row("spawn 200,000, await all, each", 246.0, [4.1, 4.0, 1.5, 0.38, 0.47, 0.8]),
        row("wake oneself, 200 tasks × 1,000", 15.5, [1.8, 1.8, 3.0, 1.01, 0.99, 1.5]),
        row("each spawns one and awaits it, 1,000 deep", 108.0, [6.4, 5.1, 7.2, 4.3, 1.8, 362.0]),
        row("yield_now, one task alone", 15.2, [86.7, 44.9, 2.8, 5.5, 4.8, 59.0]),
    ]
}

fn network() -> Vec<Row> {
    let mut rows = Vec::new();
    for (connections, ours) in
        [("1 connection", 9_800.0), ("50 connections", 5_200.0), ("1,000 connections", 6_100.0)]
    {
        for (size, more) in [("64 B", 1.0), ("16 KiB", 2.4)] {
            let cost =
                [1.0, 1.09, 1.07, 1.22, 0.97, 0.78, 1.31, 0.96, 6.8, 3.1].map(|times| ours * more * times);
            let figures: Vec<(&str, f64)> =
                NAMES.into_iter().zip(cost).take(if size == "64 B" { 10 } else { 8 }).collect();
            rows.push(row(
                "network",
                &format!("echo {size}, {connections}: CPU per request"),
                Unit::Nanoseconds,
                &figures,
            ));
            let served: Vec<(&str, f64)> = figures.iter().map(|(who, ns)| (*who, 4e8 / ns)).collect();
            rows.push(row(
                "network",
                &format!("echo {size}, {connections}: requests/s"),
                Unit::PerSecond,
                &served,
            ));
        }
    }
    rows
}

fn counts() -> Vec<Row> {
    let row = |name, unit, ours, times| everyone("counts", name, unit, ours, times);
    vec![
        row("bytes held per idle task, of 100,000", Unit::Bytes, 136.0, [3.1, 2.9, 2.0, 0.94, 0.94, 3.0]),
        row("bytes held per sleeping task, of 100,000", Unit::Bytes, 192.0, [2.6, 2.5, 2.4, 1.9, 1.9, 2.8]),
        row("bytes held per connection, of 1,000", Unit::Bytes, 521.0, [34.0, 34.0, 33.0, 32.0, 32.5, 33.1]),
        row("allocations per spawn", Unit::Count, 1.0, [2.0, 2.0, 1.0, 1.0, 1.0, 3.0]),
        row("system calls per message", Unit::Count, 2.0, [1.5, 1.5, 2.0, 1.5, 0.5, 1.0]),
        row("size of hello world", Unit::Bytes, 402_000.0, [1.4, 1.4, 1.2, 1.5, 1.5, 2.3]),
    ]
}

fn others() -> Vec<Row> {
    let three: [(&str, f64); 3] = [("roundel", 0.3), ("tokio", 0.29), ("smol", 0.3)];
    vec![
        row("control", "nothing at all, a thousand times", Unit::Nanoseconds, &three),
        row(
            "channels",
            "a message through bounded(100)",
            Unit::Nanoseconds,
            &[("roundel", 13.3), ("tokio", 42.0), ("smol", 28.0)],
        ),
        row(
            "channels",
            "oneshot, from one end to the other",
            Unit::Nanoseconds,
            &[("roundel", 25.0), ("tokio", 29.0)],
        ),
        row(
            "timers",
            "a sleep of 1 ms is late by, p99",
            Unit::Nanoseconds,
            &[("roundel", 33_500.0), ("tokio", 1.09e6), ("compio", 33_000.0)],
        ),
        row(
            "ablations",
            "a waker is a number: hop between two tasks",
            Unit::Nanoseconds,
            &[("roundel", 23.0), ("without it", 41.0)],
        ),
        row(
            "ablations",
            "one allocation per spawn: allocations per spawn",
            Unit::Count,
            &[("roundel", 1.0), ("without it", 1.0)],
        ),
        row(
            "ablations",
            "a look at the system now and then: system calls per yield",
            Unit::Count,
            &[("roundel", 0.0), ("without it", 1.0)],
        ),
    ]
}

/// The requests of every contender at one rate; each nine costs more, and for some a lot more.
fn curves() -> Vec<Curve> {
    let shares: Vec<f64> =
        (0..=40).map(|step| 100.0 * (1.0 - 10_f64.powf(-f64::from(step) / 10.0))).collect();
    let curve = |name: &str, index: usize, who: &str| {
        let time = |share: &f64| {
            let nines = -(1.0 - share / 100.0).log10();
            let late = (nines - 1.6 - 0.2 * (index % 4) as f64).max(0.0).powi(2)
                * (9_000.0 + 4_000.0 * index as f64);
            (18_000.0 + 1_700.0 * index as f64) * (1.0 + 0.09 * nines) + late
        };
        Curve {
            name: name.into(),
            contender: who.into(),
            points: shares.iter().map(|share| (*share, time(share))).collect(),
        }
    };
    let names = ["echo 64 B, 50 connections, 20,000 requests/s", "echo 64 B beside 50 hot tasks"];
    let all = names
        .into_iter()
        .flat_map(|name| NAMES[..8].iter().enumerate().map(move |(index, who)| (name, index, who)));
    all.map(|(name, index, who)| curve(name, index, who)).collect()
}

pub(crate) fn sample() -> Report {
    let versions = [("roundel", "0.1.0"), ("tokio", "1.99.0"), ("rustc", "rustc 1.95.0 (sample)")];
    Report {
        schema: SCHEMA,
        date: "2026-01-31T12:00:00Z".into(),
        command: "faceoff --json sample.json <this is a sample & nobody measured it>".into(),
        interrupted: true,
        seconds: 512.0,
        machine: Machine {
            cpu: "A processor of nowhere, 3.0 GHz".into(),
            cores: 2,
            memory: 24 << 30,
            kernel: "Linux 6.1".into(),
            pinned: true,
        },
        versions: versions.map(|(name, version)| (name.into(), version.into())).into(),
        rows: [others(), scheduler(), network(), counts()].concat(),
        curves: curves(),
        notes: vec!["threads: monoio, as it is built by default, is not woken from other threads".into()],
        errors: vec!["network, echo 64 B, 50 connections: compio: it echoed 63 of 64 bytes".into()],
        ..Report::default()
    }
}
