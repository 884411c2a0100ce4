//! Three tasks that slow others down, and a loop that says which, with thresholds of its own.
//!
//! Run it with `cargo run --release --example slow`.
//!
//! Facts. A poll that takes long stops every other task. A lock that is held across a long await stops the tasks that want
//! it. A task that wakes itself again and again keeps the processor busy. What is long depends on the program, so each
//! warning has a threshold. Here they go to a callback and are printed; without one they go to standard error.

#![forbid(unsafe_code)]

use std::rc::Rc;
use std::time::Duration;

use examples::{args, println};
use roundel::sync::Mutex;
use roundel::{Runtime, Warnings, spawn_named, time, yield_now};

async fn holds(lock: Rc<Mutex<()>>) {
    let _guard = lock.lock().await;
    time::sleep(Duration::from_millis(300)).await;
}

async fn spins() {
    for _ in 0..1_500 {
        yield_now().await;
    }
}

async fn blocks() {
    std::thread::sleep(Duration::from_millis(50));
}

fn main() {
    args::none();
    let warnings = Warnings::default()
        .slow_poll(Duration::from_millis(20))
        .lock_held(Duration::from_millis(200))
        .self_wakes(1_000);
    let builder = Runtime::builder().warnings(warnings).on_warning(|warning| println!("{warning}"));
    let runtime = builder.build().expect("descriptors for a loop");
    runtime.block_on(async {
        let lock = Rc::new(Mutex::new(()).named("accounts"));
        for task in [
            spawn_named("holds", holds(lock)),
            spawn_named("spins", spins()),
            spawn_named("blocks", blocks()),
        ] {
            task.await.expect("it does not panic");
        }
    });
}
