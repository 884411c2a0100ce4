//! roundel: `run`, `spawn`, and everything in the loop's own thread.

pub use ::roundel::blocking::unblock;
pub use ::roundel::channel::{bounded, broadcast, oneshot, unbounded, watch};
use ::roundel::group::{Scope, gather, scope};
pub use ::roundel::sync::{Mutex, Notify, Semaphore};
pub use ::roundel::time::{sleep, timeout};
pub use ::roundel::{spawn, yield_now};
use roundel_net::io::Buffers;
use roundel_net::{TcpListener, TcpStream};
use std::cell::Cell;
use std::rc::Rc as Shared;

use crate::parts::{LocalBaton as Baton, *};
use crate::programs::{in_task, programs};
use crate::talk::{BUFFER, Talk};
use crate::vocabulary::{jobs, locks, messages, signals, together};

type Boxed = std::pin::Pin<Box<dyn Future<Output = u64>>>;
type ReplyTo = ::roundel::channel::OneshotSender<u64>;

pub fn block_on<F: Future>(main: F) -> F::Output {
    ::roundel::run(main)
}

async fn join<T: 'static>(handle: ::roundel::JoinHandle<T>) -> T {
    handle.await.unwrap()
}

fn detach<T: 'static>(handle: ::roundel::JoinHandle<T>) {
    handle.detach();
}

async fn gather_all<F: Future<Output = u64>>(futures: impl Iterator<Item = F>) -> u64 {
    gather(futures).await.into_iter().sum()
}

async fn scope_all(n: usize) {
    let done = Cell::new(0);
    scope(async |s: &Scope<'_>| {
        for _ in 0..n {
            drop(s.spawn(async {
                SelfWake::new().await;
                done.set(done.get() + 1);
            }));
        }
    })
    .await;
    assert_eq!(done.get(), n);
}

/// Spawns from another thread, which waits for the last task.
pub fn spawn_from_elsewhere(n: u64) -> Duration {
    block_on(async move {
        let remote = ::roundel::remote();
        let start = Instant::now();
        let sum = unblock(move || {
            let handles: Vec<_> = (0..n).map(|i| remote.spawn(move || async move { i })).collect();
            handles.into_iter().map(|handle| handle.wait().unwrap()).sum::<u64>()
        });
        assert_eq!(sum.await.unwrap(), n * (n - 1) / 2);
        start.elapsed()
    })
}

macro_rules! recv {
    ($receiver:ident) => {{
        let receiver = &mut $receiver;
        receiver.recv().await.unwrap()
    }};
}
macro_rules! send_unbounded {
    ($sender:ident, $value:expr) => {
        $sender.try_send($value).unwrap()
    };
}
macro_rules! acquire {
    ($semaphore:expr) => {
        $semaphore.acquire().await.unwrap()
    };
}
macro_rules! acquire_many {
    ($semaphore:expr, $n:expr) => {
        $semaphore.acquire_many($n as usize).await
    };
}
macro_rules! notify_all {
    ($notify:expr) => {
        $notify.notify_all()
    };
}

programs!();
messages!();
locks!();
jobs!();
signals!();
together!();

async fn converse(stream: TcpStream, buffers: Buffers, mut talk: Talk) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let bytes = stream.read_chunk(&buffers).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        stream.write_all(talk.answer(&bytes).bytes(&bytes)).await?;
    }
}

pub fn serve(listener: std::net::TcpListener, talk: Talk, hot: usize) {
    block_on(async move {
        (0..hot).for_each(|_| detach(spawn(burn_and_wake())));
        let by_default = matches!(talk, Talk::ByDefault);
        let buffers = if by_default { Buffers::default() } else { Buffers::new(BUFFER) };
        let listener = TcpListener::from_std(listener).unwrap();
        roundel_net::serve(listener, move |stream| converse(stream, buffers.clone(), talk)).await.unwrap();
    });
}
