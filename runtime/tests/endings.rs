//! How tasks, scopes, pools and runtimes end: what is dropped, where, in which order, and what the handle says.

#![forbid(unsafe_code)]
#![allow(clippy::async_yields_async, reason = "handles are carried out of a `block_on`")]

mod common;

#[path = "endings/aborts.rs"]
mod aborts;
#[path = "endings/clocks.rs"]
mod clocks;
#[path = "endings/scopes.rs"]
mod scopes;
#[path = "endings/shutdown.rs"]
mod shutdown;
#[path = "endings/table.rs"]
mod table;
#[path = "endings/threads.rs"]
mod threads;

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use roundel::{Builder, JoinHandle, Runtime, spawn};

/// What happened, in order.
type Log = Rc<RefCell<Vec<&'static str>>>;

fn note(log: &Log, text: &'static str) {
    log.borrow_mut().push(text);
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn virtual_runtime() -> Runtime {
    Runtime::builder().virtual_time(true).build().unwrap()
}

/// A runtime whose shutdown ends only when nothing is left to do.
fn patient(builder: Builder) -> Runtime {
    builder.shutdown_timeout(Duration::MAX).build().unwrap()
}

/// Runs `body` in a separate process, because a failure may abort it. Miri has no processes.
fn alone(test: &str, body: impl FnOnce()) {
    if cfg!(miri) { body() } else { common::alone(test, body) }
}

/// Runs an action when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Panics when it is dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// Spawns a task that waits for ever and runs an action when it is dropped.
fn spawn_with_last_word(f: impl FnMut() + 'static) -> JoinHandle<()> {
    let guard = OnDrop(f);
    spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    })
}
