//! A TCP socket before it is a connection or a listener: where the options are set.
//!
//! Facts. Some options must be set before `bind`, some before `connect` or `listen`. An accepted connection
//! inherits most of them from its listener.
//!
//! What follows. A [`TcpSocket`] is neither a connection nor a listener yet. The options that programs often
//! set have methods here; [`TcpSocket::options`] gives access to all others. `TcpSocket::listen` is in
//! `tcp.rs` and `TcpSocket::connect` in `connect.rs`, beside what they return.
//!
//! | option | set it before |
//! |---|---|
//! | `reuse_address`, `reuse_port`, `only_v6`, `bind_device` | `bind` |
//! | `recv_buffer_size`, `send_buffer_size` | `connect` or `listen`, because the window is agreed upon then |
//! | all others | any time; a connection has those of the listener that accepted it |
//!
//! Contract. `bind`, `listen` and `connect` name the address in their errors, and keep the kind. To `listen`
//! without `bind` is to listen on all addresses, at a port that the system chooses.
//!
//! | method | cancel safe |
//! |---|---|
//! | `connect` | yes: the attempt is given up, and the socket closed |
//!
//! What it does not know: names, connections, listeners.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::kernel::{self, explain, lends_descriptor};

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
    /// The error of the system call, for example that there are too many open files.
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
        Ok(TcpSocket { socket: kernel::open(domain, Type::STREAM, Some(Protocol::TCP))? })
    }

    /// Takes over a socket that neither is connected nor listens, although its type in the standard library
    /// says so. It may come from another library, or from the process that started this one.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpSocket> {
        stream.set_nonblocking(true)?;
        Ok(TcpSocket { socket: stream.into() })
    }

    /// Gives the socket to the standard library, blocking again. The type there is that of a connection, but the
    /// socket is as it was.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.socket.set_nonblocking(false)?;
        Ok(self.socket.into())
    }

    /// Chooses our own address. Port 0 is any free port: see [`local_addr`](TcpSocket::local_addr).
    ///
    /// # Errors
    ///
    /// Names the address: `AddrInUse` if another socket has it, `PermissionDenied` for a port that only the
    /// administrator may use, `AddrNotAvailable` if it is not an address of this machine.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.bind(&address.into()).map_err(|error| explain("bind", address, &error))
    }

    pub(crate) fn get_ref(&self) -> &Socket {
        &self.socket
    }

    pub(crate) fn into_inner(self) -> Socket {
        self.socket
    }

    /// Our own address, once it is bound.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()?.as_socket().ok_or_else(|| ErrorKind::InvalidInput.into())
    }

    /// Whether an address may be bound while old connections of it are in `TIME_WAIT`.
    ///
    /// # Errors
    ///
    /// The error of the system call, as for all options.
    pub fn set_reuse_address(&self, reuse: bool) -> io::Result<()> {
        self.socket.set_reuse_address(reuse)
    }

    /// See [`set_reuse_address`](TcpSocket::set_reuse_address).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn reuse_address(&self) -> io::Result<bool> {
        self.socket.reuse_address()
    }

    /// Whether several sockets may listen on one port. Linux distributes the connections among them by a
    /// hash of the addresses. So several loops share the work, each with its own thread and listener. On
    /// macOS and FreeBSD, the last socket gets all connections.
    ///
    /// Each socket must set it before `bind`. When a listener is closed, the connections in its queue are
    /// reset; the other listeners do not get them.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_reuse_port(&self, reuse: bool) -> io::Result<()> {
        self.socket.set_reuse_port(reuse)
    }

    /// See [`set_reuse_port`](TcpSocket::set_reuse_port).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn reuse_port(&self) -> io::Result<bool> {
        self.socket.reuse_port()
    }

    /// Whether a socket for IPv6 refuses IPv4. If not, IPv4 addresses look like `::ffff:127.0.0.1`. The
    /// default is a setting of the system.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_only_v6(&self, only: bool) -> io::Result<()> {
        self.socket.set_only_v6(only)
    }

    /// See [`set_only_v6`](TcpSocket::set_only_v6).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn only_v6(&self) -> io::Result<bool> {
        self.socket.only_v6()
    }

    /// How long the connection must be silent before the kernel asks whether the peer is still there.
    /// `None`: it never asks.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_keepalive(&self, after: Option<Duration>) -> io::Result<()> {
        match after {
            None => self.socket.set_keepalive(false),
            Some(time) => self.socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time)),
        }
    }

    /// Whether keepalive is on. See [`set_keepalive`](TcpSocket::set_keepalive).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn keepalive(&self) -> io::Result<bool> {
        self.socket.keepalive()
    }

    /// How the kernel goes on asking a peer that does not answer. It asks again after each `interval`; after
    /// this many `times` without an answer, the connection fails with `TimedOut`. Turns keepalive on.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_keepalive_retries(&self, interval: Duration, times: u32) -> io::Result<()> {
        let settings = TcpKeepalive::new().with_interval(interval).with_retries(times);
        self.socket.set_tcp_keepalive(&settings)
    }

    /// How long sent bytes may stay unacknowledged before the connection fails with `TimedOut`. `None` is
    /// the system's default, which is minutes.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_tcp_user_timeout(timeout)
    }

    /// See [`set_user_timeout`](TcpSocket::set_user_timeout).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        self.socket.tcp_user_timeout()
    }

    /// Whether small writes are sent at once. See [`TcpStream`](crate::TcpStream::set_nodelay).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_tcp_nodelay(nodelay)
    }

    /// See [`set_nodelay`](TcpSocket::set_nodelay).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.tcp_nodelay()
    }

    /// What closing does with bytes that are not sent yet. `None`: the kernel goes on sending. Zero: they
    /// are discarded, and the connection is reset. Any other time makes `close` *block the loop* until they
    /// are sent; it is rounded up to whole seconds. A better way is to shut down writing and to read until
    /// the peer closes.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        // The kernel counts whole seconds. Rounded down, half a second would be zero, which means a reset.
        let up = |time: Duration| {
            Duration::from_secs(time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)))
        };
        self.socket.set_linger(linger.map(up))
    }

    /// See [`set_linger`](TcpSocket::set_linger).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.socket.linger()
    }

    /// How many bytes the kernel keeps for us until we read them. Linux doubles the number, to have room for
    /// its own data. By default, the kernel adapts the size.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.socket.set_recv_buffer_size(bytes)
    }

    /// See [`set_recv_buffer_size`](TcpSocket::set_recv_buffer_size).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        self.socket.recv_buffer_size()
    }

    /// How many bytes the kernel takes from us before the peer has acknowledged them. See
    /// [`set_recv_buffer_size`](TcpSocket::set_recv_buffer_size).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.socket.set_send_buffer_size(bytes)
    }

    /// See [`set_send_buffer_size`](TcpSocket::set_send_buffer_size).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        self.socket.send_buffer_size()
    }

    /// How many routers a packet may pass.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        if self.is_v6()? { self.socket.set_unicast_hops_v6(hops) } else { self.socket.set_ttl_v4(hops) }
    }

    /// See [`set_ttl`](TcpSocket::set_ttl).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn ttl(&self) -> io::Result<u32> {
        if self.is_v6()? { self.socket.unicast_hops_v6() } else { self.socket.ttl_v4() }
    }

    /// The type of service, which routers may use (for IPv6: the traffic class).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_tos(&self, tos: u32) -> io::Result<()> {
        if self.is_v6()? { self.socket.set_tclass_v6(tos) } else { self.socket.set_tos_v4(tos) }
    }

    /// See [`set_tos`](TcpSocket::set_tos).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn tos(&self) -> io::Result<u32> {
        if self.is_v6()? { self.socket.tclass_v6() } else { self.socket.tos_v4() }
    }

    /// Uses this network interface only, for example `eth0`; `None`: any.
    ///
    /// # Errors
    ///
    /// The error of the system call: `PermissionDenied` if the program may not choose an interface.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn bind_device(&self, interface: Option<&str>) -> io::Result<()> {
        self.socket.bind_device(interface.map(str::as_bytes))
    }

    fn is_v6(&self) -> io::Result<bool> {
        Ok(self.socket.local_addr()?.is_ipv6())
    }

    /// All options, through `socket2`.
    #[must_use]
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.socket)
    }
}

lends_descriptor!(TcpSocket, this => this.socket);
