//! Pipes: one end writes, the other reads.

use std::io::{self, IoSlice, Write};

use crate::stream::{ByteStream, Transport};

/// The end that reads.
pub type Receiver = ByteStream<mio::unix::pipe::Receiver>;
/// The end that writes.
pub type Sender = ByteStream<mio::unix::pipe::Sender>;

/// A new pipe.
///
/// # Errors
///
/// What the system says.
///
/// # Panics
///
/// Outside a loop.
#[track_caller]
pub fn pipe() -> io::Result<(Sender, Receiver)> {
    let (sender, receiver) = mio::unix::pipe::new()?;
    Ok((ByteStream::new(sender)?, ByteStream::new(receiver)?))
}

impl Transport for mio::unix::pipe::Sender {
    /// Only a close can tell the reader: drop the sender.
    fn close_writing(&self) -> io::Result<()> {
        Ok(())
    }

    fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }
}
