//! The medians of the last `cargo bench -p benches` as one table, with the ratio of each contender to roundel.
//!
//! `cargo bench -p benches && cargo run --release -p benches --bin table`
//!
//! Reads what criterion has left in `target/criterion`. A ratio above one means that we are faster. The best of each
//! row is marked, whichever contender it is.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const CONTENDERS: [&str; 5] = ["roundel", "tokio", "tokio_local", "smol", "monoio"];

/// The rows, and the number of operations in one measurement.
const ROWS: [(&str, f64); 29] = [
    ("spawn_one_await", 1.0),
    ("spawn_1000", 1e3),
    ("spawn_200000", 2e5),
    ("self_wake_200x1000", 2e5),
    ("lone_yield_now", 1.0),
    ("ping_pong_hop", 1.0),
    ("sleep_churn", 1.0),
    ("timeout_yield", 1.0),
    ("million_sleepers", 1e6),
    ("sleep_1ms_late", 1.0),
    ("wake_from_thread", 1.0),
    // How tasks communicate: ours and tokio's.
    ("oneshot_round_trip", 1.0),
    ("bounded_1_message", 1.0),
    ("bounded_100_message", 1.0),
    ("unbounded_message", 1.0),
    ("five_producers", 5.0),
    ("broadcast_to_10", 10.0),
    ("watch_by_10", 10.0),
    ("request_reply_1000", 1e3),
    ("mutex_uncontended", 1.0),
    ("mutex_of_100", 100.0),
    ("semaphore_uncontended", 1.0),
    ("semaphore_of_100", 100.0),
    ("notify_10", 10.0),
    ("notify_100", 100.0),
    ("notify_500", 500.0),
    ("gather_1000", 1e3),
    ("scope_1000", 1e3),
    ("unblock_round_trip", 1.0),
];

/// The median of one measurement in nanoseconds, as criterion wrote it.
fn median(folder: &Path, row: &str, contender: &str) -> Option<f64> {
    let file = folder.join(row).join(contender).join("new/estimates.json");
    let text = fs::read_to_string(file).ok()?;
    let after = text.split(r#""median":"#).nth(1)?.split(r#""point_estimate":"#).nth(1)?;
    after.split([',', '}']).next()?.parse().ok()
}

fn cell(ns: Option<f64>, ours: Option<f64>, best: f64) -> String {
    let Some(ns) = ns else { return "-".into() };
    let mark = if ns <= best * 1.0001 { "*" } else { "" };
    let ratio = ours.map_or(String::new(), |ours| format!(" ({:.2})", ns / ours));
    if ns >= 10_000.0 { format!("{:.1}µ{ratio}{mark}", ns / 1e3) } else { format!("{ns:.1}{ratio}{mark}") }
}

fn main() -> ExitCode {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let folder = target.join("criterion");
    if !folder.is_dir() {
        eprintln!("nothing in {}: run `cargo bench -p benches` first", folder.display());
        return ExitCode::FAILURE;
    }
    println!("ns per operation, medians; in brackets the ratio to roundel; * the best of the row\n");
    println!("{:24}{}", "", CONTENDERS.map(|name| format!("{name:>18}")).concat());
    for (row, operations) in ROWS {
        let figures = CONTENDERS.map(|name| median(&folder, row, name).map(|ns| ns / operations));
        let best = figures.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let cells: String = figures.iter().map(|ns| format!("{:>18}", cell(*ns, figures[0], best))).collect();
        println!("{row:24}{cells}");
    }
    ExitCode::SUCCESS
}
