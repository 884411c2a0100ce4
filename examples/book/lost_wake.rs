//! Three tasks want a lock, and the second is dropped: a lock that forgets the third, and one that does not.
//!
//! Run it with `cargo run --release --example lost_wake`. Time is virtual, so it takes none.
//!
//! Facts. A task that waits can be dropped at any time, even after it was woken and before it ran. Its waker cannot
//! know that.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use examples::{args, println};
use roundel::group::join;
use roundel::sync::Mutex;
use roundel::{Runtime, testing, time, yield_now};

/// Wrong: a flag, and the wakers of the tasks that wait.
#[derive(Default)]
struct BareLock {
    locked: Cell<bool>,
    waiting: RefCell<VecDeque<Waker>>,
}

struct BareGuard<'a>(&'a BareLock);

impl Drop for BareGuard<'_> {
    fn drop(&mut self) {
        self.0.locked.set(false);
        let first = self.0.waiting.borrow_mut().pop_front();
        first.into_iter().for_each(Waker::wake);
    }
}

/// What both kinds of lock can do.
trait Lock: Default {
    /// Waits for the lock, which is released when the result is dropped.
    fn hold(&self) -> impl Future<Output = impl Sized>;
}

impl Lock for BareLock {
    fn hold(&self) -> impl Future<Output = impl Sized> {
        poll_fn(|cx| {
            if self.locked.replace(true) {
                self.waiting.borrow_mut().push_back(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(BareGuard(self))
        })
    }
}

impl Lock for Mutex<()> {
    fn hold(&self) -> impl Future<Output = impl Sized> {
        self.lock()
    }
}

/// One task has the lock, two wait; the second is dropped at each place where it can be. Does the third get the lock
/// within an hour?
async fn three_want<L: Lock>(what: &str) {
    let mut fates = Vec::new();
    testing::at_every_await(async |cut| {
        let lock = L::default();
        let first = async {
            let held = lock.hold().await;
            yield_now().await;
            drop(held);
        };
        let second = async { drop(cut.run(lock.hold()).await) };
        let third = async { drop(lock.hold().await) };
        let all = async { join!(first, second, third) };
        let done = time::timeout(Duration::from_secs(3600), all).await.is_ok();
        fates.push(if done { "has it" } else { "waits for ever" });
    })
    .await;
    println!("{what} the third {}", fates.join(", "));
}

fn main() {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build().expect("a loop");
    runtime.block_on(async {
        three_want::<BareLock>("bare lock:").await;
        three_want::<Mutex<()>>("mutex:    ").await;
    });
}
