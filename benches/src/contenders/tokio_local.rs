//! tokio's `LocalRuntime`, through `spawn_local`.

use ::tokio::task::JoinHandle;
use ::tokio::task::spawn_blocking as unblock;
pub use ::tokio::task::spawn_local as spawn;
pub use ::tokio::task::yield_now;
pub use ::tokio::time::{sleep, timeout};

use crate::parts::{LocalBaton as Baton, *};
use crate::programs::{in_task, programs};
use crate::vocabulary::jobs;

type Boxed = std::pin::Pin<Box<dyn Future<Output = u64>>>;

pub fn block_on<F: Future>(main: F) -> F::Output {
    ::tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(::tokio::runtime::LocalOptions::default())
        .unwrap()
        .block_on(main)
}

async fn join<T>(handle: JoinHandle<T>) -> T {
    handle.await.unwrap()
}

fn detach<T>(handle: JoinHandle<T>) {
    drop(handle);
}

programs!();
jobs!();
crate::contenders::tokio::server!();
