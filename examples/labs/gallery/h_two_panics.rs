//! Exhibit H: a future panics when it is polled, and once more when it is dropped. Its handle tells the first.

#![forbid(unsafe_code)]

use std::pin::Pin;
use std::task::{Context, Poll};

use roundel::spawn;

struct Fragile;

impl Future for Fragile {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        panic!("the first panic");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("the second panic");
    }
}

fn main() {
    roundel::run(async {
        let neighbour = spawn(async { "is well" });
        let error = spawn(Fragile).await.unwrap_err();
        println!("the task has panicked: {}", error.to_string().ends_with("the first panic"));
        println!("its neighbour {}", neighbour.await.unwrap());
    });
}
