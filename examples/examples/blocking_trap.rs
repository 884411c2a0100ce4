//! One task that blocks, and a heartbeat that shows what the other tasks notice.
//!
//! Run it with `cargo run --release --example blocking_trap`.
//!
//! Facts. The loop has one thread. While a task sleeps with `std::thread::sleep`, reads a file or computes, it keeps
//! that thread: no other task runs, no deadline is noticed, no byte is read. A long `.await` is harmless, because it
//! holds up no other task. With `Builder::debug(true)`, or `ROUNDEL_DEBUG=1`, the loop reports on standard error every
//! task that kept it for more than 100 ms.

#![forbid(unsafe_code)]

use std::thread;
use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::blocking::unblock;
use roundel::{spawn, spawn_named, time};

const USAGE: &str = "\
usage: blocking_trap [trap|thread|warning]
  trap     a task blocks the loop for half a second
  thread   the same work on another thread
  warning  a loop that says which task has blocked it";

const BEAT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(500);

/// Beats every 100 ms, and prints how late each beat is.
async fn heart(watch: Stopwatch) {
    let mut beats = time::interval_at(time::now() + BEAT, BEAT);
    loop {
        let due = beats.tick().await;
        watch.say(format_args!("beat, {} ms late", (time::now() - due).as_millis()));
    }
}

async fn trap(watch: Stopwatch) {
    let heart = spawn(heart(watch));
    time::sleep(BEAT * 5 / 2).await;
    watch.say("work: begins, on the loop's thread");
    thread::sleep(LONG); // Unlike time::sleep, this lets no other task run.
    watch.say("work: done");
    time::sleep(BEAT * 2).await;
    heart.cancel();
}

async fn on_a_thread(watch: Stopwatch) {
    let heart = spawn(heart(watch));
    time::sleep(BEAT * 5 / 2).await;
    watch.say("work: begins, on another thread");
    unblock(|| thread::sleep(LONG)).await.expect("it does not panic");
    watch.say("work: done");
    time::sleep(BEAT * 2).await;
    heart.cancel();
}

async fn warning(watch: Stopwatch) {
    let patient = spawn_named("patient", async move {
        time::sleep(BEAT * 3 / 2).await;
        watch.say("patient: awaited for 150 ms, and held up no other task");
    });
    patient.await.expect("it does not panic");
    let greedy = spawn_named("greedy", async move {
        thread::sleep(BEAT * 3 / 2);
        watch.say("greedy: blocked for 150 ms; see the warning");
    });
    greedy.await.expect("it does not panic");
}

fn main() {
    let show = Show::in_real_time(USAGE, &["trap", "thread", "warning"]);
    show.part("trap", "a task that blocks stops all others", trap);
    show.part("thread", "the same work on another thread stops none", on_a_thread);
    if show.has("warning", "one task awaits, one blocks: one warning") {
        let runtime = show.builder().debug(true).build().expect("descriptors for a loop");
        runtime.block_on(async { warning(Stopwatch::start()).await });
    }
}
