//! Two tasks that take 150 ms each, and the debug mode, which warns about one of them.
//!
//! Run it with `cargo run --release --example long_poll`.
//!
//! Facts. Warnings go to standard error. A task that awaits for 150 ms holds up no other task; one that blocks for as
//! long holds up all of them.
//!
//! What follows. The program starts itself once more, with an argument, and prints the warnings of that process.

#![forbid(unsafe_code)]

use std::env;
use std::time::Duration;

use examples::{args, println};
use roundel::process::{Command, Stdio};
use roundel::{Runtime, spawn_named, time};

const LONG: Duration = Duration::from_millis(150);

fn watched() {
    let runtime = Runtime::builder().debug(true).build().expect("a runtime");
    runtime.block_on(async {
        let awaits = spawn_named("awaits", time::sleep(LONG));
        let blocks = spawn_named("blocks", async { std::thread::sleep(LONG) });
        awaits.await.unwrap();
        blocks.await.unwrap();
    });
}

fn main() {
    if args::part(&["watched"]).is_some() {
        return watched();
    }
    let program = env::current_exe().expect("this program has a path");
    let complaints = roundel::run(async {
        let watched = Command::new(program).arg("watched").stderr(Stdio::piped()).output().await;
        watched.expect("this program can be started again").stderr
    });
    let complaints = String::from_utf8_lossy(&complaints);
    let warnings: Vec<&str> = complaints.lines().filter(|line| line.starts_with("roundel: ")).collect();
    println!("two tasks, warnings: {}", warnings.len());
    warnings.iter().for_each(|warning| println!("{warning}"));
}
