//! Exhibit I: a task's destructor spawns another task, which sleeps for longer than the shutdown may take.

#![forbid(unsafe_code)]

use std::future::pending;
use std::time::Duration;

use roundel::{Runtime, spawn, task, time, yield_now};

struct Late;

impl Drop for Late {
    fn drop(&mut self) {
        println!("the late task is dropped, and its loop runs: {}", task::current().is_some());
    }
}

struct Spawns;

impl Drop for Spawns {
    fn drop(&mut self) {
        let late = async {
            let _late = Late;
            time::sleep(Duration::from_secs(3600)).await;
        };
        spawn(late).detach();
    }
}

fn main() {
    let builder = Runtime::builder().virtual_time(true).shutdown_timeout(Duration::from_secs(5));
    let runtime = builder.build().unwrap();
    runtime.block_on(async {
        let spawns = Spawns;
        spawn(async move { (spawns, pending::<()>().await) }).detach();
        yield_now().await;
    });
    drop(runtime);
}
