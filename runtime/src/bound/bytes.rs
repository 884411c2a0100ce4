//! Reading and writing through a `LoopBound` whose value reads and writes. With the feature `io`.
//!
//! Facts. Libraries for TLS, HTTP upgrades and WebSockets ask for a stream of bytes that is `Send`. Ours are not.
//!
//! What follows. Each method goes to the method of the same name, the vectored ones as well, so nothing is copied.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use crate::bound::LoopBound;

impl<T: AsyncRead + 'static> AsyncRead for LoopBound<T> {
    #[track_caller]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_value(cx, |stream, cx| stream.poll_read(cx, buffer))
    }

    #[track_caller]
    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_value(cx, |stream, cx| stream.poll_read_vectored(cx, buffers))
    }
}

impl<T: AsyncWrite + 'static> AsyncWrite for LoopBound<T> {
    #[track_caller]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_value(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    #[track_caller]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_value(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    #[track_caller]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_value(cx, T::poll_flush)
    }

    #[track_caller]
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_value(cx, T::poll_close)
    }
}
