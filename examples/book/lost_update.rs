//! Two deposits into one account: without a lock, without a lock and with an await in the wrong place, and with a lock.
//!
//! Run it with `cargo run --release --example lost_update`. Time is virtual, so it takes none.
//!
//! Facts. Between two awaits no other task runs. At an await any task may run.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

use examples::{args, println};
use roundel::group::join;
use roundel::sync::Mutex;
use roundel::{Runtime, time};

/// Something slow: a database, say.
async fn ask() {
    time::sleep(Duration::from_millis(100)).await;
}

/// Waits first, then reads and writes.
async fn waits_before(balance: &Cell<u32>, amount: u32) {
    ask().await;
    let seen = balance.get();
    balance.set(seen + amount);
}

/// Wrong: reads, waits, and writes what was true before.
async fn waits_between(balance: &Cell<u32>, amount: u32) {
    let seen = balance.get();
    ask().await;
    balance.set(seen + amount);
}

/// Waits in the same place, but no other task can read meanwhile.
async fn waits_locked(balance: &Mutex<u32>, amount: u32) {
    let mut balance = balance.lock().await;
    let seen = *balance;
    ask().await;
    *balance = seen + amount;
}

/// Runs both deposits, and prints the balance.
async fn both<T>(what: &str, deposits: impl Future<Output = T>, balance: impl Fn() -> u32) {
    let start = time::now();
    deposits.await;
    println!("{what:32} {:3} euros after {} ms", balance(), (time::now() - start).as_millis());
}

fn main() {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build().expect("a loop");
    runtime.block_on(async {
        let b = Cell::new(0);
        both("await, read, write:", async { join!(waits_before(&b, 100), waits_before(&b, 50)) }, || b.get())
            .await;
        let b = Cell::new(0);
        both("read, await, write:", async { join!(waits_between(&b, 100), waits_between(&b, 50)) }, || {
            b.get()
        })
        .await;
        let b = Mutex::new(0);
        let all = || *b.try_lock().expect("both are done");
        both("lock, read, await, write:", async { join!(waits_locked(&b, 100), waits_locked(&b, 50)) }, all)
            .await;
    });
}
