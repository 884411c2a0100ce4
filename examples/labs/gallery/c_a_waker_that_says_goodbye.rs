//! Exhibit C: a waker of the program's own, which starts a sleep when it is dropped.

#![forbid(unsafe_code)]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use roundel::{Runtime, time};

struct Goodbye;

impl Wake for Goodbye {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Goodbye {
    fn drop(&mut self) {
        let sleep = pin!(time::sleep(Duration::from_secs(1)));
        let _pending = sleep.poll(&mut Context::from_waker(Waker::noop()));
        println!("goodbye");
    }
}

fn main() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut sleep = Box::pin(time::sleep(Duration::from_secs(9)));
        let waker = Waker::from(Arc::new(Goodbye));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        println!("the sleep has the last clone of the waker");
        drop(sleep);
    });
}
