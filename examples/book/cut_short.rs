//! A transfer that is dropped at its `.await`, and two remedies.
//!
//! Run it with `cargo run --release --example cut_short`. Time is virtual, so it takes none.
//!
//! Facts. Dropping a future stops it at the `.await` where it waits. What it did before stays done, and what comes
//! after the await is never done. There are few such places, and a test can try all of them.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

use examples::{args, println};
use roundel::{Runtime, testing, time};

type Account = Cell<i32>;

/// Takes two seconds.
async fn ask_the_other_bank() {
    time::sleep(Duration::from_secs(2)).await;
}

fn add(account: &Account, amount: i32) {
    account.set(account.get() + amount);
}

/// Wrong: during the await, the money is in neither account.
async fn careless(yours: &Account, mine: &Account) {
    add(yours, -30);
    ask_the_other_bank().await;
    add(mine, 30);
}

/// No await between the two steps.
async fn in_one_step(yours: &Account, mine: &Account) {
    ask_the_other_bank().await;
    add(yours, -30);
    add(mine, 30);
}

/// Puts the money back when it is dropped.
struct OnItsWay<'a>(&'a Account);

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        add(self.0, 30);
    }
}

/// The guard is part of the future, so it is dropped with the future.
async fn with_a_guard(yours: &Account, mine: &Account) {
    add(yours, -30);
    let on_its_way = OnItsWay(yours);
    ask_the_other_bank().await;
    std::mem::forget(on_its_way);
    add(mine, 30);
}

/// Cuts the transfer at each place where it can be cut, and counts the money.
async fn try_all(name: &str, transfer: impl AsyncFn(&Account, &Account)) {
    let mut lost = Vec::new();
    let places = testing::at_every_await(async |cut| {
        let (yours, mine) = (Cell::new(100), Cell::new(0));
        cut.run(transfer(&yours, &mine)).await;
        lost.push(100 - yours.get() - mine.get());
    })
    .await;
    println!("{name:13} cut at {places} places, and then not at all; lost: {lost:?}");
}

fn main() {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build().expect("a loop");
    runtime.block_on(async {
        let (yours, mine) = (Cell::new(100), Cell::new(0));
        let result = time::timeout(Duration::from_secs(1), careless(&yours, &mine)).await;
        println!("a timeout says {result:?}; yours {}, mine {}", yours.get(), mine.get());
        try_all("careless:", async |yours, mine| careless(yours, mine).await).await;
        try_all("in one step:", async |yours, mine| in_one_step(yours, mine).await).await;
        try_all("with a guard:", async |yours, mine| with_a_guard(yours, mine).await).await;
    });
}
