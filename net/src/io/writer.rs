//! A buffer in front of a writer: many small writes become one.
//!
//! Facts. Each write to a socket is a system call, and without [`nodelay`](crate::TcpStream::set_nodelay) a small one may
//! wait for the peer. Code that writes a number, a space and a line end makes three.
//!
//! What follows. The bytes are kept until the buffer is full, or until they are flushed. A writer that is flushed after
//! each message holds a buffer only while it writes one.
//!
//! Contract. The bytes arrive in order. After a flush, all of them are with the writer, which is flushed, too. After an
//! error, those that were not written are still there. Dropping cannot wait, so it discards what was not flushed.
//!
//! | method | cancel safe |
//! |---|---|
//! | `flush` | yes: what was not written is still in the buffer |
//! | `write_all` | no: the caller cannot tell how much is in the buffer |
//!
//! What it does not know: what the bytes mean.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;
use roundel::task::poll_budget;

use super::buffers::{Buffers, SMALL};
use super::lent::Lent;

/// Collects small writes. It may own the writer, or borrow it.
///
/// ```
/// use roundel_net::io::BufWriter;
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let (ours, theirs) = roundel_net::UnixStream::pair()?;
///     let mut writer = BufWriter::new(&ours);
///     for number in 0..5 {
///         writer.write_all(format!("{number} ").as_bytes()).await?;
///     }
///     writer.flush().await?; // Without this, nothing would arrive.
///     assert_eq!(theirs.try_read(&mut [0; 100])?, 10);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct BufWriter<W> {
    inner: W,
    buffers: Buffers,
    /// `None` while nothing is buffered.
    chunk: Option<Lent>,
    /// How much of the chunk is written already.
    sent: usize,
}

impl<W> BufWriter<W> {
    /// A writer with a buffer of its own, of 16 KiB.
    pub fn new(inner: W) -> BufWriter<W> {
        BufWriter { inner, buffers: Buffers::new(SMALL), chunk: None, sent: 0 }
    }

    /// Takes its buffer from a pile that many writers share, and holds none while nothing is buffered.
    #[must_use]
    pub fn sharing(mut self, buffers: &Buffers) -> BufWriter<W> {
        self.buffers = buffers.clone();
        self
    }

    /// The bytes that are not written yet.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        self.chunk.as_ref().map_or(&[], |chunk| &chunk[self.sent..])
    }

    /// The writer. What is written to it directly overtakes what is [`buffered`](BufWriter::buffered).
    #[must_use]
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The writer. What is [`buffered`](BufWriter::buffered) is discarded.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.inner
    }

    /// Copies into the buffer what fits, and returns how much that is.
    fn keep(&mut self, bytes: &[u8]) -> usize {
        let chunk = self.chunk.get_or_insert_with(|| Lent::new(Some(&self.buffers)));
        let (start, room) = (chunk.len(), chunk.size() - chunk.len());
        let count = bytes.len().min(room);
        chunk.room()[start..start + count].copy_from_slice(&bytes[..count]);
        chunk.set_filled(start + count);
        count
    }

    fn is_full(&self) -> bool {
        self.chunk.as_ref().is_some_and(|chunk| chunk.len() == chunk.size())
    }
}

impl<W: AsyncWrite + Unpin> BufWriter<W> {
    /// Puts all of the bytes into the buffer. It writes whenever the buffer is full.
    ///
    /// # Errors
    ///
    /// The writer's error.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|cx| Pin::new(&mut *self).poll_write(cx, bytes)).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Writes all that is buffered, and flushes the writer.
    ///
    /// # Errors
    ///
    /// The writer's error.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await
    }

    /// Writes all that is buffered. Then the buffer goes back to its pile.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(chunk) = &self.chunk {
            if self.sent == chunk.len() {
                (self.chunk, self.sent) = (None, 0);
                break;
            }
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &chunk[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for BufWriter<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let writer = self.get_mut();
        // Room first: a write that takes nothing of something would mean the end.
        if writer.is_full() {
            ready!(writer.poll_send(cx))?;
        }
        // Once it is full, it keeps nothing of the parts that follow.
        let count = parts.iter().filter(|part| !part.is_empty()).map(|part| writer.keep(part)).sum();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(poll_budget(cx));
        let writer = self.get_mut();
        ready!(writer.poll_send(cx))?;
        Pin::new(&mut writer.inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let writer = self.get_mut();
        ready!(writer.poll_send(cx))?;
        Pin::new(&mut writer.inner).poll_close(cx)
    }
}

impl<W: fmt::Debug> fmt::Debug for BufWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufWriter")
            .field("inner", &self.inner)
            .field("buffered", &self.buffered().len())
            .finish_non_exhaustive()
    }
}
