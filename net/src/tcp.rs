//! TCP.
//!
//! Facts that surprise, each with a test of its name in `tests/tcp.rs`.
//!
//! - *Nagle.* A small write waits until what was written before has been acknowledged, and the peer may delay
//!   that by 40 ms. It does not concern who writes once per answer; it does concern two small writes in a row.
//!   [`TcpStream::set_nodelay`] turns it off.
//! - *Closing with unread bytes resets.* If bytes have arrived that were not read, a close sends no orderly end
//!   but a reset, and the peer may lose even what was sent to it before. Read to the end before dropping.
//! - *Closing is not delivering.* A close returns at once, and the kernel goes on sending in the background. To know
//!   that the peer has everything, shut down writing and read until the peer closes, too.
//! - *Linger.* `SO_LINGER` with a time makes `close` block (the whole loop!) until everything is sent; with
//!   zero it throws away what is not sent and resets. Both are rarely what one wants.
//! - *Ephemeral ports.* Who closes first keeps the pair of addresses in `TIME_WAIT` for a minute. A client that
//!   connects and closes 28,000 times in a minute to one address has no port left: `EADDRNOTAVAIL`. To bind a
//!   port whose old connections are in `TIME_WAIT`, `SO_REUSEADDR` has to be set: [`TcpListener::bind`] does.
//! - *A dead peer is silent.* Without a timeout or keepalive, a read from a peer whose cable was pulled waits for ever.
//!
//! Invariant. A write to a peer that is gone gives an error, never a `SIGPIPE`.
//!
//! | method | cancel safe |
//! |---|---|
//! | `TcpListener::accept`, `Incoming::next` | yes: a connection that was not returned is the next to be |
//! | `TcpStream::peek` | yes |
//! | `TcpStream::connect`, `TcpListener::bind` | yes: what was begun is given up |
//!
//! What it does not know: names ([`names`](crate::lookup_host)), and what is served.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use roundel::source::{Direction, Source};
use socket2::SockRef;

use crate::kernel::{self, BACKLOG, explain};
use crate::names::{Target, ToAddrs};
use crate::socket::TcpSocket;
use crate::stream::{ByteStream, Transport};

/// A TCP connection. What it shares with other streams is with [`ByteStream`].
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
    /// What the system says.
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
    /// What the system says.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        let stream = std::net::TcpStream::from(self.into_inner());
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// Reads some bytes and leaves them where they are.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source().io(Direction::Read, |io| io.peek(buffer)).await
    }

    /// Closes one direction or both. After `Write`, the peer reads the end; what was written before arrives.
    ///
    /// # Errors
    ///
    /// What the system says: `NotConnected` if the peer is gone already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.source().get_ref().shutdown(how)
    }

    /// Whether small writes are sent at once.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.source().get_ref().set_nodelay(nodelay)
    }

    /// See [`set_nodelay`](TcpStream::set_nodelay).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.source().get_ref().nodelay()
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// What the system says: `NotConnected` if it is gone already.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source().get_ref().peer_addr()
    }

    /// Our own address.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source().get_ref().local_addr()
    }

    /// Every other option there is: through `socket2`.
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

/// Where TCP connections come in.
///
/// Any number of tasks may accept; to serve in earnest, see [`serve`](crate::serve()).
#[derive(Debug)]
pub struct TcpListener {
    source: Source<mio::net::TcpListener>,
}

impl TcpListener {
    /// Listens on the first of the addresses on which that is possible. `SO_REUSEADDR` is set, so that a server
    /// can be started again at once. Port 0 is any free port: see [`local_addr`](TcpListener::local_addr).
    ///
    /// # Errors
    ///
    /// Names the address: `AddrInUse` if somebody listens there already, `PermissionDenied` for a port that only the
    /// administrator may use.
    pub async fn bind(at: impl ToAddrs) -> io::Result<TcpListener> {
        TcpListener::bind_first(at.target()?, false).await
    }

    /// As [`bind`](TcpListener::bind), but others who do the same may listen on the same port (`SO_REUSEPORT`), and the
    /// kernel deals out the connections among them: one loop per core, without a herd at every accept.
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
        Ok(TcpListener { source: Source::new(listener)? })
    }

    /// Takes over a listener of the standard library.
    ///
    /// # Errors
    ///
    /// What the system says.
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
    /// What the system says.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        let listener = std::net::TcpListener::from(self.source.into_inner());
        listener.set_nonblocking(false)?;
        Ok(listener)
    }

    /// Waits for a connection. Cancel safe: one that was not returned is the next to be.
    ///
    /// # Errors
    ///
    /// What the system says. Most errors concern one connection, or a lack that may pass: see
    /// [`serve`](crate::serve()) for what to make of which.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.source.io(Direction::Read, mio::net::TcpListener::accept).await?;
        Ok((ByteStream::new_plain(stream)?, peer))
    }

    /// One try of [`accept`](TcpListener::accept), for those who implement a `poll` of their own.
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
