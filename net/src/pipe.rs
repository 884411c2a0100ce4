//! Pipes: one end writes, the other reads.
//!
//! Facts. The reader reads the end when the last writer has closed. A writer gets an error (`BrokenPipe`)
//! when the last reader has closed. All duplicates of a descriptor share whether it is non-blocking: those in
//! this process, and those that other processes have inherited. A write of at most `PIPE_BUF` bytes (4,096 on
//! Linux) is not mixed with the writes of others.
//!
//! What follows. An end is made non-blocking when it is taken over, and blocking when it is given away. Do
//! not take over an end that another process uses, too: for the standard streams there is
//! [`stdio`](crate::stdio).
//!
//! A named pipe is opened with the standard library and taken over. Its reader reads the end whenever there
//! is no writer. To avoid that, open it for reading *and* writing: then the reader is itself a writer.
//!
//! What is not promised. A write into a pipe without a reader may raise `SIGPIPE`, because pipes have no flag
//! that prevents it. Rust programs ignore the signal, unless they change that.
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
/// The error of the system call.
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
    /// `InvalidInput` if the descriptor is no pipe, or is not open for reading; else the error of the system
    /// call.
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
    /// The error of the system call.
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
    /// `InvalidInput` if the descriptor is no pipe, or is not open for writing; else the error of the system
    /// call.
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
    /// The error of the system call.
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        let sender = self.into_inner();
        sender.set_nonblocking(false)?;
        Ok(sender.into())
    }
}

/// Accepts only a pipe that is open for what is `wanted`. A named pipe that is open for both directions can
/// be either end.
fn expect_pipe(fd: OwnedFd, other: OFlags, wanted: &str) -> io::Result<OwnedFd> {
    use std::os::unix::fs::FileTypeExt;
    let file = std::fs::File::from(fd);
    let refused = |why: String| Err(io::Error::new(ErrorKind::InvalidInput, why));
    if !file.metadata()?.file_type().is_fifo() {
        return refused("the descriptor is not one end of a pipe".into());
    }
    if fcntl_getfl(&file)? & OFlags::ACCMODE == other {
        return refused(format!(
            "the descriptor is an end of a pipe, but is not open for {wanted}: use the other end"
        ));
    }
    Ok(file.into())
}

impl Transport for mio::unix::pipe::Sender {
    /// Does nothing, because only dropping the sender can tell the reader.
    fn close_writing(&self) -> io::Result<()> {
        Ok(())
    }

    fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }
}
