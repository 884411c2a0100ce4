//! compio, on io_uring where the kernel has it.

use std::net::TcpListener;

use ::compio::io::{AsyncRead, AsyncWriteExt};
use ::compio::runtime::JoinHandle;
pub use ::compio::runtime::spawn;
use ::compio::runtime::spawn_blocking as unblock;
pub use ::compio::time::{sleep, timeout};

use crate::parts::{LocalBaton as Baton, *};
use crate::programs::{in_task, programs};
use crate::talk::{Answer, Talk};
use crate::vocabulary::jobs;

type Boxed = std::pin::Pin<Box<dyn Future<Output = u64>>>;

/// compio has none of its own; this is what its users write.
pub fn yield_now() -> SelfWake {
    SelfWake::new()
}

pub fn block_on<F: Future>(main: F) -> F::Output {
    ::compio::runtime::Runtime::new().unwrap().block_on(main)
}

async fn join<T>(handle: JoinHandle<T>) -> T {
    handle.await.unwrap()
}

fn detach<T>(handle: JoinHandle<T>) {
    handle.detach();
}

programs!();
jobs!();

async fn converse(mut stream: ::compio::net::TcpStream, mut talk: Talk) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(talk.buffer());
    loop {
        let ::compio::BufResult(count, read) = stream.read(buffer).await;
        buffer = read;
        if count? == 0 {
            return Ok(());
        }
        match talk.answer(&buffer) {
            Answer::Same => {
                let ::compio::BufResult(written, back) = stream.write_all(buffer).await;
                written?;
                buffer = back;
            }
            Answer::Fixed(bytes) => stream.write_all(bytes).await.0?,
        }
        buffer.clear();
    }
}

pub fn serve(listener: TcpListener, talk: Talk, hot: usize) {
    block_on(async move {
        (0..hot).for_each(|_| detach(spawn(burn_and_wake())));
        let listener = ::compio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            detach(spawn(converse(stream, talk)));
        }
    });
}
