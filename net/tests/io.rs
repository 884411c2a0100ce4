//! What programs do with streams: hazards 22, 33, 40 and 54, and the same results however the bytes arrive.
//!
//! Most of it runs without a kernel, on the streams of `roundel_net::testing`. They are bounded, so that a
//! writer has to wait, and evil, so that nothing comes in one piece. Time is virtual, so a hang shows at
//! once. An oracle computes the expected results from all of the bytes at once.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

#[path = "io/both.rs"]
mod both;
#[path = "io/copy.rs"]
mod copy;
#[path = "io/reader.rs"]
mod reader;
#[path = "io/writer.rs"]
mod writer;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use proptest::prelude::ProptestConfig;
use roundel::time::timeout;
use roundel::{Runtime, run};
use roundel_net::{TcpListener, TcpStream};

/// How many random cases each property is tried with.
fn cases() -> ProptestConfig {
    let cases = if cfg!(debug_assertions) { 60 } else { 1000 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Runs `body` on virtual time. A hang is a panic.
fn virtually<T>(body: impl Future<Output = T>) -> T {
    let _watchdog = common::watchdog();
    let _nothing_starts = common::nothing_starts();
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    let limit = Duration::from_secs(3600);
    runtime.block_on(async { timeout(limit, body).await }).expect("a hang: nothing can go on")
}

/// Runs `body` on the real clock, for bytes that go through the kernel.
fn really<T>(body: impl Future<Output = T>) -> T {
    let _watchdog = common::watchdog();
    run(body)
}

/// The two ends of a TCP connection.
async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (ours, listener.accept().await.unwrap().0)
}

/// A stream whose reading is one closure and whose writing is another.
struct Scripted<R, W> {
    read: R,
    write: W,
}

impl<R, W> Unpin for Scripted<R, W> {}

impl<R: FnMut(&mut Context<'_>, &mut [u8]) -> Poll<io::Result<usize>>, W> AsyncRead for Scripted<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        (self.read)(cx, buffer)
    }
}

impl<R, W: FnMut(&[u8]) -> Poll<io::Result<usize>>> AsyncWrite for Scripted<R, W> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        (self.write)(bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A stream that passes on what was written only when it is flushed.
struct Lazy<W> {
    inner: W,
    kept: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Lazy<W> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.kept.extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Lazy { inner, kept } = &mut *self;
        while !kept.is_empty() {
            let count = std::task::ready!(Pin::new(&mut *inner).poll_write(cx, kept))?;
            kept.drain(..count);
        }
        Pin::new(inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// What a program reads from a stream: all of it, or the bytes before an error, and the error.
async fn all_of(stream: impl AsyncRead) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut bytes = Vec::new();
    let result = roundel_net::io::copy(stream, &mut bytes).await;
    (bytes, result.err().map(|error| error.kind()))
}

/// Bytes in which no two stretches are alike.
fn numbered(count: usize) -> Vec<u8> {
    (0..count as u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(count)
        .collect()
}
