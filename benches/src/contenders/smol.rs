//! smol's parts: async-executor's `LocalExecutor`, async-io, async-channel, async-lock, blocking.

use std::net::{TcpListener, TcpStream};

pub use ::async_channel::{bounded, unbounded};
use ::async_executor::{LocalExecutor, Task};
use ::async_io::{Async, Timer};
use ::async_lock::{Mutex, Semaphore};
pub use ::futures_lite::future::yield_now;
use std::rc::Rc as Shared;

use crate::parts::{LocalBaton as Baton, *};
use crate::programs::{in_task, programs};
use crate::talk::Talk;
use crate::vocabulary::{jobs, locks, messages};

type Boxed = std::pin::Pin<Box<dyn Future<Output = u64>>>;

thread_local!(static EXECUTOR: &'static LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new())));

pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    EXECUTOR.with(|executor| executor.spawn(future))
}

pub async fn sleep(duration: Duration) {
    Timer::after(duration).await;
}

pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Result<T, ()> {
    futures_lite::future::or(async { Ok(future.await) }, async {
        Timer::after(duration).await;
        Err(())
    })
    .await
}

pub fn block_on<F: Future>(main: F) -> F::Output {
    let executor = EXECUTOR.with(|executor| *executor);
    async_io::block_on(executor.run(main))
}

async fn join<T>(task: Task<T>) -> T {
    task.await
}

fn detach<T>(task: Task<T>) {
    task.detach();
}

async fn unblock<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T, ()> {
    Ok(blocking::unblock(job).await)
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
        $semaphore.acquire().await
    };
}

programs!();
messages!();
locks!();
jobs!();

async fn converse(mut stream: Async<TcpStream>, mut talk: Talk) -> std::io::Result<()> {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    stream.get_ref().set_nodelay(true)?;
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

pub fn serve(listener: TcpListener, talk: Talk, hot: usize) {
    block_on(async move {
        (0..hot).for_each(|_| detach(spawn(burn_and_wake())));
        let listener = Async::new(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            detach(spawn(converse(stream, talk)));
        }
    });
}
