//! What TCP and Unix sockets ask of the kernel in the same way.
//!
//! Facts. A `connect` that does not block says "in progress" and goes on in the background. If a signal
//! interrupts it, it goes on all the same. A write to a peer that is gone raises `SIGPIPE`, unless the call
//! or the socket says otherwise.
//!
//! What follows. Each function here makes one call to the kernel, without waiting, and passes over its
//! harmless errors.
//!
//! What it does not know: addresses, the loop.

use std::fmt::Display;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

/// How many connections the kernel keeps until they are accepted. It has a limit of its own (`somaxconn`).
pub(crate) const BACKLOG: u32 = 4096;

/// A new socket that does not block.
pub(crate) fn open(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Begins to connect. When the attempt is over, the kernel reports the socket as writable.
pub(crate) fn begin_connect(socket: &Socket, to: &SockAddr) -> io::Result<()> {
    loop {
        let Err(error) = socket.connect(to) else { return Ok(()) };
        match Errno::from_io_error(&error) {
            // Called again, `connect` says whether the attempt goes on: `ALREADY` or `ISCONN` if it does.
            Some(Errno::INTR) => {}
            Some(Errno::INPROGRESS | Errno::ALREADY | Errno::ISCONN) => return Ok(()),
            _ => return Err(error),
        }
    }
}

pub(crate) fn listen(socket: &Socket, backlog: u32) -> io::Result<()> {
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))
}

/// Closes the direction in which we write.
pub(crate) fn close_writing(socket: &SockRef<'_>) -> io::Result<()> {
    match socket.shutdown(Shutdown::Write) {
        // The peer closed first. It knows that nothing more will come.
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

/// Writes several buffers without a `SIGPIPE`, as the standard library's `write` does for one.
pub(crate) fn send_vectored(socket: &SockRef<'_>, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    socket.send_vectored_with_flags(buffers, NO_SIGNAL)
}

/// Apple's systems have no such flag. There `mio` and `socket2` set an option when they make the socket.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: i32 = rustix::net::SendFlags::NOSIGNAL.bits().cast_signed();
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: i32 = 0;

/// The same error, with what was tried and where: `cannot bind 127.0.0.1:80: Permission denied`.
pub(crate) fn explain(tried: &str, place: impl Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {tried} {place}: {error}"))
}

/// Gives other code the descriptor that is `$inside` of a socket. The descriptor stays the socket's. Other
/// code may use it, but must leave it non-blocking.
macro_rules! lends_descriptor {
    ($type:ty, $socket:ident => $inside:expr) => {
        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                let $socket = self;
                $inside.as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                let $socket = self;
                $inside.as_raw_fd()
            }
        }
    };
}
pub(crate) use lends_descriptor;
