//! Unix sockets: connections and datagrams within this machine, whose addresses are files.
//!
//! Facts. `bind` makes a file of a special kind, which stays when the socket is gone. The next `bind` then
//! says that the address is in use, although no socket listens. Such an abandoned file refuses connections. A
//! program that removes the file of a running server makes the server unreachable for ever, and the server
//! never learns of it.
//!
//! What follows. [`UnixListener::bind`] takes over a file that refuses connections, and no other. So a server
//! that was killed can start again, and a second one beside it gets `AddrInUse`. A dropped listener removes
//! its file, unless another server has put its own there. `unix/socket_file.rs` explains how two servers can
//! start at the same time. A [`UnixDatagram`] neither takes over a file nor removes one.
//!
//! Facts. When the kernel's queue of connections is full, TCP lets the client wait. A non-blocking `connect`
//! on a Unix socket says `EAGAIN` on Linux instead, and nothing reports when there is room.
//!
//! What follows. [`UnixStream::connect`] tries again, after a pause that grows from one to 64 milliseconds,
//! for as long as it is awaited. A blocking `connect` waits, too. Give it a
//! [`timeout`](roundel::time::timeout). (Other systems report a full queue as `ConnectionRefused`, like a
//! server that is gone.)
//!
//! On Linux and Android, a path that begins with a zero byte is not a file but a name. The name disappears
//! with its socket.
//!
//! Invariant. A write to a peer that is gone gives an error, never a `SIGPIPE`.
//!
//! | method | cancel safe |
//! |---|---|
//! | `UnixListener::accept`, `UnixIncoming::next` | yes: a connection that was not returned is the next one returned |
//! | `UnixStream::connect` | yes: the attempt is given up |
//! | all of `UnixDatagram` | yes: it was done and returned, or it was not done |
//!
//! What it does not know: what is served.

mod datagram;
mod pauses;
mod socket_file;

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{self as std_net, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use roundel::source::{Direction, Source};
use roundel::task::spend_budget;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

pub use datagram::UnixDatagram;

use crate::details;
use crate::kernel::{self, explain, lends_descriptor};
use crate::stream::{ByteStream, Transport};
use pauses::Pauses;
use socket_file::SocketFile;

/// A connection within this machine. [`ByteStream`] has the methods that all streams share.
pub type UnixStream = ByteStream<mio::net::UnixStream>;

impl UnixStream {
    /// Connects to the server at `path`. It waits while the server's queue of connections is full.
    ///
    /// # Errors
    ///
    /// Names the path: `NotFound` if there is no such file, `ConnectionRefused` if no server listens.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        spend_budget().await;
        let path = path.as_ref();
        let failed = |error: io::Error| explain("connect to", path.display(), &error);
        let address = SockAddr::unix(path).map_err(failed)?;
        // Each attempt takes a new socket.
        let mut pauses = Pauses::default();
        loop {
            let socket = kernel::open(Domain::UNIX, Type::STREAM, None)?;
            match kernel::begin_connect(&socket, &address) {
                Ok(()) => return adopt(socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
            // The queue is full. Close the socket, because a pause needs no descriptor.
            drop(socket);
            pauses.next().await;
        }
    }

    /// Two ends of one connection.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
        one.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        Ok((adopt(one)?, adopt(other)?))
    }

    /// Takes over a stream of the standard library.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn from_std(stream: std_net::UnixStream) -> io::Result<UnixStream> {
        stream.set_nonblocking(true)?;
        ByteStream::new(mio::net::UnixStream::from_std(stream))
    }

    /// Gives the stream to the standard library, blocking again.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn into_std(self) -> io::Result<std_net::UnixStream> {
        let stream = std_net::UnixStream::from(self.into_inner());
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// Closes one direction or both. After `Write`, the peer reads the end; what was written before arrives.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.source().get_ref().shutdown(how)
    }

    /// Our own address. On the connecting side, it is unnamed.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source().get_ref().local_addr()
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source().get_ref().peer_addr()
    }

    /// The process, user and group that the peer had when it connected or began to listen. The kernel
    /// guarantees that this is true.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        let found = rustix::net::sockopt::socket_peercred(&*self.options())?;
        let (user, group) = (found.uid.as_raw(), found.gid.as_raw());
        Ok(Credentials { process: found.pid.as_raw_nonzero().get(), user, group })
    }

    /// All other options, through `socket2`.
    #[must_use]
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(self.source().get_ref())
    }
}

/// The process, user and group at the other end of a [`UnixStream`].
#[cfg(any(target_os = "linux", target_os = "android"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The number of the process, which may have ended since.
    pub process: i32,
    /// The number of the user.
    pub user: u32,
    /// The number of the user's group.
    pub group: u32,
}

impl Transport for mio::net::UnixStream {
    fn close_writing(&self) -> io::Result<()> {
        kernel::close_writing(&SockRef::from(self))
    }

    fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        kernel::send_vectored(&SockRef::from(self), buffers)
    }
}

/// A socket that accepts connections within this machine. Any number of tasks may accept.
///
/// ```
/// use roundel_net::{UnixListener, UnixStream};
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let path = std::env::temp_dir().join(format!("roundel-doc-{}", std::process::id()));
///     let listener = UnixListener::bind(&path)?;
///     let client = UnixStream::connect(&path).await?;
///     let (server, _) = listener.accept().await?;
///     client.write_all(b"ping").await?;
///     let mut buffer = [0; 4];
///     server.read_exact(&mut buffer).await?;
///     assert_eq!(&buffer, b"ping");
///     drop(listener);
///     assert!(!path.exists());
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct UnixListener {
    /// Named first and so dropped first: the file goes before the socket, so a client never finds a file that
    /// refuses it. `None` if there is no file, or it is not ours to remove.
    file: Option<SocketFile>,
    source: Source<mio::net::UnixListener>,
}

impl UnixListener {
    /// Listens at `path`. The queue of connections may hold 4,096, if the system allows that many. If a
    /// server that has ended left its file there, that file is removed. The new file is removed when the
    /// listener is dropped.
    ///
    /// # Errors
    ///
    /// Names the path: `AddrInUse` if a server listens there, or if the file is no socket; `InvalidInput` if
    /// the path is too long (108 bytes on Linux, 104 elsewhere).
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        let path = path.as_ref();
        let failed = |error: io::Error| explain("listen on", path.display(), &error);
        let address = SockAddr::unix(path).map_err(failed)?;
        let socket = kernel::open(Domain::UNIX, Type::STREAM, None)?;
        let file = SocketFile::listen(&socket, path, &address, kernel::BACKLOG).map_err(failed)?;
        UnixListener::new(mio::net::UnixListener::from_std(OwnedFd::from(socket).into()), file)
    }

    #[track_caller]
    fn new(listener: mio::net::UnixListener, file: Option<SocketFile>) -> io::Result<UnixListener> {
        Ok(UnixListener { file, source: details::register(listener)? })
    }

    /// Takes over a listener of the standard library. Its file is left alone.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn from_std(listener: std_net::UnixListener) -> io::Result<UnixListener> {
        listener.set_nonblocking(true)?;
        UnixListener::new(mio::net::UnixListener::from_std(listener), None)
    }

    /// Gives the listener to the standard library, blocking again. From now on, the caller has to remove its
    /// file.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn into_std(self) -> io::Result<std_net::UnixListener> {
        let UnixListener { file, source } = self;
        if let Some(file) = file {
            file.keep();
        }
        let listener = std_net::UnixListener::from(OwnedFd::from(source.into_inner()));
        listener.set_nonblocking(false)?;
        Ok(listener)
    }

    /// Waits for a connection. Cancel safe: a connection that was not returned is the next one returned.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = self.source.io(Direction::Read, mio::net::UnixListener::accept).await?;
        Ok((ByteStream::new(stream)?, peer))
    }

    /// One try of [`accept`](UnixListener::accept), for a `poll` function of your own.
    ///
    /// # Errors
    ///
    /// As `accept`.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let accepted = self.source.poll_io(cx, Direction::Read, mio::net::UnixListener::accept);
        accepted.map(|accepted| accepted.and_then(|(stream, peer)| Ok((ByteStream::new(stream)?, peer))))
    }

    /// The connections, one after the other. The stream does not end.
    pub fn incoming(&self) -> UnixIncoming<'_> {
        UnixIncoming { listener: self }
    }

    /// The address on which it listens.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.get_ref().local_addr()
    }

    /// All options, through `socket2`.
    #[must_use]
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(self.source.get_ref())
    }
}

lends_descriptor!(UnixListener, listener => listener.source.get_ref());

/// See [`UnixListener::incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct UnixIncoming<'a> {
    listener: &'a UnixListener,
}

impl UnixIncoming<'_> {
    /// The next connection.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::accept`].
    pub async fn next(&mut self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Stream for UnixIncoming<'_> {
    type Item = io::Result<UnixStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<UnixStream>>> {
        self.listener.poll_accept(cx).map(|accepted| Some(accepted.map(|(stream, _)| stream)))
    }
}

#[track_caller]
fn adopt(socket: Socket) -> io::Result<UnixStream> {
    ByteStream::new(mio::net::UnixStream::from_std(OwnedFd::from(socket).into()))
}
