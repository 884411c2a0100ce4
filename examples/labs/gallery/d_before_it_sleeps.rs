//! Exhibit D: another thread wakes the task while the task is still running.

#![forbid(unsafe_code)]

use std::future::poll_fn;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use roundel::time;

fn main() {
    let in_time = roundel::run(async {
        let mut asked = false;
        let start = time::now();
        let answer = poll_fn(|cx| {
            if asked {
                return Poll::Ready(());
            }
            asked = true;
            let waker = cx.waker().clone();
            thread::spawn(move || waker.wake()).join().unwrap();
            Poll::Pending
        });
        let answered = time::timeout(Duration::from_secs(2), answer).await;
        answered.is_ok() && time::now() - start < Duration::from_secs(2)
    });
    println!("the answer came before the two seconds were over: {in_time}");
}
