//! A stream, as `hyper` reads and writes it.
//!
//! Facts. `hyper` gives a read memory that was never written. To read into it directly takes `unsafe`, and to zero it
//! first costs more than the rest of a small request. Most requests are a few hundred bytes.
//!
//! What follows. A read goes into a buffer that is shared by all connections of the thread and was zeroed once; what came
//! is copied. A connection that waits holds no buffer of ours. Writes pass through, several buffers at once.
//!
//! What it does not know: HTTP.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::hyper::rt::{Read, ReadBufCursor, Write};
use futures_io::{AsyncRead, AsyncWrite};

use crate::io::{Buffers, Lent};

thread_local! {
    /// The buffers for all reads of this thread.
    static BUFFERS: Buffers = Buffers::default();
}

impl Buffers {
    /// The buffers that all connections of this thread share.
    pub(super) fn of_thread() -> Buffers {
        BUFFERS.with(Buffers::clone)
    }
}

/// Makes a stream one that `hyper` reads and writes.
///
/// The stream should write several buffers with one call, as those of this crate do, because `hyper` then gives it the
/// head and the body of a message without copying them into one.
///
/// ```
/// use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
/// use roundel_net::hyper::Io;
/// use roundel_net::testing::duplex;
///
/// roundel::run(async {
///     let (client, server) = duplex(1024);
///     let hello = async |_: Request<Incoming>| Ok::<_, hyper::Error>(Response::new(String::from("hello")));
///     let serving = http1::Builder::new().keep_alive(false).serve_connection(Io::new(server), service_fn(hello));
///     let serving = roundel::spawn(serving);
///     roundel_net::io::copy(&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], &client).await?;
///     let mut answer = Vec::new();
///     roundel_net::io::copy(&client, &mut answer).await?;
///     assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"\r\n\r\nhello"));
///     serving.await.unwrap().unwrap();
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct Io<S> {
    stream: S,
    buffers: Buffers,
    /// What was read before `hyper` had the stream, and how much of it `hyper` has. Freed once all of it is given.
    early: Vec<u8>,
    given: usize,
}

impl<S> Io<S> {
    /// With the buffers that all streams of this thread share.
    pub fn new(stream: S) -> Io<S> {
        Io::after(stream, Vec::new())
    }

    /// `early` was read from the stream already.
    pub(super) fn after(stream: S, early: Vec<u8>) -> Io<S> {
        Io { stream, buffers: Buffers::of_thread(), early, given: 0 }
    }

    /// The stream inside.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream inside.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Gives out what was read before.
    fn give_early(&mut self, room: &mut ReadBufCursor<'_>) {
        let count = room.remaining().min(self.early.len() - self.given);
        room.put_slice(&self.early[self.given..self.given + count]);
        self.given += count;
        if self.given == self.early.len() {
            (self.early, self.given) = (Vec::new(), 0);
        }
    }
}

impl<S: AsyncRead + Unpin> Read for Io<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let io = self.get_mut();
        if !io.early.is_empty() {
            io.give_early(&mut room);
            return Poll::Ready(Ok(()));
        }
        // However the read ends, the buffer goes back.
        let mut lent = Lent::new(Some(&io.buffers));
        let wanted = lent.size().min(room.remaining());
        let count = ready!(Pin::new(&mut io.stream).poll_read(cx, &mut lent.room()[..wanted]))?;
        room.put_slice(&lent.room()[..count]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Write for Io<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl<S: fmt::Debug> fmt::Debug for Io<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Io").field(&self.stream).finish()
    }
}
