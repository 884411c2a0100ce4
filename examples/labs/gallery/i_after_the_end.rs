//! Exhibit I: a task's destructor spawns another task, which sleeps for longer than the shutdown may take.

#![forbid(unsafe_code)]

use std::rc::Rc;
use std::time::Duration;

use roundel::{Runtime, spawn, time, yield_now};

struct Spawns(Rc<()>);

impl Drop for Spawns {
    fn drop(&mut self) {
        let held = Rc::clone(&self.0);
        spawn(async move {
            time::sleep(Duration::from_secs(3600)).await;
            drop(held);
        })
        .detach();
    }
}

fn main() {
    let builder = Runtime::builder().virtual_time(true).shutdown_timeout(Duration::from_secs(5));
    let (runtime, held) = (builder.build().unwrap(), Rc::new(()));
    runtime.block_on(async {
        let spawns = Spawns(Rc::clone(&held));
        spawn(async move {
            let _spawns = spawns;
            std::future::pending::<()>().await;
        })
        .detach();
        yield_now().await;
    });
    println!("held by {} tasks", Rc::strong_count(&held) - 1);
    drop(runtime);
    println!("after the shutdown, held by {} tasks", Rc::strong_count(&held) - 1);
}
