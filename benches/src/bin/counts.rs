//! What does not depend on the machine's mood: allocations and bytes per task, system calls per operation.
//!
//! `cargo run --release -p benches --bin counts`
//!
//! A counting allocator inflates every timing, so this is a program of its own. System calls are counted by
//! `strace` on a child process, as the slope between a short run and a long one; without `strace` those columns
//! say so. With `--check`, nothing is compared: our own figures have to stay within the budgets below.

#![forbid(unsafe_code)]

use std::alloc::System;
use std::cell::Cell;
use std::fs;
use std::process::{Command, ExitCode};
use std::time::Duration;

use benches::contenders::{monoio_epoll as monoio, roundel, smol, tokio, tokio_local};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONTENDERS: [&str; 5] = ["roundel", "tokio", "tokio_local", "smol", "monoio"];
const SHORT: u64 = 20_000;
const LONG: u64 = 220_000;

/// What roundel may cost at most, per task or per operation.
const BUDGETS: [(&str, f64); 6] = [
    ("allocations per spawn", 1.01),
    ("bytes per idle task (100,000)", 96.0),
    ("bytes per idle task (1,000,000)", 96.0),
    ("bytes per sleeping task (1,000,000)", 160.0),
    ("system calls per lone yield", 0.01),
    ("system calls per hop", 0.01),
];

/// Calls a program of the named contender.
macro_rules! of {
    ($name:expr, |$contender:ident| $program:expr) => {
        match $name {
            "roundel" => {
                use roundel as $contender;
                $program
            }
            "tokio" => {
                use tokio as $contender;
                $program
            }
            "tokio_local" => {
                use tokio_local as $contender;
                $program
            }
            "smol" => {
                use smol as $contender;
                $program
            }
            "monoio" => {
                use monoio as $contender;
                $program
            }
            other => panic!("no contender is called {other}"),
        }
    };
}

/// Allocations and bytes per task, of `n` tasks that wait.
fn per_task(name: &str, n: usize, asleep: bool) -> (f64, f64) {
    let region: Cell<Option<Region<'_, System>>> = Cell::new(None);
    let result = Cell::new((0.0, 0.0));
    let after = || {
        let change = region.take().expect("before comes first").change();
        let bytes = change.bytes_allocated - change.bytes_deallocated;
        result.set((change.allocations as f64 / n as f64, bytes as f64 / n as f64));
    };
    of!(name, |it| it::hold_tasks(n, asleep, || region.set(Some(Region::new(ALLOCATOR))), after));
    result.get()
}

/// System calls per operation, as far as they grow with the number of operations.
fn system_calls(name: &str, program: &str) -> Option<f64> {
    let (short, long) = (traced(name, program, SHORT)?, traced(name, program, LONG)?);
    Some((long - short) / (LONG - SHORT) as f64)
}

fn traced(name: &str, program: &str, n: u64) -> Option<f64> {
    let file = std::env::temp_dir().join(format!("roundel-counts-{}", std::process::id()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(&file).arg(std::env::current_exe().ok()?);
    let status = strace.args(["run", name, program, &n.to_string()]).status().ok()?;
    let summary = fs::read_to_string(&file).ok()?;
    let _ = fs::remove_file(&file);
    // The last line: percent, seconds, (microseconds per call,) calls, (errors,) "total".
    let total: Vec<&str> = summary.lines().last()?.split_whitespace().collect();
    let calls = total.iter().skip(2).filter_map(|word| word.parse::<f64>().ok()).max_by(f64::total_cmp);
    if status.success() { calls } else { None }
}

fn run(name: &str, program: &str, n: u64) -> Duration {
    match program {
        "yield" => of!(name, |it| it::lone_yield(n)),
        "hop" => of!(name, |it| it::ping_pong(n)),
        other => panic!("no program is called {other}"),
    }
}

/// The figures of one contender, in the order of [`BUDGETS`].
fn figures(name: &str) -> [Option<f64>; 6] {
    let (allocations, idle) = per_task(name, 100_000, false);
    let (_, million) = per_task(name, 1_000_000, false);
    let (_, sleeping) = per_task(name, 1_000_000, true);
    let (yields, hops) = (system_calls(name, "yield"), system_calls(name, "hop"));
    [Some(allocations), Some(idle), Some(million), Some(sleeping), yields, hops]
}

fn shown(figure: Option<f64>) -> String {
    figure.map_or("no strace".into(), |figure| format!("{figure:.2}"))
}

fn check() -> ExitCode {
    let mut ok = true;
    for (figure, (what, budget)) in figures("roundel").into_iter().zip(BUDGETS) {
        let verdict = match figure {
            Some(figure) if figure > budget => "OVER",
            Some(_) => "ok",
            None => "SKIPPED",
        };
        ok &= verdict != "OVER";
        println!("{verdict:8} {what:36} {:>9}  budget {budget}", shown(figure));
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", name, program, n] => {
            run(name, program, n.parse().expect("a number"));
            return ExitCode::SUCCESS;
        }
        ["--check"] => return check(),
        [] => {}
        _ => {
            eprintln!("usage: counts [--check]");
            return ExitCode::from(2);
        }
    }
    println!("{:36} {}", "", CONTENDERS.map(|name| format!("{name:>12}")).concat());
    let columns = CONTENDERS.map(figures);
    for (row, (what, _)) in BUDGETS.iter().enumerate() {
        let cells: String = columns.iter().map(|column| format!("{:>12}", shown(column[row]))).collect();
        println!("{what:36} {cells}");
    }
    ExitCode::SUCCESS
}
