//! Exhibit G: a sleep that never ends, beside one of a second.

#![forbid(unsafe_code)]

use std::time::Duration;

use roundel::group::select;
use roundel::{Runtime, time};

fn main() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let start = time::now();
        for round in 1..=3 {
            select! {
                () = time::sleep(Duration::MAX) => println!("round {round}: for ever is over"),
                () = time::sleep(Duration::from_secs(1)) => println!("round {round}: a second is over"),
            }
        }
        println!("in all: {} s", (time::now() - start).as_secs());
    });
}
