//! A transfer that is dropped at its `.await`, and two cures.
//!
//! Run it with `cargo run --release --example cut_short`. Time is virtual, so it takes none.
//!
//! Facts. Who drops a future stops it at the `.await` where it stands. What was done before stays done, and what comes
//! behind is never done. There are few such places, and all of them can be tried.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

use roundel::{Runtime, testing, time};

struct Bank {
    yours: Cell<i32>,
    mine: Cell<i32>,
}

/// Takes two seconds.
async fn ask_the_other_bank() {
    time::sleep(Duration::from_secs(2)).await;
}

fn add(account: &Cell<i32>, amount: i32) {
    account.set(account.get() + amount);
}

/// Wrong: at the await, the money is nowhere.
async fn careless(bank: &Bank) {
    add(&bank.yours, -30);
    ask_the_other_bank().await;
    add(&bank.mine, 30);
}

/// No await between the two.
async fn in_one_step(bank: &Bank) {
    ask_the_other_bank().await;
    add(&bank.yours, -30);
    add(&bank.mine, 30);
}

/// Puts the money back when it is dropped.
struct OnItsWay<'a>(&'a Cell<i32>);

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        add(self.0, 30);
    }
}

/// The guard lies in the future, so it is dropped with it.
async fn with_a_guard(bank: &Bank) {
    add(&bank.yours, -30);
    let on_its_way = OnItsWay(&bank.yours);
    ask_the_other_bank().await;
    std::mem::forget(on_its_way);
    add(&bank.mine, 30);
}

fn bank() -> Bank {
    Bank { yours: Cell::new(100), mine: Cell::new(0) }
}

/// Cuts the transfer wherever it can be cut, and counts the money.
async fn try_all(name: &str, transfer: impl AsyncFn(&Bank)) {
    let mut lost = Vec::new();
    let places = testing::at_every_await(async |cut| {
        let bank = bank();
        cut.run(transfer(&bank)).await;
        lost.push(100 - bank.yours.get() - bank.mine.get());
    })
    .await;
    println!("{name:13} cut at {places} places, and then not at all; lost: {lost:?}");
}

fn main() {
    let runtime = Runtime::builder().virtual_time(true).build().expect("a loop");
    runtime.block_on(async {
        let bank = bank();
        let result = time::timeout(Duration::from_secs(1), careless(&bank)).await;
        println!("a timeout says {result:?}; yours {}, mine {}", bank.yours.get(), bank.mine.get());
        try_all("careless:", async |bank| careless(bank).await).await;
        try_all("in one step:", async |bank| in_one_step(bank).await).await;
        try_all("with a guard:", async |bank| with_a_guard(bank).await).await;
    });
}
