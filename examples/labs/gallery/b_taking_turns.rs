//! Exhibit B: two tasks that count, and give way after each number.

#![forbid(unsafe_code)]

use roundel::{spawn, yield_now};

async fn count(name: &'static str) {
    for number in 1..=3 {
        println!("{name} {number}");
        yield_now().await;
    }
}

fn main() {
    roundel::run(async {
        let (one, two) = (spawn(count("one")), spawn(count("two")));
        one.await.unwrap();
        two.await.unwrap();
        println!("both have counted to three");
    });
}
