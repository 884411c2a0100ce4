//! A lock: one task at a time, in the order of arrival. It is free again whatever happens to its holder.
//!
//! Run it with `cargo run --release --example lock`.
//!
//! Facts. While a task holds a lock across an `.await`, all others wait as long as that await takes. So hold it only
//! for steps that must not be separated. The guard releases the lock when it is dropped, and that happens on a return,
//! an error, a panic and a cancel alike.

#![forbid(unsafe_code)]

use std::rc::Rc;
use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::group::gather;
use roundel::sync::Mutex;
use roundel::{spawn, time};

const USAGE: &str = "\
usage: lock [transactions|released|too-long] [--virtual]
  transactions  three transactions of 0.1 s, one at a time
  released      a holder that fails, and one that is cancelled
  too-long      a lock held during a slow fetch, and one that is not
  --virtual     the clock jumps to the next deadline whenever no task can go on";

const TENTH: Duration = Duration::from_millis(100);

async fn transactions(watch: Stopwatch) {
    let ledger = Mutex::new(Vec::new());
    gather([101, 102, 103].map(async |number| {
        watch.say(format_args!("transaction {number}: waits for the ledger"));
        let mut ledger = ledger.lock().await;
        watch.say(format_args!("transaction {number}: has it"));
        time::sleep(TENTH).await;
        ledger.push(number);
    }))
    .await;
    watch.say(format_args!("written, in this order: {:?}", ledger.into_inner()));
}

async fn released(watch: Stopwatch) {
    let ledger = Rc::new(Mutex::new(0));
    let theirs = ledger.clone();
    let failing = spawn(async move {
        let _held = theirs.lock().await;
        time::sleep(TENTH).await;
        Err::<(), _>("the disk is full")
    });
    roundel::yield_now().await;
    watch.say(format_args!("the failing task holds the lock: {}", ledger.is_locked()));
    let outcome = failing.await.expect("it does not panic");
    watch.say(format_args!("{outcome:?}; the lock is held: {}", ledger.is_locked()));
    let theirs = ledger.clone();
    let sleeping = spawn(async move {
        let _held = theirs.lock().await;
        time::sleep(Duration::MAX).await;
    });
    roundel::yield_now().await;
    watch.say(format_args!("the sleeping task holds the lock: {}", ledger.is_locked()));
    sleeping.cancel();
    watch.say(format_args!("it is cancelled; the lock is held: {}", ledger.is_locked()));
}

async fn too_long(watch: Stopwatch) {
    let pages = Mutex::new(0);
    gather((0..5).map(async |_| {
        let mut pages = pages.lock().await;
        time::sleep(TENTH).await; // A fetch, while the others wait for the lock.
        *pages += 1;
    }))
    .await;
    watch.say(format_args!("{} pages, fetched under the lock", pages.into_inner()));
    let pages = Mutex::new(0);
    gather((0..5).map(async |_| {
        time::sleep(TENTH).await;
        *pages.lock().await += 1;
    }))
    .await;
    watch.say(format_args!("{} pages more, fetched before it", pages.into_inner()));
}

fn main() {
    let show = Show::new(USAGE, &["transactions", "released", "too-long"]);
    show.part("transactions", "one at a time, first come, first served", transactions);
    show.part("released", "a lock outlives its holder", released);
    show.part("too-long", "five fetches with the lock held, then without", too_long);
}
