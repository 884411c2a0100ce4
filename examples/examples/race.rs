//! Two deposits into one account, 100 and 50: what is the balance in the end? It depends on where the `.await` is.
//!
//! Run it with `cargo run --release --example race`.
//!
//! Facts. Safe Rust has no data races, and one thread could not have any. A race *condition* needs no threads: if there
//! is an `.await` between reading the balance and writing it back, another task may run there. Between two lines
//! without an `.await`, no other task can.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::group::join;
use roundel::sync::Mutex;
use roundel::time;

const USAGE: &str = "\
usage: race [as-printed|race|locked] [--virtual]
  as-printed  waits, then reads and writes: often shown as a race, but it is none
  race        reads, waits, writes: one deposit is lost
  locked      the same under a lock
  --virtual   the clock jumps to the next deadline whenever no task can go on";

/// A round trip to the bank.
async fn wait() {
    time::sleep(Duration::from_millis(100)).await;
}

async fn deposit_as_printed(watch: Stopwatch, balance: &Cell<i32>, amount: i32) {
    wait().await;
    let seen = balance.get(); // From here to the next line, no other task can run.
    balance.set(seen + amount);
    watch.say(format_args!("+{amount}: read {seen}, wrote {}", balance.get()));
}

async fn deposit_in_a_race(watch: Stopwatch, balance: &Cell<i32>, amount: i32) {
    let seen = balance.get();
    wait().await; // Any task may run here, and `seen` grows old.
    balance.set(seen + amount);
    watch.say(format_args!("+{amount}: had read {seen}, wrote {}", balance.get()));
}

async fn deposit_with_a_lock(watch: Stopwatch, balance: &Mutex<i32>, amount: i32) {
    let mut balance = balance.lock().await; // The second deposit waits here.
    let seen = *balance;
    wait().await;
    *balance = seen + amount;
    watch.say(format_args!("+{amount}: had read {seen}, wrote {}", *balance));
}

async fn as_printed(watch: Stopwatch) {
    let balance = Cell::new(0);
    join!(deposit_as_printed(watch, &balance, 100), deposit_as_printed(watch, &balance, 50));
    watch.say(format_args!("balance {}", balance.get()));
}

async fn race(watch: Stopwatch) {
    let balance = Cell::new(0);
    join!(deposit_in_a_race(watch, &balance, 100), deposit_in_a_race(watch, &balance, 50));
    watch.say(format_args!("balance {}: the first deposit is lost", balance.get()));
}

async fn locked(watch: Stopwatch) {
    let balance = Mutex::new(0);
    join!(deposit_with_a_lock(watch, &balance, 100), deposit_with_a_lock(watch, &balance, 50));
    watch.say(format_args!("balance {}, and it took twice as long", balance.into_inner()));
}

fn main() {
    let show = Show::new(USAGE, &["as-printed", "race", "locked"]);
    show.part("as-printed", "no await between reading and writing", as_printed);
    show.part("race", "an await between reading and writing", race);
    show.part("locked", "an await in between, under a lock", locked);
}
