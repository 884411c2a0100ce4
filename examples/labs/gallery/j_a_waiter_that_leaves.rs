//! Exhibit J: two tasks wait for a lock. The first is called, and is cancelled before it runs again.

#![forbid(unsafe_code)]

use std::rc::Rc;
use std::time::Duration;

use roundel::sync::Mutex;
use roundel::{Runtime, spawn, time, yield_now};

fn main() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let lock = Rc::new(Mutex::new(0));
        let guard = lock.lock().await;
        let wait = |name: &'static str| {
            let lock = Rc::clone(&lock);
            spawn(async move {
                *lock.lock().await += 1;
                println!("the {name} waiter has the lock");
            })
        };
        let (first, second) = (wait("first"), wait("second"));
        yield_now().await;
        drop(guard);
        first.cancel();
        match time::timeout(Duration::from_secs(60), second).await {
            Ok(_) => println!("done"),
            Err(_) => println!("no task has the lock, and a minute has passed: {}", lock.is_locked()),
        }
    });
}
