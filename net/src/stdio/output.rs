//! Standard output and standard error: each has one thread that writes.
//!
//! Facts. The standard library buffers the output, not the errors. At the end of the process it writes what
//! is left in the buffer, unless a thread is just then writing.
//!
//! What follows. A write is a job for the thread: it writes a copy of the bytes through the standard library
//! and its buffer, and then flushes. The thread does the jobs in the order in which they were given.
//!
//! What it does not know: what is written.

use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;
use roundel::JoinError;
use roundel::blocking::{ThreadPool, Unblock};
use rustix::event::PollFlags;

use super::retry::retry;

/// The most that one job writes. It bounds the copy.
const MOST: usize = 64 << 10;

static STDOUT: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new(1).named("roundel-stdout"));
static STDERR: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new(1).named("roundel-stderr"));

/// The standard output of the process.
///
/// ```no_run
/// roundel::run(async {
///     roundel_net::stdio::stdout().write_all(b"hello\n").await
/// })
/// .unwrap();
/// ```
#[must_use]
pub fn stdout() -> Output {
    Output::new(Which::Stdout)
}

/// The standard error of the process.
#[must_use]
pub fn stderr() -> Output {
    Output::new(Which::Stderr)
}

/// See [`stdout`] and [`stderr`].
#[derive(Debug)]
pub struct Output {
    which: Which,
    /// The job of the last [`AsyncWrite::poll_write`]. Taken by the next write or flush, once the job is done.
    pending: Option<Unblock<io::Result<usize>>>,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Stdout,
    Stderr,
}

impl Output {
    fn new(which: Which) -> Output {
        Output { which, pending: None }
    }

    /// Writes some of the bytes, 64 KiB at most, and returns how many. They are then with the kernel.
    ///
    /// # Errors
    ///
    /// The error of the system call: `BrokenPipe` if the reader has closed.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.which.submit(bytes[..bytes.len().min(MOST)].to_vec()).await.unwrap_or_else(lost)
    }

    /// Writes all of the bytes.
    ///
    /// # Errors
    ///
    /// As [`write`](Output::write).
    pub async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(MOST) {
            self.write(part).await?;
        }
        Ok(())
    }

    /// Ready when the pending job is done, with its error if it failed.
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(job) = &mut self.pending {
            let done = ready!(Pin::new(job).poll(cx));
            self.pending = None;
            done.unwrap_or_else(lost)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Which {
    /// `bytes` are [`MOST`] at most.
    fn submit(self, bytes: Vec<u8>) -> Unblock<io::Result<usize>> {
        match self {
            Which::Stdout => STDOUT.run(move || write_out(io::stdout(), io::stdout().lock(), &bytes)),
            Which::Stderr => STDERR.run(move || write_out(io::stderr(), io::stderr().lock(), &bytes)),
        }
    }
}

/// The job: writes what is in the buffer, then all of the bytes. `of` has the descriptor to wait for.
fn write_out(of: impl AsFd, mut to: impl Write, mut bytes: &[u8]) -> io::Result<usize> {
    let count = bytes.len();
    while !bytes.is_empty() {
        let written = retry(&of, PollFlags::OUT, || to.write(bytes))?;
        bytes = &bytes[written..];
    }
    retry(&of, PollFlags::OUT, || to.flush())?;
    Ok(count)
}

fn lost(error: JoinError) -> io::Result<usize> {
    Err(io::Error::other(error))
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// All buffers together are one job, 64 KiB at most.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let output = self.get_mut();
        ready!(output.poll_pending(cx))?;
        let mut bytes = Vec::new();
        for buffer in buffers {
            bytes.extend_from_slice(&buffer[..buffer.len().min(MOST - bytes.len())]);
        }
        let count = bytes.len();
        output.pending = Some(output.which.submit(bytes));
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_pending(cx)
    }

    /// Flushes. The descriptor stays open, because other parts of the program use it, too.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_pending(cx)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(job) = self.pending.take() {
            job.detach();
        }
    }
}
