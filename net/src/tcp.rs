//! TCP.
//!
//! Facts that surprise. Each has a test of its name in `tests/tcp.rs`.
//!
//! - *Nagle.* A small write waits until everything written before has been acknowledged, and the peer may
//!   delay that by 40 ms. A program that writes once per answer does not notice. One that makes two small
//!   writes in a row does. [`TcpStream::set_nodelay`] turns it off.
//! - *Closing with unread bytes resets.* If bytes have arrived that were not read, a close sends a reset
//!   instead of an orderly end, and the peer may lose even what was sent to it before. Read to the end before
//!   dropping the stream.
//! - *Closing is not delivering.* A close returns at once, and the kernel goes on sending in the background.
//!   To know that the peer has everything, shut down writing and read until the peer closes, too.
//! - *Linger.* `SO_LINGER` with a time makes `close` block (the whole loop!) until everything is sent. With
//!   zero, `close` discards what is not sent and resets. Programs rarely want either.
//! - *Ephemeral ports.* The side that closes first keeps the pair of addresses in `TIME_WAIT` for a minute. A
//!   client that connects and closes 28,000 times in a minute to one address has no port left:
//!   `EADDRNOTAVAIL`. Binding a port whose old connections are in `TIME_WAIT` needs `SO_REUSEADDR`;
//!   [`TcpListener::bind`] sets it.
//! - *A dead peer is silent.* Without a timeout or keepalive, a read from a peer whose cable was pulled waits
//!   for ever.
//!
//! Invariant. A write to a peer that is gone gives an error, never a `SIGPIPE`.
//!
//! | method | cancel safe |
//! |---|---|
//! | `TcpListener::accept`, `Incoming::next` | yes: a connection that was not returned is the next one returned |
//! | `TcpStream::peek` | yes |
//! | `TcpStream::connect`, `TcpListener::bind` | yes: the attempt is given up |
//!
//! `TcpStream::connect` is in `connect.rs`. What it does not know: names ([`names`](crate::lookup_host)), and
//! what is served.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use roundel::source::{Direction, Source};
use socket2::SockRef;

use crate::details;
use crate::kernel::{self, BACKLOG, explain, lends_descriptor};
use crate::names::{Target, ToAddrs};
use crate::socket::TcpSocket;
use crate::stream::{ByteStream, Transport};

/// A TCP connection. [`ByteStream`] has the methods that all streams share.
///
/// ```
/// use roundel_net::{TcpListener, TcpStream};
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, _) = listener.accept().await?;
///     client.write_all(b"ping").await?;
///     let mut buffer = [0; 4];
///     server.read_exact(&mut buffer).await?;
///     assert_eq!(&buffer, b"ping");
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub type TcpStream = ByteStream<mio::net::TcpStream>;

impl TcpStream {
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
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        ByteStream::new_plain(mio::net::TcpStream::from_std(stream))
    }

    /// Gives the stream to the standard library, blocking again.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        let stream = std::net::TcpStream::from(self.into_inner());
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// Reads some bytes without consuming them: the next read returns them again.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source().io(Direction::Read, |io| io.peek(buffer)).await
    }

    /// Closes one direction or both. After `Write`, the peer reads the end; what was written before arrives.
    ///
    /// # Errors
    ///
    /// The error of the system call: `NotConnected` if the peer is gone already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.source().get_ref().shutdown(how)
    }

    /// Whether small writes are sent at once.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.source().get_ref().set_nodelay(nodelay)
    }

    /// See [`set_nodelay`](TcpStream::set_nodelay).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.source().get_ref().nodelay()
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// The error of the system call: `NotConnected` if it is gone already.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source().get_ref().peer_addr()
    }

    /// Our own address.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source().get_ref().local_addr()
    }

    /// All other options, through `socket2`.
    #[must_use]
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(self.source().get_ref())
    }
}

impl Transport for mio::net::TcpStream {
    fn close_writing(&self) -> io::Result<()> {
        kernel::close_writing(&SockRef::from(self))
    }

    fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        kernel::send_vectored(&SockRef::from(self), buffers)
    }
}

impl TcpSocket {
    /// Begins to listen. The kernel keeps up to `backlog` connections until they are accepted, and no more than its own
    /// limit (`somaxconn` on Linux).
    ///
    /// # Errors
    ///
    /// Names the address: `AddrInUse` if another socket listens there, which on some systems `bind` does not notice.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        if let Err(error) = kernel::listen(self.get_ref(), backlog) {
            return Err(match self.local_addr() {
                Ok(address) => explain("listen on", address, &error),
                Err(_) => error,
            });
        }
        TcpListener::new(mio::net::TcpListener::from_std(self.into_inner().into()))
    }
}

/// A socket that accepts TCP connections.
///
/// Any number of tasks may accept. For a server, use [`serve`](crate::serve()).
#[derive(Debug)]
pub struct TcpListener {
    source: Source<mio::net::TcpListener>,
}

impl TcpListener {
    /// Listens on the first of the addresses that can be bound. `SO_REUSEADDR` is set, so that a server can
    /// be restarted at once. Port 0 is any free port: see [`local_addr`](TcpListener::local_addr).
    ///
    /// # Errors
    ///
    /// Names the address: `AddrInUse` if another socket listens there, `PermissionDenied` for a port that
    /// only the administrator may use.
    pub async fn bind(at: impl ToAddrs) -> io::Result<TcpListener> {
        TcpListener::bind_first(at.target()?, false).await
    }

    /// As [`bind`](TcpListener::bind), but other listeners made in this way may share the port
    /// (`SO_REUSEPORT`). The kernel distributes the connections among them. So one loop per core can serve,
    /// and a connection wakes only one of them.
    ///
    /// # Errors
    ///
    /// As `bind`.
    pub async fn bind_shared(at: impl ToAddrs) -> io::Result<TcpListener> {
        TcpListener::bind_first(at.target()?, true).await
    }

    async fn bind_first(at: Target, shared: bool) -> io::Result<TcpListener> {
        at.first(|address| TcpListener::bind_one(address, shared)).await
    }

    fn bind_one(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
        let socket = TcpSocket::for_address(address)?;
        socket.set_reuse_address(true)?;
        if shared {
            socket.set_reuse_port(true)?;
        }
        socket.bind(address)?;
        socket.listen(BACKLOG)
    }

    #[track_caller]
    pub(crate) fn new(listener: mio::net::TcpListener) -> io::Result<TcpListener> {
        Ok(TcpListener { source: details::register(listener)? })
    }

    /// Takes over a listener of the standard library.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        TcpListener::new(mio::net::TcpListener::from_std(listener))
    }

    /// Gives the listener to the standard library, blocking again.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        let listener = std::net::TcpListener::from(self.source.into_inner());
        listener.set_nonblocking(false)?;
        Ok(listener)
    }

    /// Waits for a connection. Cancel safe: a connection that was not returned is the next one returned.
    ///
    /// # Errors
    ///
    /// The error of the system call. Most errors concern one connection, or something that has run out for a
    /// while. [`serve`](crate::serve()) says what to do about each.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.source.io(Direction::Read, mio::net::TcpListener::accept).await?;
        Ok((ByteStream::new_plain(stream)?, peer))
    }

    /// One try of [`accept`](TcpListener::accept), for a `poll` function of your own.
    ///
    /// # Errors
    ///
    /// As `accept`.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = self.source.poll_io(cx, Direction::Read, mio::net::TcpListener::accept);
        accepted
            .map(|accepted| accepted.and_then(|(stream, peer)| Ok((ByteStream::new_plain(stream)?, peer))))
    }

    /// The connections, one after the other. The stream does not end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
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

lends_descriptor!(TcpListener, listener => listener.source.get_ref());

/// See [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Incoming<'_> {
    /// The next connection.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::accept`].
    pub async fn next(&mut self) -> io::Result<TcpStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<TcpStream>>> {
        self.listener.poll_accept(cx).map(|accepted| Some(accepted.map(|(stream, _)| stream)))
    }
}
