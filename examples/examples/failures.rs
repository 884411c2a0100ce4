//! Three requests run together and the second one fails. What happens to the others? The caller has to choose.
//!
//! Run it with `cargo run --release --example failures`.
//!
//! Facts. asyncio's `gather` returns at the first error, and the other requests *run on*, although many people believe
//! that it cancels them; its `TaskGroup` does. Here each outcome has its own function. Errors are values, so a `gather`
//! that collects all of them needs no option.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::group::{gather, gather_outcomes, try_gather, try_scope};
use roundel::{spawn, time};

const USAGE: &str = "\
usage: failures [first-error|run-on|settled|group|panic] [--virtual]
  first-error  try_gather: the first error returns, the others are dropped
  run-on       like asyncio's gather: the first error returns, the others go on
  settled      gather: all results, including errors
  group        try_scope: the first error cancels the group
  panic        gather_outcomes: a panic is one of the results
  --virtual    the clock jumps to the next deadline whenever no task can go on";

/// Says so if a request is dropped before it is done.
struct Request {
    watch: Stopwatch,
    number: u32,
    done: bool,
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.done {
            self.watch.say(format_args!("request {}: dropped", self.number));
        }
    }
}

/// These take 100, 50 and 150 ms; the second one fails.
async fn request(watch: Stopwatch, number: u32) -> Result<String, String> {
    let mut request = Request { watch, number, done: false };
    time::sleep(Duration::from_millis([100, 50, 150][number as usize - 1])).await;
    request.done = true;
    if number == 2 {
        watch.say("request 2: fails");
        return Err("request 2: connection refused".into());
    }
    watch.say(format_args!("request {number}: done"));
    Ok(format!("answer {number}"))
}

async fn first_error(watch: Stopwatch) {
    let result = try_gather([1, 2, 3].map(|number| request(watch, number))).await;
    watch.say(format_args!("try_gather gives {result:?}"));
}

async fn run_on(watch: Stopwatch) {
    let tasks = [1, 2, 3].map(|number| spawn(request(watch, number)));
    let answers = tasks.map(|task| async { task.await.expect("nothing panics here") });
    let result = try_gather(answers).await; // This drops the handles, and a handle is not its task.
    watch.say(format_args!("try_gather of handles gives {result:?}"));
    time::sleep(Duration::from_millis(200)).await;
}

async fn settled(watch: Stopwatch) {
    for result in gather([1, 2, 3].map(|number| request(watch, number))).await {
        match result {
            Ok(answer) => watch.say(format_args!("good: {answer}")),
            Err(why) => watch.say(format_args!("bad:  {why}")),
        }
    }
}

async fn group(watch: Stopwatch) {
    let result = try_scope(async |group| {
        for number in [1, 2, 3] {
            drop(group.spawn(request(watch, number))); // The group waits for it all the same.
        }
        Ok::<_, String>("all of them answered")
    });
    let error = result.await.expect_err("the second request fails");
    watch.say(format_args!("the group has failed, and none of its tasks is left: {:?}", error.errors()));
}

async fn panic(watch: Stopwatch) {
    watch.say("request 2 is going to panic, on purpose; its report goes to the standard error");
    let requests = [1, 2, 3].map(|number| async move {
        request(watch, number).await.unwrap() // This is a bug: the task was not expected to fail.
    });
    for outcome in gather_outcomes(requests).await {
        match outcome {
            Ok(answer) => watch.say(format_args!("good: {answer}")),
            Err(why) => watch.say(format_args!("bad:  {why}")),
        }
    }
}

fn main() {
    let show = Show::new(USAGE, &["first-error", "run-on", "settled", "group", "panic"]);
    show.part("first-error", "the first error returns, the others are dropped", first_error);
    show.part("run-on", "the first error returns, the others go on, as in asyncio", run_on);
    show.part("settled", "all results, including errors", settled);
    show.part("group", "the first error cancels the group", group);
    show.part("panic", "a panic is one of the results", panic);
}
