//! The traits of other crates for a [`ByteStream`]: reading and writing in a `poll`, and the descriptor.
//!
//! Facts. Generic code reads and writes through `futures-io`, whose methods poll. They have no future in which a place
//! among the waiters could be kept, so a waker is left until the next report.
//!
//! Contract. Reading and writing work for `ByteStream` and for `&ByteStream`, so code that takes one stream for each
//! direction gets `&stream` twice. Several buffers are one system call.
//!
//! What it does not know: addresses, and what the bytes mean.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use roundel::source::Direction;

use super::{ByteStream, IOV_MAX, Transport};

impl<S: mio::event::Source> AsyncRead for &ByteStream<S>
where
    for<'a> &'a S: Read,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = self.source.poll_io(cx, Direction::Read, |mut io| io.read(buffer));
        read.map_ok(|count| {
            self.after_transfer(Direction::Read, count, buffer.len());
            count
        })
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let most = buffers.len().min(IOV_MAX);
        let buffers = &mut buffers[..most];
        let wanted = buffers.iter().map(|buffer| buffer.len()).sum();
        let read = self.source.poll_io(cx, Direction::Read, |mut io| io.read_vectored(buffers));
        read.map_ok(|count| {
            self.after_transfer(Direction::Read, count, wanted);
            count
        })
    }
}

impl<S: mio::event::Source> AsyncRead for ByteStream<S>
where
    for<'a> &'a S: Read,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read_vectored(cx, buffers)
    }
}

impl<S: Transport> AsyncWrite for &ByteStream<S>
where
    for<'a> &'a S: Write,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.source.poll_io(cx, Direction::Write, |mut io| io.write(bytes));
        written.map_ok(|count| {
            self.after_transfer(Direction::Write, count, bytes.len());
            count
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let buffers = &buffers[..buffers.len().min(IOV_MAX)];
        let wanted = buffers.iter().map(|buffer| buffer.len()).sum();
        let written = self.source.poll_io(cx, Direction::Write, |io| io.send_vectored(buffers));
        written.map_ok(|count| {
            self.after_transfer(Direction::Write, count, wanted);
            count
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // What is written is with the kernel.
    }

    /// The peer reads the end. This side can still read. Dropping the stream closes all of it.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.source.get_ref().close_writing())
    }
}

impl<S: Transport> AsyncWrite for ByteStream<S>
where
    for<'a> &'a S: Write,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}

/// The descriptor stays the stream's. Other code may use it, but must leave it non-blocking.
impl<S: mio::event::Source + AsFd> AsFd for ByteStream<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.get_ref().as_fd()
    }
}

impl<S: mio::event::Source + AsRawFd> AsRawFd for ByteStream<S> {
    fn as_raw_fd(&self) -> RawFd {
        self.source.get_ref().as_raw_fd()
    }
}
