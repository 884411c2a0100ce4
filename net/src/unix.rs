//! Unix sockets.

use std::io::{self, IoSlice};
use std::net::Shutdown;

use socket2::SockRef;

use crate::stream::{ByteStream, Transport};

/// A connection within this machine. What it shares with other streams is with [`ByteStream`].
pub type UnixStream = ByteStream<mio::net::UnixStream>;

impl UnixStream {
    /// Two ends of one connection.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = mio::net::UnixStream::pair()?;
        Ok((ByteStream::new(one)?, ByteStream::new(other)?))
    }
}

impl Transport for mio::net::UnixStream {
    fn close_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        crate::tcp::send_vectored(SockRef::from(self), buffers)
    }
}
