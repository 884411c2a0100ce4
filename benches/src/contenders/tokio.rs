//! tokio's `current_thread` runtime, through `spawn`.

pub use ::tokio::spawn;
use ::tokio::sync::broadcast::channel as broadcast;
use ::tokio::sync::mpsc::{channel as bounded, unbounded_channel as unbounded};
use ::tokio::sync::oneshot::channel as oneshot;
use ::tokio::sync::watch::channel as watch;
use ::tokio::sync::{Mutex, Notify, Semaphore};
pub use ::tokio::task::yield_now;
use ::tokio::task::{JoinHandle, JoinSet, spawn_blocking as unblock};
pub use ::tokio::time::{sleep, timeout};
use std::sync::Arc as Shared;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::parts::{SendBaton as Baton, *};
use crate::programs::{in_task, programs};
use crate::vocabulary::{jobs, locks, messages, signals, together};

type Boxed = std::pin::Pin<Box<dyn Future<Output = u64> + Send>>;
type ReplyTo = ::tokio::sync::oneshot::Sender<u64>;

pub fn block_on<F: Future>(main: F) -> F::Output {
    ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(main)
}

async fn join<T>(handle: JoinHandle<T>) -> T {
    handle.await.unwrap()
}

fn detach<T>(handle: JoinHandle<T>) {
    drop(handle);
}

async fn gather_all<F>(futures: impl Iterator<Item = F>) -> u64
where
    F: Future<Output = u64> + Send + 'static,
{
    let mut set: JoinSet<u64> = futures.collect();
    let mut sum = 0;
    while let Some(value) = set.join_next().await {
        sum += value.unwrap();
    }
    sum
}

async fn scope_all(n: usize) {
    let done = Shared::new(AtomicUsize::new(0));
    let mut set = JoinSet::new();
    for _ in 0..n {
        let done = done.clone();
        set.spawn(async move {
            SelfWake::new().await;
            done.fetch_add(1, Relaxed);
        });
    }
    while set.join_next().await.is_some() {}
    assert_eq!(done.load(Relaxed), n);
}

/// Spawns from another thread, which waits for the last task.
pub fn spawn_from_elsewhere(n: u64) -> Duration {
    block_on(async move {
        let handle = ::tokio::runtime::Handle::current();
        let start = Instant::now();
        let sum = unblock(move || {
            let handles: Vec<_> = (0..n).map(|i| handle.spawn(async move { i })).collect();
            handles.into_iter().map(|task| handle.block_on(task).unwrap()).sum::<u64>()
        });
        assert_eq!(sum.await.unwrap(), n * (n - 1) / 2);
        start.elapsed()
    })
}

macro_rules! recv {
    ($receiver:ident) => {
        $receiver.recv().await.unwrap()
    };
}
macro_rules! send_unbounded {
    ($sender:ident, $value:expr) => {
        $sender.send($value).unwrap()
    };
}
macro_rules! acquire {
    ($semaphore:expr) => {
        $semaphore.acquire().await.unwrap()
    };
}
macro_rules! acquire_many {
    ($semaphore:expr, $n:expr) => {
        $semaphore.acquire_many($n as u32).await
    };
}
macro_rules! notify_all {
    ($notify:expr) => {
        $notify.notify_waiters()
    };
}

programs!();
messages!();
locks!();
jobs!();
signals!();
together!();

/// A server, through this module's `spawn`; tokio's two runtimes differ in nothing else.
macro_rules! server {
    () => {
        async fn converse(
            mut stream: ::tokio::net::TcpStream,
            mut talk: crate::talk::Talk,
        ) -> std::io::Result<()> {
            use ::tokio::io::{AsyncReadExt, AsyncWriteExt};
            stream.set_nodelay(true)?;
            let mut buffer = vec![0; talk.buffer()];
            loop {
                let count = stream.read(&mut buffer).await?;
                if count == 0 {
                    return Ok(());
                }
                let answer = talk.answer(&buffer[..count]);
                stream.write_all(answer.bytes(&buffer[..count])).await?;
            }
        }

        pub fn serve(listener: std::net::TcpListener, talk: crate::talk::Talk, hot: usize) {
            block_on(async move {
                (0..hot).for_each(|_| detach(spawn(crate::parts::burn_and_wake())));
                let listener = ::tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    detach(spawn(converse(stream, talk)));
                }
            });
        }
    };
}

server!();
pub(crate) use server;
