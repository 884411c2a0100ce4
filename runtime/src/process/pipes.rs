//! Our ends of the pipes to and from a child.
//!
//! Facts. A pipe has two ends, and each has a mode of its own: ours can be non-blocking while the child's is blocking,
//! as programs expect. The reader learns of the end when the last writer has closed. The writer gets an error
//! (`BrokenPipe`) when the last reader has closed.
//!
//! Contract. All methods take `&self`. A read of zero bytes (`Ok(0)`) is the end. Dropping an end closes it. An end
//! that is turned into a `Stdio` or an `OwnedFd`, for another child, is blocking again.
//!
//! What is not promised. In a program that has set `SIGPIPE` back to its default, writing into a pipe without a reader
//! ends the program; Rust programs ignore the signal.
//!
//! | method | cancel safe |
//! |---|---|
//! | `read`, `write` | yes: it was done and returned, or it was not done |
//! | `read_to_end` | yes: the bytes that were read are in the vector |
//! | `read_to_string` | no: the bytes that were read are lost |
//! | `write_all` | no: a part may have been written |
//!
//! What it does not know: processes.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use mio::unix::pipe::{Receiver, Sender};

use crate::source::{Direction, Source};

/// The most bytes that are read before other tasks get their turn.
const MOST_AT_ONCE: u64 = 1 << 16;

/// Our end of a child's `stdout`, to read from.
pub type ChildStdout = ChildOutput;
/// Our end of a child's `stderr`, to read from.
pub type ChildStderr = ChildOutput;

/// Our end of a pipe that a child writes into. Also a [`futures_io::AsyncRead`], for `T` and `&T`.
#[derive(Debug)]
pub struct ChildOutput {
    pipe: Source<Receiver>,
}

impl ChildOutput {
    pub(crate) fn new(pipe: impl Into<Receiver>) -> io::Result<ChildOutput> {
        let pipe = pipe.into();
        pipe.set_nonblocking(true)?;
        Ok(ChildOutput { pipe: Source::new(pipe)? })
    }

    /// Reads some bytes; zero (`Ok(0)`) at the end.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // A short read does not mean that the pipe is empty: the child may have made it a pipe of packets.
        self.pipe.io(Direction::Read, |mut pipe| pipe.read(buffer)).await
    }

    /// Reads until the child, and every process that has inherited its end, has closed it. Returns the number of bytes.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub async fn read_to_end(&self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let before = bytes.len();
        loop {
            // The bytes that were read before a `WouldBlock` are in the vector.
            let read = |pipe: &Receiver| pipe.take(MOST_AT_ONCE).read_to_end(bytes);
            if (self.pipe.io(Direction::Read, read).await? as u64) < MOST_AT_ONCE {
                return Ok(bytes.len() - before);
            }
        }
    }

    /// Reads text until the end, as [`read_to_end`](ChildOutput::read_to_end).
    ///
    /// # Errors
    ///
    /// The system's error; `InvalidData` if the bytes are not UTF-8.
    pub async fn read_to_string(&self, text: &mut String) -> io::Result<usize> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).await?;
        let read = String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        text.push_str(&read);
        Ok(read.len())
    }

    /// The descriptor, which is blocking again and no longer registered with the loop.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        let pipe = self.pipe.into_inner();
        pipe.set_nonblocking(false)?;
        Ok(pipe.into())
    }
}

impl AsyncRead for &ChildOutput {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.pipe.poll_io(cx, Direction::Read, |mut pipe| pipe.read(buffer))
    }
}

impl AsyncRead for ChildOutput {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, buffer)
    }
}

/// Becomes another child's `stdin`. It is blocking again.
impl From<ChildOutput> for Stdio {
    fn from(output: ChildOutput) -> Stdio {
        Stdio::from(output.into_owned_fd().expect("an open pipe can be made blocking"))
    }
}

/// Our end of a child's `stdin`, to write into. Also a [`futures_io::AsyncWrite`], for `T` and `&T`.
///
/// The child sees the end of its input when this is dropped.
#[derive(Debug)]
pub struct ChildStdin {
    /// `None` after `AsyncWrite::poll_close`.
    pipe: Option<Source<Sender>>,
}

impl ChildStdin {
    pub(crate) fn new(pipe: std::process::ChildStdin) -> io::Result<ChildStdin> {
        let pipe = Sender::from(pipe);
        pipe.set_nonblocking(true)?;
        Ok(ChildStdin { pipe: Some(Source::new(pipe)?) })
    }

    fn pipe(&self) -> io::Result<&Source<Sender>> {
        let closed = || io::Error::new(ErrorKind::BrokenPipe, "this end of the child's stdin was closed");
        self.pipe.as_ref().ok_or_else(closed)
    }

    /// Writes some of the bytes, and returns how many.
    ///
    /// # Errors
    ///
    /// The system's error: `BrokenPipe` if the child no longer reads.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.pipe()?.io(Direction::Write, |mut pipe| pipe.write(bytes)).await?;
        Ok(self.report_short(count, bytes))
    }

    /// Writes all of the bytes.
    ///
    /// # Errors
    ///
    /// The system's error: `BrokenPipe` if the child no longer reads.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.write(bytes).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// The descriptor, which is blocking again and no longer registered with the loop.
    ///
    /// # Errors
    ///
    /// The system's error; `BrokenPipe` if it was closed.
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        self.pipe()?;
        let pipe = self.pipe.expect("just seen").into_inner();
        pipe.set_nonblocking(false)?;
        Ok(pipe.into())
    }

    /// Tells the source if a write was shorter than it could have been, which means that the pipe is full. Returns
    /// `count`.
    fn report_short(&self, count: usize, bytes: &[u8]) -> usize {
        if let Some(pipe) = self.pipe.as_ref().filter(|_| count < bytes.len()) {
            pipe.fell_short(Direction::Write);
        }
        count
    }
}

impl AsyncWrite for &ChildStdin {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.pipe()?.poll_io(cx, Direction::Write, |mut pipe| pipe.write(bytes));
        written.map_ok(|count| self.report_short(count, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // Written bytes are in the pipe at once.
    }

    /// Closes nothing, because other tasks may write as well: to close the pipe, drop the `ChildStdin`.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ChildStdin {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    /// Closes the pipe, so that the child sees the end of its input.
    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe = None;
        Poll::Ready(Ok(()))
    }
}

/// Becomes another child's `stdout` or `stderr`. It is blocking again.
impl From<ChildStdin> for Stdio {
    fn from(input: ChildStdin) -> Stdio {
        Stdio::from(input.into_owned_fd().expect("a pipe that is open can be made blocking"))
    }
}
