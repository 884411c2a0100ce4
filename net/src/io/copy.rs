//! Copying from one stream to another until the first one ends.
//!
//! Facts. A read that finds nothing leaves the buffer untouched, so a task that waits for bytes needs none. A
//! writer may keep what it was given (a compressor, a cipher) until it is flushed.
//!
//! What follows. Each poll takes a buffer, and gives it back when there is nothing to read. So ten thousand
//! idle copies that share their [`Buffers`] hold none. While the writer is stuck, nothing is read, which in
//! turn slows down the sender; at most one buffer is on the way. When there is nothing more to read for now,
//! the writer is flushed.
//!
//! Contract. What was read is written and flushed before the copy reports the end, or an error of the reader.
//! The writer is not closed. After some rounds, a copy lets other tasks run, also between streams that never
//! wait.
//!
//! | function | cancel safe |
//! |---|---|
//! | `copy`, `copy_with` | no: what was read and not yet written is lost, up to one buffer |
//!
//! What it does not know: what kind of streams those are.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use roundel::task::poll_budget;

use super::buffers::Buffers;
use super::lent::Lent;

/// Copies all bytes from `reader` to `writer`, and returns how many there were.
///
/// Each time bytes arrive, this allocates a buffer, and frees it when they are written. A program that
/// copies often uses [`copy_with`].
///
/// ```
/// use roundel_net::io;
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let (ours, theirs) = roundel_net::UnixStream::pair()?;
///     assert_eq!(io::copy(&b"all of it"[..], &ours).await?, 9);
///     drop(ours);
///     let mut copied = Vec::new();
///     io::copy(&theirs, &mut copied).await?;
///     assert_eq!(copied, b"all of it");
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
///
/// # Errors
///
/// The reader's error, after everything read before has been written; or the writer's error.
pub async fn copy<R: AsyncRead, W: AsyncWrite>(reader: R, writer: W) -> io::Result<u64> {
    copy_through(reader, writer, None).await
}

/// As [`copy`], with buffers from a pile that many copies share.
///
/// # Errors
///
/// As `copy`.
pub async fn copy_with<R: AsyncRead, W: AsyncWrite>(
    reader: R,
    writer: W,
    buffers: &Buffers,
) -> io::Result<u64> {
    copy_through(reader, writer, Some(buffers)).await
}

async fn copy_through<R: AsyncRead, W: AsyncWrite>(
    reader: R,
    writer: W,
    buffers: Option<&Buffers>,
) -> io::Result<u64> {
    let (mut reader, mut writer) = (pin!(reader), pin!(writer));
    let mut flow = Flow::new(buffers);
    match poll_fn(|cx| flow.poll(cx, reader.as_mut(), writer.as_mut())).await {
        Ok(()) => Ok(flow.written),
        Err(Failure::Reading(error) | Failure::Writing(error)) => Err(error),
    }
}

/// How many reads one poll makes before other tasks run. The budget of one poll must be enough for two
/// flows, which spend two operations per read.
const ROUNDS: usize = 16;

/// Bytes on their way from one stream to another.
pub(super) struct Flow {
    /// The pile from which buffers come. `None`: each one is allocated.
    buffers: Option<Buffers>,
    /// The buffer in hand. `None` while the reader has nothing.
    chunk: Option<Lent>,
    /// How much of it is written already.
    sent: usize,
    /// How much was written in all.
    pub(super) written: u64,
    /// Set by a write, cleared by a flush.
    unflushed: bool,
    /// Set when the reader ends or fails. From then on, nothing is read. Taken when the flow is over.
    ended: Option<io::Result<()>>,
}

/// Which end has failed.
pub(super) enum Failure {
    Reading(io::Error),
    Writing(io::Error),
}

impl Flow {
    pub(super) fn new(buffers: Option<&Buffers>) -> Flow {
        let buffers = buffers.cloned();
        Flow { buffers, chunk: None, sent: 0, written: 0, unflushed: false, ended: None }
    }

    /// Ready when the reader has ended and everything is written and flushed. It must not be polled after
    /// that.
    pub(super) fn poll<R: AsyncRead, W: AsyncWrite>(
        &mut self,
        cx: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<Result<(), Failure>> {
        ready!(poll_budget(cx));
        for _ in 0..ROUNDS {
            // Write first: nothing is read while the writer is stuck.
            ready!(self.poll_write(cx, writer.as_mut())).map_err(Failure::Writing)?;
            // Read the next bytes. If there are none yet, flush, because the writer may hold some back.
            if self.ended.is_none() {
                match self.poll_read(cx, reader.as_mut()) {
                    Poll::Ready(()) => continue,
                    Poll::Pending => {
                        ready!(self.poll_flush(cx, writer)).map_err(Failure::Writing)?;
                        return Poll::Pending;
                    }
                }
            }
            // The reader has ended and all is written. Its error counts before that of the flush.
            let flushed = ready!(self.poll_flush(cx, writer));
            return Poll::Ready(match self.ended.take() {
                Some(Err(error)) => Err(Failure::Reading(error)),
                _ => flushed.map_err(Failure::Writing),
            });
        }
        // Both streams are always ready. Other tasks run before the next rounds.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Gives back the buffer in hand.
    pub(super) fn give_back(&mut self) {
        self.chunk = None;
    }

    /// Reads into the buffer in hand, or into a new one. If there is nothing to read, the buffer goes back.
    fn poll_read<R: AsyncRead>(&mut self, cx: &mut Context<'_>, reader: Pin<&mut R>) -> Poll<()> {
        let mut chunk = self.chunk.take().unwrap_or_else(|| Lent::new(self.buffers.as_ref()));
        match ready!(reader.poll_read(cx, chunk.room())) {
            Ok(0) => self.ended = Some(Ok(())),
            Err(error) => self.ended = Some(Err(error)),
            Ok(count) => {
                chunk.set_filled(count);
                self.chunk = Some(chunk);
            }
        }
        Poll::Ready(())
    }

    /// Writes everything in the buffer in hand.
    fn poll_write<W: AsyncWrite>(
        &mut self,
        cx: &mut Context<'_>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<()>> {
        let Some(chunk) = &mut self.chunk else { return Poll::Ready(Ok(())) };
        // A write may take only a part, and wait before the rest.
        while self.sent < chunk.len() {
            let count = ready!(writer.as_mut().poll_write(cx, &chunk[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.sent += count;
            self.written += count as u64;
        }
        // The buffer stays in hand: the next read fills it again.
        chunk.set_filled(0);
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_flush<W: AsyncWrite>(
        &mut self,
        cx: &mut Context<'_>,
        writer: Pin<&mut W>,
    ) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(writer.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
