//! Pipes: one end writes, the other reads.
//!
//! Facts. The reader learns of the end when the last writer has closed, and a writer learns by an error
//! (`BrokenPipe`) when the last reader has. Whether an end is non-blocking is a property that all descriptors
//! share which were duplicated from it: in this process, and in those that have inherited it. A write of at most
//! `PIPE_BUF` bytes (4,096 on Linux) is not mingled with those of others.
//!
//! What follows. An end is made non-blocking when it is taken over, and blocking when it is given away. Do not take
//! over what others use, too: for the standard streams there is [`stdio`](crate::stdio).
//!
//! A named pipe is opened with the standard library and taken over. Its reader reads the end whenever there is no
//! writer; who opens it for reading *and* writing is a writer himself, and never does.
//!
//! What is not promised. That a write into a pipe which nobody reads raises no `SIGPIPE`: there is no flag for pipes
//! that would prevent it. Rust programs have the signal ignored, unless they change that.
//!
//! Cancel safe: as all streams of bytes; see [`ByteStream`].
//!
//! What it does not know: processes.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl};

use crate::stream::{ByteStream, Transport};

/// The end that reads.
pub type Receiver = ByteStream<mio::unix::pipe::Receiver>;
/// The end that writes.
pub type Sender = ByteStream<mio::unix::pipe::Sender>;

/// A new pipe.
///
/// ```
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let (sender, receiver) = roundel_net::pipe()?;
///     sender.write_all(b"ping").await?;
///     drop(sender);
///     let mut bytes = Vec::new();
///     receiver.read_to_end(&mut bytes).await?;
///     assert_eq!(bytes, b"ping");
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
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

impl Receiver {
    /// Takes over the reading end of a pipe, which may be a named one.
    ///
    /// ```
    /// use roundel_net::pipe::{Receiver, Sender};
    ///
    /// # #[cfg(not(miri))]
    /// roundel::run(async {
    ///     let (reader, writer) = std::io::pipe()?;
    ///     let receiver = Receiver::from_owned_fd(reader.into())?;
    ///     let sender = Sender::from_owned_fd(writer.into())?;
    ///     sender.write_all(b"ping").await?;
    ///     assert_eq!(receiver.read(&mut [0; 100]).await?, 4);
    ///     std::io::Result::Ok(())
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if that is no pipe, or is not open for reading; else what the system says.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn from_owned_fd(fd: OwnedFd) -> io::Result<Receiver> {
        let receiver = mio::unix::pipe::Receiver::from(expect_pipe(fd, OFlags::WRONLY, "reading")?);
        receiver.set_nonblocking(true)?;
        ByteStream::new(receiver)
    }

    /// Gives the end away, blocking again.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        let receiver = self.into_inner();
        receiver.set_nonblocking(false)?;
        Ok(receiver.into())
    }
}

impl Sender {
    /// Takes over the writing end of a pipe. For an example see [`Receiver::from_owned_fd`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` if that is no pipe, or is not open for writing; else what the system says.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn from_owned_fd(fd: OwnedFd) -> io::Result<Sender> {
        let sender = mio::unix::pipe::Sender::from(expect_pipe(fd, OFlags::RDONLY, "writing")?);
        sender.set_nonblocking(true)?;
        ByteStream::new(sender)
    }

    /// Gives the end away, blocking again.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        let sender = self.into_inner();
        sender.set_nonblocking(false)?;
        Ok(sender.into())
    }
}

/// Accepts only pipes that are open for what is `wanted`. A named pipe that is open for both directions can be either end.
fn expect_pipe(fd: OwnedFd, other: OFlags, wanted: &str) -> io::Result<OwnedFd> {
    use std::os::unix::fs::FileTypeExt;
    let file = std::fs::File::from(fd);
    let refused = |why: String| Err(io::Error::new(ErrorKind::InvalidInput, why));
    if !file.metadata()?.file_type().is_fifo() {
        return refused("the descriptor is not one end of a pipe".into());
    }
    if fcntl_getfl(&file)? & OFlags::ACCMODE == other {
        return refused(format!(
            "the descriptor is an end of a pipe, but is not open for {wanted}: give the other end"
        ));
    }
    Ok(file.into())
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
