//! Standard output and standard error: each has one thread that writes.
//!
//! Facts. The standard library buffers the output, not the errors, and writes what is left in the buffer at the end of
//! the process, unless a thread is just writing.
//!
//! What follows. A write is a job for the thread: the bytes, copied, through the standard library and its buffer, and
//! then a flush. Jobs are done in the order in which they were given.
//!
//! What it does not know: who writes.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;
use roundel::JoinError;
use roundel::blocking::{ThreadPool, Unblock};
use rustix::event::PollFlags;

use super::insist;

/// The most that one job writes: a bound for the copy.
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
    /// What [`AsyncWrite`] has given to the thread and not heard of yet.
    behind: Option<Unblock<io::Result<usize>>>,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Stdout,
    Stderr,
}

impl Output {
    fn new(which: Which) -> Output {
        Output { which, behind: None }
    }

    /// Writes some of the bytes (64 KiB at most), and says how many: they are with the kernel.
    ///
    /// # Errors
    ///
    /// What the system says: `BrokenPipe` if nobody reads any more.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.which.submit(bytes).await.unwrap_or_else(lost)
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

    fn poll_behind(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(job) = &mut self.behind {
            let done = ready!(Pin::new(job).poll(cx));
            self.behind = None;
            done.unwrap_or_else(lost)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Which {
    fn submit(self, bytes: &[u8]) -> Unblock<io::Result<usize>> {
        let bytes = bytes[..bytes.len().min(MOST)].to_vec();
        match self {
            Which::Stdout => STDOUT.run(move || write_out(io::stdout(), io::stdout().lock(), &bytes)),
            Which::Stderr => STDERR.run(move || write_out(io::stderr(), io::stderr().lock(), &bytes)),
        }
    }
}

/// The job: what is in the buffer, then all of the bytes. `of` is whose descriptor that is.
fn write_out(of: impl AsFd, mut to: impl Write, mut bytes: &[u8]) -> io::Result<usize> {
    let count = bytes.len();
    while !bytes.is_empty() {
        let written = insist(&of, PollFlags::OUT, || to.write(bytes))?;
        bytes = &bytes[written..];
    }
    insist(&of, PollFlags::OUT, || to.flush())?;
    Ok(count)
}

fn lost(error: JoinError) -> io::Result<usize> {
    Err(io::Error::other(error))
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let output = self.get_mut();
        ready!(output.poll_behind(cx))?;
        output.behind = Some(output.which.submit(bytes));
        Poll::Ready(Ok(bytes.len().min(MOST)))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_behind(cx)
    }

    /// Flushes; the descriptor, which others use, too, stays open.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_behind(cx)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(job) = self.behind.take() {
            job.detach();
        }
    }
}
