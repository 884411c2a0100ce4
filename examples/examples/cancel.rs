//! How to stop a task: it is dropped at the `.await` where it waits, and cleans up after itself.
//!
//! Run it with `cargo run --release --example cancel`.
//!
//! Facts. A dropped future cannot catch anything, so no code can swallow a cancel, and no zombies remain. A destructor
//! cannot await. A cleanup that has to await is set up beforehand with [`with_cleanup`], and the task is over when the
//! cleanup is. A token only asks: a task that does not look at it goes on.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::cancel::{CancelToken, with_cleanup};
use roundel::{spawn, time};

const USAGE: &str = "\
usage: cancel [cleanup|unpolled|swallow|token] [--virtual]
  cleanup    a session that is cancelled, and closes its connection
  unpolled   a task that is cancelled before it has run
  swallow    a task that ignores every error is cancelled all the same
  token      a task that is asked to stop, and does not look
  --virtual  the clock jumps to the next deadline whenever no task can go on";

/// Something that must be given back.
struct Resource(Stopwatch, &'static str);

impl Drop for Resource {
    fn drop(&mut self) {
        self.0.say(format_args!("{}: released", self.1));
    }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

async fn cleanup(watch: Stopwatch) {
    let connection = Resource(watch, "connection");
    let session = async move {
        watch.say("session: starting");
        time::sleep(Duration::from_secs(10)).await;
        watch.say("session: finished (this is never printed)");
    };
    let task = spawn(with_cleanup(session, async move || {
        watch.say("session: cleaning up");
        time::sleep(millis(300)).await; // A destructor could not await this.
        drop(connection);
    }));
    time::sleep(millis(100)).await;
    watch.say("main: cancelling");
    task.cancel();
    let error = task.await.expect_err("it was cancelled");
    watch.say(format_args!("main: cancelled: {}", error.is_cancelled()));
}

async fn unpolled(watch: Stopwatch) {
    let file = Resource(watch, "file");
    let task = spawn(async move {
        let _file = file;
        watch.say("never printed");
    });
    watch.say("the task is spawned, and cancelled before its first turn");
    task.cancel();
    watch.say(format_args!("it is over: {}", task.is_finished()));
}

async fn swallow(watch: Stopwatch) {
    let task = spawn(async move {
        for number in 1.. {
            let _ignored = time::timeout(millis(100), std::future::pending::<()>()).await;
            watch.say(format_args!("step {number}, whatever happens"));
        }
    });
    time::sleep(millis(250)).await;
    task.cancel();
    watch.say("main: cancelled; there was nothing that it could have caught");
    time::sleep(millis(500)).await;
    watch.say("main: half a second later, no more steps");
}

async fn token(watch: Stopwatch) {
    let stop = CancelToken::new();
    let (polite, deaf) = (stop.child(), stop.child());
    let polite = spawn(async move {
        let result = polite.run(time::sleep(Duration::from_secs(10))).await;
        watch.say(format_args!("polite: stops at once: {}", result.is_err()));
    });
    let deaf = spawn(async move {
        for number in 1..=5 {
            time::sleep(millis(100)).await;
            watch.say(format_args!("deaf: step {number}, has been told: {}", deaf.is_cancelled()));
        }
    });
    time::sleep(millis(50)).await;
    watch.say("main: asks both to stop");
    stop.cancel();
    polite.await.expect("nothing panics here");
    deaf.await.expect("nothing panics here");
}

fn main() {
    let show = Show::new(USAGE, &["cleanup", "unpolled", "swallow", "token"]);
    show.part("cleanup", "awaiting a task includes its cleanup", cleanup);
    show.part("unpolled", "a task that never ran drops what it was given", unpolled);
    show.part("swallow", "a cancel cannot be caught", swallow);
    show.part("token", "asking is not cancelling", token);
}
