//! How tasks, scopes, pools and runtimes end: what is dropped, where, in which order, and what the handle says.

#![forbid(unsafe_code)]
#![allow(clippy::async_yields_async, reason = "handles are carried out of a `block_on`")]

#[path = "endings/clocks.rs"]
mod clocks;

use std::rc::Rc;
use std::time::Duration;

use roundel::Runtime;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn virtual_runtime() -> Runtime {
    Runtime::builder().virtual_time(true).build().unwrap()
}
