//! A cleanup that has to wait, when the body is dropped: what waits for it, and what cuts it short.
//!
//! Run it with `cargo run --release --example good_bye`. Time is virtual, so it takes none.
//!
//! Facts. A destructor cannot wait. An await after a future was dropped has to belong to something else: to the task
//! that was cancelled, or to a task of its own.

#![forbid(unsafe_code)]

use std::future::pending;
use std::time::{Duration, Instant};

use examples::{args, println};
use roundel::cancel::with_cleanup;
use roundel::{JoinHandle, Runtime, spawn, time};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn say(what: &str, start: Instant) {
    println!("    {:3} ms  {what}", (time::now() - start).as_millis());
}

/// Says good-bye, which takes 300 ms.
async fn session(start: Instant, grace: Duration) {
    let good_bye = async move || {
        time::sleep(ms(300)).await;
        say("good-bye is said", start);
    };
    with_cleanup(pending::<()>(), good_bye).grace(grace).await;
}

/// Cancels a session at 100 ms, and waits for its end.
async fn cancelled(start: Instant, grace: Duration, then: impl AsyncFnOnce(&JoinHandle<()>)) {
    let task = spawn(session(start, grace));
    time::sleep(ms(100)).await;
    task.cancel();
    then(&task).await;
    say(&task.await.expect_err("it never returns").to_string(), start);
}

/// Runs this, and then lets time pass.
async fn scene(title: &str, play: impl AsyncFnOnce(Instant)) {
    println!("{title}");
    play(time::now()).await;
    time::sleep(ms(1000)).await;
}

fn main() {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build().expect("a loop");
    runtime.block_on(async {
        scene("cancelled at 100 ms, and awaited", async |start| {
            cancelled(start, ms(5000), async |_| ()).await;
        })
        .await;
        scene("the same, with 200 ms of grace", async |start| {
            cancelled(start, ms(200), async |_| ()).await;
        })
        .await;
        scene("cancelled at 100 ms, and again at 150", async |start| {
            let again = async |task: &JoinHandle<()>| {
                time::sleep(ms(50)).await;
                task.cancel();
            };
            cancelled(start, ms(5000), again).await;
        })
        .await;
        scene("a timeout of 100 ms", async |start| {
            let result = time::timeout(ms(100), session(start, ms(5000))).await;
            say(&result.expect_err("it never returns").to_string(), start);
        })
        .await;
    });
}
