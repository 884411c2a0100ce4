//! Three things that a program can forget without a word: an error, a panic, and a task.
//!
//! Run it with `cargo run --release --example forgotten`. Then run it with `--debug` in the end.
//!
//! Facts. Dropping a handle detaches its task. What the task returns is dropped, whatever it is. A task that was spawned
//! and not yet polled when the `block_on` ends is dropped with the loop. In debug mode the loop warns of all three, on
//! standard error, with the name of the task and the place where it was spawned.

#![forbid(unsafe_code)]

use examples::args::Args;
use examples::println;
use roundel::testing::settle;
use roundel::{Runtime, spawn_named};

const USAGE: &str = "\
usage: forgotten [--debug]
  --debug  with the warnings of debug mode, as with ROUNDEL_DEBUG=1";

async fn save(account: &str) -> Result<(), String> {
    Err(format!("no disk for {account}"))
}

async fn work() {
    spawn_named("save", save("ann")).detach();
    spawn_named("audit", async { panic!("the books do not balance") }).detach();
    settle().await;
    spawn_named("bye", async { println!("bye is never said") }).detach();
    println!("the program has noticed nothing");
}

fn main() {
    let mut args = Args::new(USAGE);
    let debug = args.flag("--debug");
    args.finish();
    // The panic is told by the warning, not by its own message.
    std::panic::set_hook(Box::new(|_| ()));
    let mut builder = Runtime::builder();
    if debug {
        builder = builder.debug(true);
    }
    builder.build().expect("descriptors for a loop").block_on(work());
}
