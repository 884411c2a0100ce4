//! Lines of a log that say which task wrote them, and for which request.
//!
//! Run it with `cargo run --release --example log_lines`.
//!
//! Facts. The lines of many tasks are mixed with each other. A name is given when a task is spawned, and a task can ask
//! for its own. A value of `task_local!` is inherited by the tasks that a task spawns.
//!
//! What follows. The function that logs needs no arguments for this, and no task can forget them. At the end the program
//! shows the lines of one request alone, with those of the task that it spawned.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::fmt::Display;
use std::time::Duration;

use examples::println;
use examples::show::{Show, Stopwatch};
use roundel::{spawn_named, task, time};

const USAGE: &str = "\
usage: log_lines [--virtual]
  --virtual  the clock jumps to the next deadline whenever no task can go on";

roundel::task_local! {
    static REQUEST: u32;
}

thread_local! {
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn log(watch: Stopwatch, what: impl Display) {
    let name = task::current().and_then(task::name).unwrap_or_else(|| "main".into());
    let request = REQUEST.get().map_or(String::new(), |request| format!(" request={request}"));
    let line = format!("task={name}{request} {what}");
    watch.say(&line);
    LOG.with_borrow_mut(|log| log.push(line));
}

async fn ask_the_database(watch: Stopwatch, millis: u64) {
    log(watch, "asks");
    time::sleep(Duration::from_millis(millis)).await;
    log(watch, "has an answer");
}

async fn serve(watch: Stopwatch, request: u32) {
    REQUEST.set(request);
    log(watch, "begins");
    let query = spawn_named("database", ask_the_database(watch, 100 / u64::from(request)));
    query.await.expect("it does not panic");
    log(watch, "ends");
}

async fn serve_all(watch: Stopwatch) {
    log(watch, "starts, with two requests");
    let tasks = [1, 2].map(|request| spawn_named(format!("http-{request}"), serve(watch, request)));
    for task in tasks {
        task.await.expect("it does not panic");
    }
    log(watch, "stops");
    println!("the lines of request 2:");
    LOG.with_borrow(|log| {
        log.iter().filter(|line| line.contains("request=2 ")).for_each(|line| println!("  {line}"));
    });
}

fn main() {
    Show::new(USAGE, &[]).run(serve_all);
}
