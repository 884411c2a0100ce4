//! A TCP socket before it is a connection or a listener: where the options are set.
//!
//! Facts. Some options have to be set before `bind`, some before `connect` or `listen`, and an accepted
//! connection inherits most of them from its listener.
//!
//! What follows. A [`TcpSocket`] is a socket that is neither yet. The options that people set have methods here; all
//! others are reached through [`TcpSocket::options`].
//!
//! What it does not know: names.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::stream::ByteStream;
use crate::tcp::{TcpListener, TcpStream};

/// A TCP socket that will connect or listen.
///
/// ```
/// use roundel_net::TcpSocket;
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let socket = TcpSocket::new_v4()?;
///     socket.set_reuse_port(true)?;
///     socket.bind("127.0.0.1:0".parse().unwrap())?;
///     let listener = socket.listen(1024)?;
///     assert_ne!(listener.local_addr()?.port(), 0);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    socket: Socket,
}

impl TcpSocket {
    /// A socket for IPv4.
    ///
    /// # Errors
    ///
    /// What the system says, for example that there are too many open files.
    pub fn new_v4() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV4)
    }

    /// A socket for IPv6.
    ///
    /// # Errors
    ///
    /// As [`new_v4`](TcpSocket::new_v4).
    pub fn new_v6() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV6)
    }

    /// A socket of the kind that this address needs.
    ///
    /// # Errors
    ///
    /// As [`new_v4`](TcpSocket::new_v4).
    pub fn for_address(address: SocketAddr) -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::for_address(address))
    }

    fn new(domain: Domain) -> io::Result<TcpSocket> {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(TcpSocket { socket })
    }

    /// Chooses our own address.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.bind(&address.into())
    }

    /// Begins to listen; the kernel keeps up to `backlog` connections until they are accepted.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        TcpListener::new(mio::net::TcpListener::from_std(self.socket.into()))
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        match self.socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(115) && error.kind() != io::ErrorKind::WouldBlock => {
                return Err(error);
            }
            _ => {}
        }
        let stream = ByteStream::new(mio::net::TcpStream::from_std(self.socket.into()))?;
        crate::connect::established(stream, address).await
    }

    /// Whether an address may be bound while old connections of it are in `TIME_WAIT`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_reuse_address(&self, reuse: bool) -> io::Result<()> {
        self.socket.set_reuse_address(reuse)
    }

    /// Whether several sockets may listen on one port, among which the kernel deals out the connections.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_reuse_port(&self, reuse: bool) -> io::Result<()> {
        self.socket.set_reuse_port(reuse)
    }

    /// Whether, and after which silence, the kernel asks the peer whether it still lives.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_keepalive(&self, after: Option<Duration>) -> io::Result<()> {
        match after {
            None => self.socket.set_keepalive(false),
            Some(time) => self.socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time)),
        }
    }

    /// Every option there is.
    #[must_use]
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.socket)
    }
}
