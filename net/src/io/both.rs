//! What a proxy does: it copies from `a` to `b` and from `b` to `a`.
//!
//! Facts. Each direction of a connection ends by itself: a client may say that it is done and still wait for
//! the answer. Errors differ. A stream that cannot be read is broken altogether, because it was reset or its
//! peer was silent for too long. A stream that takes no more may still have something to say: a server that
//! has read enough may answer.
//!
//! Contract. When one side ends, all its bytes are written to the other side, whose writing is then closed;
//! the opposite direction goes on. When a side *cannot be read*, what was read before is delivered, and the
//! error is returned. When a side *takes no more*, nothing more is read for it. What it says is delivered
//! until it ends; then the write error is returned. The first error counts.
//!
//! After an error, the writing of the other side is not closed, because that would tell its peer that all was
//! well. Dropping the streams closes them. To pass on a reset instead, set `SO_LINGER` to zero before.
//!
//! Each direction holds a buffer only while bytes are in it, as in `copy`.
//!
//! | function | cancel safe |
//! |---|---|
//! | `copy_bidirectional`, `copy_bidirectional_with` | no: what was read and not yet written is lost, up to one buffer for each direction |
//!
//! What it does not know: time. A proxy whose clients may disappear sets a timeout, or keepalive.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use super::buffers::Buffers;
use super::copy::{Failure, Flow};

/// Copies in both directions until both have ended. Returns how many bytes went from `a` to `b`, and from
/// `b` to `a`.
///
/// ```
/// use roundel_net::{io, testing::duplex};
///
/// roundel::run(async {
///     // A program would use `TcpStream`s.
///     let ((client, a), (b, server)) = (duplex(64), duplex(64));
///     let proxy = roundel::spawn(io::copy_bidirectional(a, b));
///
///     io::copy(&b"question"[..], &client).await?;
///     client.close();
///     let mut question = Vec::new();
///     io::copy(&server, &mut question).await?; // It ends: the client is done.
///     io::copy(&b"answer"[..], &server).await?;
///     drop(server);
///     let mut answer = Vec::new();
///     io::copy(&client, &mut answer).await?;
///     assert_eq!((&question[..], &answer[..]), (&b"question"[..], &b"answer"[..]));
///     assert_eq!(proxy.await.unwrap()?, (8, 6));
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
///
/// # Errors
///
/// The first error of either stream, as a [`BothError`] of the same kind.
pub async fn copy_bidirectional<A, B>(a: A, b: B) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    copy_through(a, b, None).await
}

/// As [`copy_bidirectional`], with buffers from a pile that many copies share.
///
/// # Errors
///
/// As `copy_bidirectional`.
pub async fn copy_bidirectional_with<A, B>(a: A, b: B, buffers: &Buffers) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    copy_through(a, b, Some(buffers)).await
}

async fn copy_through<A, B>(a: A, b: B, buffers: Option<&Buffers>) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (mut a, mut b) = (pin!(a), pin!(b));
    let mut both = Both { there: OneWay::new(buffers), back: OneWay::new(buffers), failed: None };
    let ended = poll_fn(|cx| both.poll(cx, a.as_mut(), b.as_mut())).await;
    let copied = (both.there.flow.written, both.back.flow.written);
    match ended {
        Ok(()) => Ok(copied),
        Err((what, cause)) => Err(io::Error::new(cause.kind(), BothError { what, copied, cause })),
    }
}

type Failed = (&'static str, io::Error);

struct Both {
    there: OneWay,
    back: OneWay,
    /// The first write that failed. It is returned when the other direction has ended, too.
    failed: Option<Failed>,
}

impl Both {
    fn poll<A, B>(
        &mut self,
        cx: &mut Context<'_>,
        mut a: Pin<&mut A>,
        mut b: Pin<&mut B>,
    ) -> Poll<Result<(), Failed>>
    where
        A: AsyncRead + AsyncWrite,
        B: AsyncRead + AsyncWrite,
    {
        // Both directions are polled each time, because either stream may be ready.
        let there = self.there.poll(cx, a.as_mut(), b.as_mut());
        self.keep_write_error(there, "reading from a", "writing to b")?;
        let back = self.back.poll(cx, b, a);
        self.keep_write_error(back, "reading from b", "writing to a")?;
        if !(self.there.is_over() && self.back.is_over()) {
            return Poll::Pending;
        }
        Poll::Ready(self.failed.take().map_or(Ok(()), Err))
    }

    /// Keeps the error of a write, so that the other direction goes on. Returns the error of a read, which ends both, or
    /// the one that was kept before.
    fn keep_write_error(
        &mut self,
        polled: Poll<Result<(), Failure>>,
        reading: &'static str,
        writing: &'static str,
    ) -> Result<(), Failed> {
        match polled {
            Poll::Ready(Err(Failure::Reading(error))) => Err(self.failed.take().unwrap_or((reading, error))),
            Poll::Ready(Err(Failure::Writing(error))) => {
                self.failed.get_or_insert((writing, error));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// One direction, and how far it has come.
struct OneWay {
    flow: Flow,
    progress: Progress,
}

#[derive(PartialEq, Eq)]
enum Progress {
    /// Bytes are copied until the reader ends.
    Copying,
    /// The reader has ended and all is written: the writer is being closed.
    Closing,
    /// The writer is closed, or one of the two has failed.
    Over,
}

impl OneWay {
    fn new(buffers: Option<&Buffers>) -> OneWay {
        OneWay { flow: Flow::new(buffers), progress: Progress::Copying }
    }

    fn is_over(&self) -> bool {
        self.progress == Progress::Over
    }

    fn poll<R: AsyncRead, W: AsyncWrite>(
        &mut self,
        cx: &mut Context<'_>,
        reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<Result<(), Failure>> {
        // When the copy ends, its buffer goes back, also if it failed.
        if self.progress == Progress::Copying {
            let flowed = ready!(self.flow.poll(cx, reader, writer.as_mut()));
            self.progress = if flowed.is_ok() { Progress::Closing } else { Progress::Over };
            self.flow.give_back();
            flowed?;
        }
        // Only a reader that ended without an error gets the writer closed.
        if self.progress == Progress::Closing {
            let closed = ready!(writer.poll_close(cx));
            self.progress = Progress::Over;
            closed.map_err(Failure::Writing)?;
        }
        Poll::Ready(Ok(()))
    }
}

/// Which stream failed, how, and how much had been copied by then. The [`io::Error`] of
/// [`copy_bidirectional`] contains it.
#[derive(Debug)]
pub struct BothError {
    what: &'static str,
    copied: (u64, u64),
    cause: io::Error,
}

impl BothError {
    /// How many bytes had gone from `a` to `b`, and from `b` to `a`.
    #[must_use]
    pub fn copied(&self) -> (u64, u64) {
        self.copied
    }

    /// The error of the stream.
    #[must_use]
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl fmt::Display for BothError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BothError { what, copied: (there, back), cause } = self;
        write!(f, "{what}: {cause} (after {there} bytes from a to b, and {back} from b to a)")
    }
}

impl Error for BothError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}
