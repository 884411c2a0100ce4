//! Three jobs, of which one fails: when the caller hears of it, and what happens to the other two.
//!
//! Run it with `cargo run --release --example siblings`. Time is virtual, so it takes none.
//!
//! Facts. Starting several things means deciding, knowingly or not, what waits for them, what hears of an error, and
//! whether the others go on.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use examples::{args, println};
use roundel::group::{GroupError, gather, try_gather, try_scope};
use roundel::{JoinHandle, Runtime, spawn, time};

type Result<T = &'static str> = std::result::Result<T, &'static str>;
/// The jobs that have finished.
type Done = Rc<RefCell<Vec<&'static str>>>;

async fn job(done: Done, name: &'static str, ms: u64, result: Result) -> Result {
    time::sleep(Duration::from_millis(ms)).await;
    done.borrow_mut().push(name);
    result
}

fn jobs(done: Done) -> [impl Future<Output = Result>; 3] {
    let wanted =
        [("save", 300, Ok("saved")), ("mail", 50, Err("no such address")), ("count", 100, Ok("counted"))];
    wanted.map(|(name, ms, result)| job(done.clone(), name, ms, result))
}

async fn ended(task: JoinHandle<Result>) -> Result {
    task.await.expect("it is not cancelled and does not panic")
}

/// Wrong: no code waits, and none hears of the error.
async fn forgotten(done: Done) {
    jobs(done).map(spawn).into_iter().for_each(JoinHandle::detach);
}

/// Wrong: each job has to wait for the one before it.
async fn one_after_the_other(done: Done) -> Result<Vec<&'static str>> {
    let mut values = Vec::new();
    for task in jobs(done).map(spawn) {
        values.push(ended(task).await?);
    }
    Ok(values)
}

async fn scoped(done: Done) -> std::result::Result<(), GroupError<&'static str>> {
    try_scope(async |scope| {
        jobs(done).into_iter().for_each(|job| drop(scope.spawn(job)));
        Ok(())
    })
    .await
}

/// Runs this, and prints when it returned, and with what; and a second later, which jobs have finished.
async fn look<T: std::fmt::Debug>(what: &str, run: impl AsyncFnOnce(Done) -> T) {
    let (done, start) = (Done::default(), time::now());
    let result = run(done.clone()).await;
    let ms = (time::now() - start).as_millis();
    time::sleep(Duration::from_secs(1)).await;
    println!("{what:18}{ms:4} ms  {result:?}\n{:27}at their end: {}", "", done.borrow().join(", "));
}

fn main() {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build().expect("a loop");
    runtime.block_on(async {
        look("detached", forgotten).await;
        look("awaited in a loop", one_after_the_other).await;
        look("gather", async |done| gather(jobs(done)).await).await;
        look("try_gather", async |done| try_gather(jobs(done)).await).await;
        look("asyncio's gather", async |done| try_gather(jobs(done).map(spawn).map(ended)).await).await;
        look("try_scope", scoped).await;
    });
}
