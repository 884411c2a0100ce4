//! Unix sockets: connections and datagrams within this machine, whose addresses are files.
//!
//! Facts. `bind` makes a file of a special kind, which stays when the socket is gone: the next `bind` says that the
//! address is in use, although nobody listens. A file with nobody behind it refuses connections. Whoever removes the
//! file of a living server makes it unreachable for ever, and it never learns of that.
//!
//! What follows. [`UnixListener::bind`] takes over a file that refuses connections, and no other: a server that was
//! killed can start again, and a second one beside it gets `AddrInUse`. When a listener is dropped, it takes its own
//! file with it, if that is still its own. See `unix/place.rs` for how two that start at once do not fall over each
//! other. A [`UnixDatagram`] does neither.
//!
//! Facts. When the line of connections not yet accepted is full, TCP lets the client wait; a non-blocking `connect`
//! on a Unix socket says `EAGAIN` on Linux, and nothing reports when there is room.
//!
//! What follows. [`UnixStream::connect`] tries again, after a pause that grows from one to 64 milliseconds, for as
//! long as it is awaited: as a blocking `connect` does. Give it a [`timeout`](roundel::time::timeout). (Elsewhere a
//! full line is `ConnectionRefused`, which cannot be told from nobody there.)
//!
//! On Linux and Android a path that begins with a zero byte is no file but a name, gone with its socket.
//!
//! Invariant. A write to a peer that is gone gives an error, never a `SIGPIPE`.
//!
//! | method | cancel safe |
//! |---|---|
//! | `UnixListener::accept`, `UnixIncoming::next` | yes: a connection that was not returned is the next to be |
//! | `UnixStream::connect` | yes: the attempt is given up |
//! | all of `UnixDatagram` | yes: it was done and returned, or it was not done |
//!
//! What it does not know: what is served.

mod datagram;
mod place;

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{self as std_net, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use roundel::source::{Direction, Source};
use roundel::task::spend_budget;
use roundel::time::sleep;
use rustix::io::Errno;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

pub use datagram::UnixDatagram;

use crate::stream::{ByteStream, Transport};
use place::Place;

/// A connection within this machine. What it shares with other streams is with [`ByteStream`].
pub type UnixStream = ByteStream<mio::net::UnixStream>;

impl UnixStream {
    /// Connects to the server at `path`, waiting while it has too many connections to accept.
    ///
    /// # Errors
    ///
    /// Names the path: `NotFound` if there is no such file, `ConnectionRefused` if nobody listens.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        spend_budget().await;
        let path = path.as_ref();
        let failed = |error: io::Error| explain("connect to", path, &error);
        let address = SockAddr::unix(path).map_err(failed)?;
        let mut pauses = Pauses::default();
        loop {
            let socket = socket(Type::STREAM)?;
            match begin(&socket, &address) {
                Ok(()) => return adopt(socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
            // A descriptor less is needed meanwhile.
            drop(socket);
            pauses.next().await;
        }
    }

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
        let (one, other) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
        one.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        Ok((adopt(one)?, adopt(other)?))
    }

    /// Takes over a stream of the standard library.
    ///
    /// # Errors
    ///
    /// What the system says.
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
    /// What the system says.
    pub fn into_std(self) -> io::Result<std_net::UnixStream> {
        let stream = std_net::UnixStream::from(self.into_inner());
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// Closes one direction or both. After `Write`, the peer reads the end; what was written before arrives.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.source().get_ref().shutdown(how)
    }

    /// Our own address; for who has connected, it is unnamed.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source().get_ref().local_addr()
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source().get_ref().peer_addr()
    }

    /// Who the peer was when it connected or began to listen: the kernel vouches for it.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        let found = rustix::net::sockopt::socket_peercred(&*self.options())?;
        let (user, group) = (found.uid.as_raw(), found.gid.as_raw());
        Ok(Credentials { process: found.pid.as_raw_nonzero().get(), user, group })
    }

    /// Every other option there is: through `socket2`.
    #[must_use]
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(self.source().get_ref())
    }
}

/// Who is at the other end of a [`UnixStream`].
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
        match self.shutdown(Shutdown::Write) {
            // The peer has gone first. It knows that nothing more will come.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        crate::tcp::send_vectored(&SockRef::from(self), buffers)
    }
}

/// Where connections within this machine come in. Any number of tasks may accept.
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
    /// Left first: whoever looks for the file finds none, or one with somebody behind it.
    place: Option<Place>,
    source: Source<mio::net::UnixListener>,
}

impl UnixListener {
    /// Listens at `path`, with a backlog as long as the system allows. A file that a server which is no more has
    /// left there is removed; the new one is removed when the listener is dropped.
    ///
    /// # Errors
    ///
    /// Names the path: `AddrInUse` if a server listens there, or if the file is no socket; `InvalidInput` if it is
    /// too long (108 bytes on Linux, 104 elsewhere).
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        let path = path.as_ref();
        let failed = |error: io::Error| explain("listen on", path, &error);
        let address = SockAddr::unix(path).map_err(failed)?;
        let socket = socket(Type::STREAM)?;
        let place = Place::take(&socket, path, &address, crate::tcp::BACKLOG).map_err(failed)?;
        UnixListener::new(mio::net::UnixListener::from_std(OwnedFd::from(socket).into()), place)
    }

    #[track_caller]
    fn new(listener: mio::net::UnixListener, place: Option<Place>) -> io::Result<UnixListener> {
        Ok(UnixListener { place, source: Source::new(listener)? })
    }

    /// Takes over a listener of the standard library. Its file is left alone.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn from_std(listener: std_net::UnixListener) -> io::Result<UnixListener> {
        listener.set_nonblocking(true)?;
        UnixListener::new(mio::net::UnixListener::from_std(listener), None)
    }

    /// Gives the listener to the standard library, blocking again. Its file is from now on the caller's to remove.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn into_std(self) -> io::Result<std_net::UnixListener> {
        let UnixListener { place, source } = self;
        if let Some(place) = place {
            place.forget();
        }
        let listener = std_net::UnixListener::from(OwnedFd::from(source.into_inner()));
        listener.set_nonblocking(false)?;
        Ok(listener)
    }

    /// Waits for a connection. Cancel safe: one that was not returned is the next to be.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = self.source.io(Direction::Read, mio::net::UnixListener::accept).await?;
        Ok((ByteStream::new(stream)?, peer))
    }

    /// One try of [`accept`](UnixListener::accept), for those who implement a `poll` of their own.
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

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.get_ref().local_addr()
    }

    /// Every option there is: through `socket2`.
    #[must_use]
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(self.source.get_ref())
    }
}

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

/// The pauses between attempts of which nothing reports when they are worth it.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Pauses {
        Pauses(Duration::from_millis(1))
    }
}

impl Pauses {
    async fn next(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_millis(64));
    }
}

fn socket(kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[track_caller]
fn adopt(socket: Socket) -> io::Result<UnixStream> {
    ByteStream::new(mio::net::UnixStream::from_std(OwnedFd::from(socket).into()))
}

/// Connects. Within a machine that is done at once, or it fails.
fn begin(socket: &Socket, to: &SockAddr) -> io::Result<()> {
    loop {
        let Err(error) = socket.connect(to) else { return Ok(()) };
        match Errno::from_io_error(&error) {
            Some(Errno::INTR) => {}
            Some(Errno::INPROGRESS | Errno::ALREADY | Errno::ISCONN) => return Ok(()),
            _ => return Err(error),
        }
    }
}

/// The same error, with what was tried and where.
fn explain(tried: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {tried} {}: {error}", path.display()))
}
